"""The clocks of other machines, mapped to the one clock of a drill. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

# A reading whose round trip took far longer than the best one (a fault delays frames) tells too little.
GOOD_FACTOR = 3.0
GOOD_ERROR_S = 0.001


@dataclass(frozen=True, slots=True)
class Tick:
    """One reading of a machine's clocks: ``here_s`` on the drill's clock, at most ``error_s`` off."""

    here_s: float
    mono_s: float
    wall_s: float
    error_s: float


def tick(sent_s: float, came_s: float, mono_s: float, wall_s: float) -> Tick:
    """Return the reading of a round trip: the clocks were read somewhere in its middle, half of it off at most."""
    return Tick((sent_s + came_s) / 2, mono_s, wall_s, (came_s - sent_s) / 2)


@dataclass(frozen=True, slots=True)
class Clock:
    """A machine's clocks as they were read during a drill; the reading nearest to a moment places it."""

    ticks: tuple[Tick, ...]

    def at(self, mono_s: float) -> float:
        """Return a moment of the machine's CLOCK_MONOTONIC on the drill's clock."""
        near = min(self.ticks, key=lambda each: abs(each.mono_s - mono_s))
        return near.here_s + (mono_s - near.mono_s)

    def at_wall(self, wall_s: float) -> float:
        """Return a moment of the machine's wall clock on the drill's clock."""
        near = min(self.ticks, key=lambda each: abs(each.wall_s - wall_s))
        return near.here_s + (wall_s - near.wall_s)

    def wall_at(self, here_s: float) -> float:
        """Return what the machine's wall clock showed at a moment of the drill's clock."""
        near = min(self.ticks, key=lambda each: abs(each.here_s - here_s))
        return near.wall_s + (here_s - near.here_s)

    @property
    def error_s(self) -> float:
        """How far off a moment may be: half of the longest round trip, and what the clock moved between readings."""
        return max(each.error_s for each in self.ticks) + self.moved_s

    @property
    def moved_s(self) -> float:
        """By how much the monotonic clocks moved apart between two readings, at most."""
        offsets = [each.here_s - each.mono_s for each in self.ticks]
        return max((abs(after - before) for before, after in pairwise(offsets)), default=0.0)


def clock_of(ticks: Iterable[Tick]) -> Clock | None:
    """Return the clock made of the good readings, None when there is no reading."""
    known = sorted(ticks, key=lambda each: each.here_s)
    if not known:
        return None
    limit_s = GOOD_FACTOR * min(each.error_s for each in known) + GOOD_ERROR_S
    return Clock(tuple(each for each in known if each.error_s <= limit_s))
