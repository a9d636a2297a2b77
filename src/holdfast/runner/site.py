"""What every act on a cluster needs at hand: the design, the wires, the values, and somebody to tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.design.design import Design
from holdfast.model.event import Event
from holdfast.runner.fleet import Fleet
from holdfast.runner.manifest import Pack


class RunError(Exception):
    """Something failed on a machine; the message says what, where, why and what to try."""


class GateError(RunError):
    """A member did not become healthy in time."""


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster being worked on. ``gate_timeout_s``: how long a changed member may take to become healthy."""

    design: Design
    fleet: Fleet
    values: Mapping[str, str]
    vault: str
    pack: Pack
    tell: Callable[[Event], None]
    gate_timeout_s: float = 180.0

    def say(self, text: str, **facts: str | float) -> None:
        """Tell one event in words."""
        self.tell(Event(text, facts))
