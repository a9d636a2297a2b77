"""Parts: the only things the runner knows how to look at and to act on."""

import re
from dataclasses import dataclass
from enum import IntEnum

_REFERENCE = re.compile(r"@@([a-z0-9][a-z0-9./_-]*)@@")


class Effect(IntEnum):
    """What a change does to the running member; a larger value interrupts more."""

    NONE = 0
    RELOAD = 1
    RESTART = 2
    FAILOVER = 3
    DESTRUCTIVE = 4

    @property
    def word(self) -> str:
        """The effect as it is printed."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package that must be installed (any version of the release)."""

    name: str


@dataclass(frozen=True, slots=True)
class User:
    """A system user (with a group of the same name) that must exist; ``groups`` are additional ones."""

    name: str
    home: str = "/nonexistent"
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that must exist with this owner and mode."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class File:
    """A file with exactly this content.

    ``content`` may name values that enter at the wire, written by `value`. ``unit`` is the unit that
    `effect` (reload or restart) is done to when the content changes. ``early`` files are written before
    packages are installed. ``sensitive`` files are never shown in a diff.
    """

    path: str
    content: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    unit: str = ""
    effect: Effect = Effect.NONE
    early: bool = False
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Archive:
    """The content of a `Source` (``source`` is its name) unpacked into a directory that is made once, whole."""

    path: str
    source: str
    digest: str


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link; a change of its target does `effect` to `unit`."""

    path: str
    target: str
    unit: str = ""
    effect: Effect = Effect.NONE


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit: enabled and running, or neither.

    ``verify`` is a command that must succeed after files changed and before the unit is touched; when it
    fails, the files go back to what they were.
    """

    name: str
    running: bool = True
    verify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A command that brings a state about; ``unless`` exits 0 when the state is there already.

    ``brings``: the effect of a later step that this one may make necessary; plans show it beforehand.
    """

    name: str
    argv: tuple[str, ...]
    unless: tuple[str, ...]
    effect: Effect = Effect.NONE
    timeout_s: float = 60.0
    brings: Effect = Effect.NONE


@dataclass(frozen=True, slots=True)
class Secret:
    """A generated password, known to designs by name only; ``file`` takes it from the user's own file instead."""

    name: str
    length: int = 32
    file: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of the cluster's own CA, usable as server and client.

    Gives the values ``NAME.crt`` (with the chain) and ``NAME.key``; the CA itself is the value ``pki/ca.crt``.
    """

    name: str
    common_name: str
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


Part = Package | User | Directory | File | Archive | Link | Unit | Step | Secret | Certificate


def value(name: str) -> str:
    """Return the mark that stands for a secret or certificate in a part until the wire puts its value in."""
    return f"@@{name}@@"


def values_in(text: str) -> frozenset[str]:
    """Return the names of all values that a text refers to."""
    return frozenset(_REFERENCE.findall(text))


def put_values(text: str, values: dict[str, str]) -> str:
    """Replace every mark by its value. Raises KeyError naming a value that is not known."""
    return _REFERENCE.sub(lambda found: values[found.group(1)], text)


def key_of(part: Part) -> str:
    """Return what identifies a part on its host: ``file:/etc/hosts``, ``unit:nginx.service``."""
    return f"{type(part).__name__.lower()}:{getattr(part, 'path', None) or getattr(part, 'name', '')}"
