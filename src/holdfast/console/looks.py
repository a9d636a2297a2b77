"""Looks: the symbol and colour of every state, the same on each page. A symbol alone is enough without colour."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.design import judge
from holdfast.model.parts import Effect
from holdfast.model.watch import State


@dataclass(frozen=True, slots=True)
class Look:
    """A symbol of one column and the terminal style it is printed in."""

    symbol: str
    style: str


STATES: Mapping[State, Look] = {
    State.OK: Look("●", "green"),
    State.STARTING: Look("◐", "cyan"),
    State.DEGRADED: Look("▲", "yellow"),
    State.DOWN: Look("✖", "bold red"),
    State.UNKNOWN: Look("?", "magenta"),
}
HEALTH: Mapping[str, Look] = {
    judge.HEALTHY: Look("●", "bold green"),
    judge.DEGRADED: Look("▲", "bold yellow"),
    judge.DOWN: Look("✖", "bold red"),
    judge.UNSAFE: Look("✖", "bold white on red"),
    judge.UNKNOWN: Look("?", "bold magenta"),
}
EFFECTS: Mapping[Effect, str] = {
    Effect.NONE: "",
    Effect.RELOAD: "cyan",
    Effect.RESTART: "yellow",
    Effect.FAILOVER: "bold magenta",
    Effect.DESTRUCTIVE: "bold white on red",
}
ACTIONS: Mapping[str, str] = {"+": "green", "~": "yellow", "-": "red"}

# Roles that one member holds for all: the ones an operator looks for first.
LEADING_ROLES = frozenset({"leader", "primary", "holder"})
SEVERITIES: Mapping[str, Look] = {"error": Look("✖", "bold red"), "warning": Look("▲", "yellow")}
REMARK = Look("·", "cyan")


def by_urgency(state: State) -> int:
    """Return how early a state is told: the most urgent has the highest number."""
    return (State.OK, State.STARTING, State.UNKNOWN, State.DEGRADED, State.DOWN).index(state)
