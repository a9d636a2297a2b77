"""Probes and watches: a command, and a pure reader of what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """Health of a member, as far as it can be told."""

    OK = "ok"
    STARTING = "starting"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Output:
    """What a command answered; ``exit_code`` is 124 when it ran out of time."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an output means: health, role (leader, replica, holder, …; "" for none) and the reason in words."""

    state: State
    role: str = ""
    reason: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """One command, run as root on the member's host, and the reader of its output.

    ``units`` are the systemd units whose journal explains a bad reading.
    """

    name: str
    argv: tuple[str, ...]
    read: Callable[[Output], Reading]
    units: tuple[str, ...] = ()
    timeout_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Held:
    """One answer of a watch: whether the member has the role at this moment; ``mark``: which one ("timeline 4")."""

    here: bool
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Watch:
    """A question asked several times a second during a drill, about a role that one member at most may have.

    - ``role``: the name of the role, the same for all members that could have it ("database leader").
    - ``deed``: what the one that has it does ("leads the database").
    - ``argv``: a command, run as root on the member's host for the whole drill. It answers every line of its
      standard input by one line, and is started anew when it ends: a process for every answer costs too much.
    - ``question``: that line.
    - ``read``: a pure reader of an answer; None for an answer from which nothing can be told.
    """

    role: str
    deed: str
    argv: tuple[str, ...]
    question: str
    read: Callable[[str], Held | None]
