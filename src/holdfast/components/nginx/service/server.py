"""What this edge knows of one application server."""

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from .law import Load, Weight
from .standing import Health, Pulse

# Answers of so many seconds make one latency.
WINDOW = 4
# So many questions for its load may stay without an answer before a server counts as ordinary.
MISSED_MAX = 5

Json = dict[str, Any]


@dataclass(slots=True)
class Server:
    """One server: where it is, how it stands, and the weight that it has."""

    name: str
    address: str
    port: int
    path: str
    load_port: int
    pulse: Pulse = field(default_factory=Pulse)
    health: Health = field(default_factory=lambda: Health(time.monotonic()))
    weight: Weight = field(default_factory=Weight)
    load: Load = field(default_factory=Load)
    out: str = ""
    asked: int = 0
    told: Json = field(default_factory=dict)
    missed: int = 0
    answers: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def reason(self, now: float, drained: bool) -> str:
        """Return why it should have no new requests, "" when it should."""
        if drained:
            return "drained"
        if self.pulse.gone(now):
            return "its host is silent"
        return self.health.why

    def in_doubt(self, now: float) -> bool:
        """Say whether it is in use but an answer is missing: the next tenths of a second decide."""
        return not self.out and (self.pulse.missed(now) or self.health.doubtful(now))

    def note_load(self, told: Json) -> None:
        """Take over what the server's own host says of its load, two looks of which make a figure."""
        now = self.load
        self.missed = 0 if told else self.missed + 1
        if told:
            found = (pressure(self.told, told, now.pressure), queue(self.told, told))
            self.told, self.load = told, Load(*found, now.latency_s, now.answers)
        elif self.missed >= MISSED_MAX:
            self.told, self.load = {}, Load(None, None, now.latency_s, now.answers)

    def note_answers(self, count: float, seconds: float) -> None:
        """Take over how many answers this edge has had of it in all, and how long their heads took together."""
        if self.answers and count < self.answers[-1][0]:
            self.answers.clear()
        self.answers.append((count, seconds))
        many = int(count - self.answers[0][0])
        mean_s = (seconds - self.answers[0][1]) / many if many else None
        self.load = Load(self.load.pressure, self.load.queue, mean_s, many)

    def view(self) -> Json:
        """Return what `status` shows."""
        load = self.load
        return {
            "out": self.out,
            "weight": round(self.weight.share, 3),
            "strain": None if self.weight.strain is None else round(self.weight.strain, 3),
            "pressure": None if load.pressure is None else round(load.pressure, 3),
            "queue": None if load.queue is None else round(load.queue, 2),
            "latency_ms": None if load.latency_s is None else round(load.latency_s * 1000, 1),
            "loss": round(self.pulse.loss, 3),
        }


def pressure(before: Json, now: Json, last: float | None = None) -> float | None:
    """Return the part of the time between two looks in which something waited for a processor; no news: ``last``."""
    try:
        passed_us = now["waited_at_us"] - before["waited_at_us"]
        if passed_us == 0:
            return last
        return _sound((now["waited_us"] - before["waited_us"]) / passed_us) if passed_us > 0 else None
    except (KeyError, TypeError):
        return None


def queue(before: Json, now: Json) -> float | None:
    """Return what ran or wanted to run between two looks, for each processor."""
    try:
        looks = now["queue_looks"] - before["queue_looks"]
        return _sound((now["queue_sum"] - before["queue_sum"]) / looks / now["processors"]) if looks > 0 else None
    except (KeyError, TypeError, ZeroDivisionError):
        return None


def _sound(number: float) -> float | None:
    # What a host says of itself must not be able to upset the weights of the others.
    return float(number) if math.isfinite(number) else None
