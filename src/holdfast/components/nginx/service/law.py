"""From load to weights: a slow integral law with a dead band, bounded, with slow start. Pure.

Only differences between servers count: a load that all have in common moves nothing. What must react at once is not
done here but for every request (fewer requests in flight, by weight), so this law may be slow; and slow is stable.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean, median

STEP_S = 1.0
# A strain is smoothed over this time: one burst is no load.
SMOOTH_S = 3.0
# Differences below this are noise.
BAND = 0.1
# How fast a difference turns into weight, and the largest difference that counts: at most 6 % in a second.
GAIN, DIFFERENCE_MAX = 0.12, 0.5
# Without any difference weights become equal again in this time; it also keeps an integral from wandering.
LEAK_S = 60.0
# A loaded server keeps a tenth: less would say nothing about whether its load has gone.
FLOOR = 0.1
RAMP_FROM, RAMP_S = 0.1, 10.0
QUEUE_SHARE, LATENCY_SHARE = 0.5, 0.5
# Fewer answers say nothing of a latency.
ANSWERS_MIN = 5


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured of one server in the last second; None where nothing is known.

    - ``pressure``: the part of the time in which something waited for a processor, 0 to 1.
    - ``queue``: what runs or wants to run, for each processor.
    - ``latency_s``: mean time to the answer's head, as this edge saw it, over ``answers``.
    """

    pressure: float | None = None
    queue: float | None = None
    latency_s: float | None = None
    answers: int = 0


@dataclass(frozen=True, slots=True)
class Weight:
    """The law's memory of one server: ``lean`` is the logarithm of its weight, ``strain`` its smoothed load.

    ``since_s`` counts from its return into use.
    """

    lean: float = 0.0
    strain: float | None = None
    since_s: float = math.inf

    @property
    def share(self) -> float:
        """The weight itself, above 0 and at most 1."""
        return max(FLOOR * RAMP_FROM, math.exp(self.lean) * ramp(self.since_s))


def ramp(since_s: float) -> float:
    """Return what part of its weight a server has so long after its return: caches are cold, pools are empty."""
    return min(1.0, RAMP_FROM + (1.0 - RAMP_FROM) * since_s / RAMP_S)


def steer(weights: Mapping[str, Weight], loads: Mapping[str, Load], step_s: float = STEP_S) -> dict[str, Weight]:
    """Return the weights one step later, of the servers in use."""
    now = {name: _aged(weight, step_s) for name, weight in weights.items()}
    strained = _smoothed(now, strains({name: loads.get(name, Load()) for name in now}), step_s)
    settled = {name: each.strain for name, each in strained.items() if each.strain is not None and _settled(each)}
    middle = fmean(settled.values()) if settled else 0.0
    leaned = {
        name: replace(each, lean=_lean(each.lean, settled.get(name, middle) - middle, step_s))
        for name, each in strained.items()
    }
    # The freest server has weight 1: weights are relative, and so they cannot all fall.
    highest = max((each.lean for each in leaned.values()), default=0.0)
    return {name: replace(each, lean=max(math.log(FLOOR), each.lean - highest)) for name, each in leaned.items()}


def strains(loads: Mapping[str, Load]) -> dict[str, float]:
    """Return one figure for the load of each server of which anything is known; what is not known counts as usual."""
    seen = {name: load for name, load in loads.items() if _known(load)}
    usual = Load(
        _usual(load.pressure for load in seen.values()),
        _usual(load.queue for load in seen.values()),
        _usual(_latency_s(load) for load in seen.values()),
    )
    return {name: _strain(load, usual) for name, load in seen.items()}


def _known(load: Load) -> bool:
    return load.pressure is not None or load.queue is not None or _latency_s(load) is not None


def _usual(figures: Iterable[float | None]) -> float | None:
    known = [each for each in figures if each is not None]
    return median(known) if known else None


def _latency_s(load: Load) -> float | None:
    return load.latency_s if load.latency_s and load.answers >= ANSWERS_MIN else None


def _strain(load: Load, usual: Load) -> float:
    waited, queued, took_s = load.pressure, load.queue, _latency_s(load)
    waited = usual.pressure if waited is None else waited
    queued = usual.queue if queued is None else queued
    pressure, queue = _within(waited or 0.0, 0.0, 1.0), _within((queued or 0.0) - 1.0, 0.0, 1.0)
    slow = _within(math.log(took_s) - math.log(usual.latency_s), -1.0, 1.0) if took_s and usual.latency_s else 0.0
    return pressure + QUEUE_SHARE * queue + LATENCY_SHARE * slow


def _aged(weight: Weight, step_s: float) -> Weight:
    return replace(weight, since_s=weight.since_s + step_s)


def _smoothed(weights: Mapping[str, Weight], strains_now: Mapping[str, float], step_s: float) -> dict[str, Weight]:
    part = 1.0 - math.exp(-step_s / SMOOTH_S)

    def smooth(before: float | None, now: float | None) -> float | None:
        if now is None:
            return None
        return now if before is None else before + part * (now - before)

    return {name: replace(each, strain=smooth(each.strain, strains_now.get(name))) for name, each in weights.items()}


def _settled(weight: Weight) -> bool:
    # A server in its slow start has few requests: it would look free, and the others loaded.
    return weight.since_s >= RAMP_S


def _lean(lean: float, difference: float, step_s: float) -> float:
    beyond = math.copysign(max(0.0, abs(difference) - BAND), difference)
    return lean * math.exp(-step_s / LEAK_S) - GAIN * _within(beyond, -DIFFERENCE_MAX, DIFFERENCE_MAX) * step_s


def _within(number: float, low: float, high: float) -> float:
    return min(high, max(low, number))
