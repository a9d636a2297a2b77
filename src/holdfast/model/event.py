"""Events: what happened during a run, one sentence each."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """One sentence with its facts. ``waiting`` marks progress that the next event may replace on a terminal."""

    text: str
    facts: Mapping[str, str | float] = field(default_factory=dict)
    waiting: bool = False
