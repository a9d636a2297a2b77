"""The latency plot of a drill as SVG: every operation by when it was intended and how long it took."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.console.report.axes import LEFT, RIGHT, Time, fault_bands, picture, time_axis
from holdfast.console.report.figures import number
from holdfast.console.xmltext import tag, text, xml
from holdfast.drills.record import DrillRecord, LatencyPoint

TOP, BOTTOM = 10.0, 250.0
MOST_POINTS = 3000
_LEAST_S = 0.001
_SLICES = 12
# Drawn in this order: what did not succeed lies on top of what did.
OUTCOMES: Mapping[str, str] = {"ok": "acknowledged", "indeterminate": "indeterminate", "fail": "failed"}
# Around a point: a dot (a line of no length with a round end), an open diamond, a cross.
_SHAPES: Mapping[str, str] = {"ok": "h0", "indeterminate": "m-4 0l4-4 4 4-4 4z", "fail": "m-3-3l6 6m0-6l-6 6"}


@dataclass(frozen=True, slots=True)
class Slice:
    """The operations intended in one part of the drill: how they ended, and the longest that one took."""

    from_s: float
    to_s: float
    counts: Mapping[str, int]
    slowest_s: float


@dataclass(frozen=True, slots=True)
class Scale:
    """Latencies from the bottom to the top, by powers of ten."""

    low: int
    high: int

    def y(self, took_s: float) -> float:
        """Return the height of a latency."""
        share = (math.log10(max(took_s, 10.0**self.low)) - self.low) / (self.high - self.low)
        return BOTTOM - (BOTTOM - TOP) * min(share, 1.0)


def latency_plot(drill: DrillRecord, name: str, most: int = MOST_POINTS) -> str:
    """Return the plot with at most so many points; "" when the drill has none. ``name`` makes its ids unique."""
    if not drill.points:
        return ""
    time, scale = Time(drill.length_s), scale_for(drill.points)
    points = thinned(drill.points, drill.length_s, most)
    body = (
        fault_bands(drill, time, TOP, BOTTOM),
        *_grid(scale),
        time_axis(time, TOP, BOTTOM),
        *(_dots(outcome, points, time, scale) for outcome in OUTCOMES),
    )
    shown = "" if len(points) == len(drill.points) else f", {number(len(points))} of them drawn, the extremes kept"
    about = f"{number(len(drill.points))} operations{shown}. The table below says the same."
    return picture(f"{name}-latency", xml(f"Latency during {drill.title}"), xml(about), BOTTOM + 24, body)


def scale_for(points: Iterable[LatencyPoint]) -> Scale:
    """Return whole powers of ten that hold all latencies, from a millisecond at least."""
    slowest_s = max((each.took_s for each in points), default=1.0)
    least_s = min((each.took_s for each in points), default=_LEAST_S)
    low = math.floor(math.log10(max(least_s, _LEAST_S)))
    return Scale(low, max(math.ceil(math.log10(max(slowest_s, _LEAST_S))), low + 1))


def _grid(scale: Scale) -> Iterator[str]:
    for power in range(scale.low, scale.high + 1):
        y = scale.y(10.0**power)
        words = f"{10**power:g} s" if power >= 0 else f"{10 ** (power + 3):g} ms"
        yield tag("path", d=f"M{LEFT:g} {y:g}H{RIGHT:g}", class_="grid") + text(
            LEFT - 12, y + 4, words, "tick", "end"
        )


def _dots(outcome: str, points: Iterable[LatencyPoint], time: Time, scale: Scale) -> str:
    # Whole pixels, each once: what would be drawn on the same place is not drawn twice.
    places = {(round(time.x(each.at_s)), round(scale.y(each.took_s))) for each in points if _is(each, outcome)}
    shapes = "".join(f"M{x} {y}{_SHAPES[outcome]}" for x, y in sorted(places))
    return tag("path", d=shapes, class_=f"dot {outcome}") if shapes else ""


def _is(point: LatencyPoint, outcome: str) -> bool:
    return (point.outcome if point.outcome in OUTCOMES else "indeterminate") == outcome


def thinned(points: Sequence[LatencyPoint], length_s: float, most: int) -> tuple[LatencyPoint, ...]:
    """Return at most ``most`` points: of every part of time the fastest and slowest of each outcome, then others.

    An outage is made of extremes: they are what must not get lost.
    """
    if len(points) <= most:
        return tuple(points)
    parts = max(most // (4 * len(OUTCOMES)), 1)
    groups: dict[tuple[int, str], list[LatencyPoint]] = {}
    for each in points:
        part = int(min(max(each.at_s / length_s, 0), 1) * (parts - 1)) if length_s > 0 else 0
        groups.setdefault((part, each.outcome if each.outcome in OUTCOMES else ""), []).append(each)
    found = {end for own in groups.values() for end in (min(own, key=_took), max(own, key=_took))}
    others = [each for each in points if each not in found]
    room = max(most - len(found), 0)
    step = math.ceil(len(others) / room) if room else len(others) + 1
    return tuple(sorted([*found, *others[::step]], key=lambda each: each.at_s)[:most])


def _took(point: LatencyPoint) -> float:
    return point.took_s


def slices(drill: DrillRecord) -> tuple[Slice, ...]:
    """Return the operations in a dozen parts of time: the plot as numbers."""
    width_s = drill.length_s / _SLICES if drill.length_s > 0 else 1.0
    groups: dict[int, list[LatencyPoint]] = {}
    for each in drill.points:
        groups.setdefault(min(max(int(each.at_s / width_s), 0), _SLICES - 1), []).append(each)
    return tuple(_slice(index, width_s, groups[index]) for index in sorted(groups))


def _slice(index: int, width_s: float, own: Sequence[LatencyPoint]) -> Slice:
    counts = {outcome: sum(_is(each, outcome) for each in own) for outcome in OUTCOMES}
    return Slice(index * width_s, (index + 1) * width_s, counts, max(map(_took, own)))


def legend() -> Iterator[tuple[str, str]]:
    """Yield each outcome: its shape as a small picture, and its word."""
    for outcome, words in OUTCOMES.items():
        shape = tag("path", d=f"M0 0{_SHAPES[outcome]}", class_=f"dot {outcome}")
        yield tag("svg", shape, viewBox="-7 -7 14 14", width=14, height=14, aria_hidden="true", class_="key"), words
