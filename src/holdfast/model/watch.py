"""Probes: one command and a pure reader of its output."""

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
