"""Axes that the pictures of a drill share: one scale of time, so that they can be read one below the other."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from holdfast.console.layout import Box
from holdfast.console.report.figures import at
from holdfast.console.xmltext import group, rect, tag, text
from holdfast.drills.record import DrillRecord

WIDTH = 1000.0
LEFT, RIGHT = 118.0, 984.0
# A blow of an instant (a kill) is still to be seen.
_THINNEST = 2.0
_TICKS = 12


@dataclass(frozen=True, slots=True)
class Time:
    """The time of a drill from left to right, in seconds."""

    length_s: float

    def x(self, moment_s: float) -> float:
        """Return the place of a moment; what lies outside the drill is drawn at its edge."""
        share = min(max(moment_s / self.length_s, 0.0), 1.0) if self.length_s > 0 else 0.0
        return round(LEFT + (RIGHT - LEFT) * share, 1)

    def box(self, from_s: float, to_s: float, y: float, height: float) -> Box:
        """Return the rectangle of a stretch of time."""
        left = self.x(from_s)
        return Box(left, y, max(self.x(to_s) - left, _THINNEST), height)

    def ticks(self) -> Sequence[float]:
        """Return round moments, at most a dozen."""
        step = nice(self.length_s / _TICKS)
        return [index * step for index in range(int(self.length_s / step + 1e-9) + 1)]


def nice(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, 50, … (and tenths of these) that is not less."""
    if least <= 0:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(least))
    return next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= least * (1 - 1e-9))


def time_axis(time: Time, top: float, bottom: float) -> str:
    """Return the lines of time from top to bottom, with their seconds below."""
    lines = (tag("path", d=f"M{time.x(each):g} {top:g}V{bottom:g}", class_="grid") for each in time.ticks())
    words = (text(time.x(each), bottom + 16, f"{each:g} s", "tick", "middle") for each in time.ticks())
    return "".join((*lines, *words))


def fault_bands(drill: DrillRecord, time: Time, top: float, bottom: float) -> str:
    """Return a band for each fault, to lie behind everything else."""
    bands = (
        group(
            rect(time.box(each.from_s, each.to_s, top, bottom - top), "band", 0),
            title=f"{each.title}, {at(each.from_s)} to {at(each.to_s)}",
        )
        for each in drill.struck
    )
    return "".join(bands)


def picture(name: str, title: str, about: str, height: float, parts: Iterable[str]) -> str:
    """Return a picture with its title and description, for eyes and for readers of screens; ``name`` is its id."""
    size = f"0 0 {WIDTH:g} {height:g}"
    words = tag("title", title, id=f"{name}-title") + tag("desc", about, id=f"{name}-desc")
    labels = f"{name}-title {name}-desc"
    return tag("svg", words + "".join(parts), viewBox=size, role="img", aria_labelledby=labels, class_="plot")
