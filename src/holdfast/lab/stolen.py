"""Processors that are taken away: what machines do without them says nothing about the cluster on them.

A computer that is a machine itself shares its processors with strangers; `steal` in `/proc/stat` counts the time in
which it wanted one and got none. All lab hosts lose theirs at once, which hosts of a real cluster do not. So a test
begins when the processors are there, and one that failed without them runs once more. Load of our own is no theft.
"""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

STAT = Path("/proc/stat")
# With a quarter gone for ten seconds, clients on the same computer begin to be late by themselves.
TOLERATED, WINDOW_S, LOOK_S = 0.25, 10, 1.0


@dataclass(frozen=True)
class Ticks:
    """How long processors were used, and how long they were wanted but taken away (clock ticks since the boot)."""

    used: int
    stolen: int


def ticks_of(stat: str) -> Ticks:
    """Read the first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.split()[1:9])
    return Ticks(user + nice + system + irq + softirq, steal)


def share(before: Ticks, after: Ticks) -> float:
    """Return the share of the wanted time between two readings that was taken away (0 to 1)."""
    wanted = after.used + after.stolen - before.used - before.stolen
    return (after.stolen - before.stolen) / wanted if wanted else 0.0


def worst(readings: list[Ticks], window: int = WINDOW_S) -> float:
    """Return the largest share that was taken away in any ``window`` steps of the readings."""
    return max((share(*pair) for pair in zip(readings, readings[window:], strict=False)), default=0.0)


@dataclass
class Lookout:
    """Reads the ticks every second, and knows for how much longer one may wait for processors (s)."""

    patience_s: float
    readings: list[Ticks] = field(default_factory=list)
    begun: int = 0

    def begin(self) -> None:
        """Begin what is looked at now, without waiting for anything."""
        if not self.readings:
            self.readings.append(ticks_of(STAT.read_text()))
            threading.Thread(target=self._look, name="stolen", daemon=True).start()
        self.begun = len(self.readings) - 1

    def rest(self) -> None:
        """Wait until the processors are there, or patience is at its end; what is looked at begins then."""
        self.begin()
        begun = time.monotonic()
        while worst(self.readings[-WINDOW_S - 1 :]) > TOLERATED and time.monotonic() < begun + self.patience_s:
            time.sleep(LOOK_S)
        self.patience_s -= time.monotonic() - begun
        self.begin()

    def robbed(self) -> float:
        """Return the largest share taken away in any window since the beginning; at least the last one counts."""
        return worst(self.readings[max(0, min(self.begun, len(self.readings) - 1 - WINDOW_S)) :])

    def watched_s(self) -> float:
        """Return the time since the beginning (s)."""
        return (len(self.readings) - 1 - self.begun) * LOOK_S

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_S)
            self.readings.append(ticks_of(STAT.read_text()))
