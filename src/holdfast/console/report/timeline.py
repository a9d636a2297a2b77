"""The timeline of a drill as SVG: faults, one lane for each way in with its gaps, and what was seen happening."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from holdfast.console.layout import Box
from holdfast.console.report.axes import LEFT, RIGHT, Time, fault_bands, picture, time_axis
from holdfast.console.report.figures import at, duration, happened, moments
from holdfast.console.words import listed
from holdfast.console.xmltext import group, path, rect, short, tag, text, xml
from holdfast.drills.numbers import Gap
from holdfast.drills.record import DrillRecord, Moment, PathNumbers, Struck

_LANE, _ROW = 30.0, 19.0
_LETTER = 5.9  # the mean width of a letter of a note, in px
_MOST_ROWS = 6
# Shorter gaps than this are not drawn: they would be specks.
_SPECK_S = 1.0

# Signs of 10 px around their own middle: a kind can be told by its form alone.
MARKS: Mapping[str, str] = {
    "role": "M0-5.2L5.2 0L0 5.2L-5.2 0z",
    "milestone": "M-3.6-5L5 0L-3.6 5z",
    "finding": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "violation": "M-5-3L-3-5L0-2L3-5L5-3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0z",
    "deed": "M-4.2-4.2h8.4v8.4h-8.4z",
}
LANES: Mapping[str, str] = {
    "deed": "done to it",
    "violation": "violations",
    "role": "roles",
    "milestone": "failover",
    "finding": "findings",
}


@dataclass(frozen=True, slots=True)
class Note:
    """A moment with the row it was given, and where its words stand; no words where there was no room."""

    moment: Moment
    row: int
    words: str
    before: bool = False


def timeline(drill: DrillRecord, name: str) -> str:
    """Return the timeline; ``name`` makes its ids unique on the page."""
    time = Time(drill.length_s)
    body: list[str] = []
    y = 8.0
    for struck in drill.struck:
        body.append(_fault(struck, time, y))
        y += 22
    body.append(_label("faults", 8, y - 8) if drill.struck else "")
    for each in drill.paths:
        body.append(_lane(drill, each, time, y + 6))
        y += _LANE
    y += 8
    for kind in LANES:
        placed = notes(moments(drill, kind), time)
        if placed:
            body += [_rule(y), *_notes(kind, placed, time, y + 4)]
            y += 8 + _ROW * (1 + max(each.row for each in placed))
    grounds = (fault_bands(drill, time, 4, y), time_axis(time, 4, y))
    return picture(f"{name}-time", xml(f"Timeline of {drill.title}"), xml(_about(drill)), y + 24, (*grounds, *body))


def _about(drill: DrillRecord) -> str:
    faults = "; ".join(f"{each.title} from {at(each.from_s)} to {at(each.to_s)}" for each in drill.struck)
    gaps = "; ".join(f"{each.name}: longest gap {duration(each.longest_gap_s)}" for each in drill.paths)
    return f"{faults or 'no fault'}. {gaps}. The table below says the same."


def _label(words: str, top: float, height: float) -> str:
    return text(LEFT - 12, top + height / 2 + 4, short(words, 15), "lane-name", "end")


def _rule(y: float) -> str:
    return tag("path", d=f"M8 {y:g}H{RIGHT:g}", class_="rule")


def _fault(struck: Struck, time: Time, y: float) -> str:
    box = time.box(struck.from_s, struck.to_s, y, 16)
    bit = "" if struck.bit else " (did not bite)"
    words = short(f"{struck.fault}: {listed(struck.hosts, 4)}{bit}", 60)
    needed = _LETTER * len(words) + 12
    class_ = "fault" if struck.bit else "fault blunt"
    if box.width > needed:
        said = text(box.x + 8, y + 12, words, "on-fault" if struck.bit else "note")
    elif box.right + needed < RIGHT:
        said = text(box.right + 6, y + 12, words, "note")
    else:
        said = text(box.x - 6, y + 12, words, "note", "end")
    return group(rect(box, class_, 3), said, title=f"{struck.title}{bit}")


def gaps(drill: DrillRecord, each: PathNumbers) -> tuple[Gap, ...]:
    """Return the gaps of a path that can be seen: its longest, and others that its points show."""
    longest = Gap(each.gap_from_s, each.gap_from_s + each.longest_gap_s)
    done = sorted(
        point.at_s + point.took_s for point in drill.points if point.path == each.name and _ok(point.outcome)
    )
    found = [Gap(before, after) for before, after in pairwise(done)]
    # Points may have been thinned: only what is far longer than the usual step is a gap.
    least_s = max(_SPECK_S, drill.length_s / 150, 8 * median(gap.length_s for gap in found)) if found else 0.0
    others = (gap for gap in found if gap.length_s >= least_s and not _touch(gap, longest))
    shown = [longest] if longest.length_s >= min(_SPECK_S, drill.length_s / 150) else []
    return tuple(sorted((*shown, *others), key=lambda gap: gap.from_s))


def _ok(outcome: str) -> bool:
    return outcome == "ok"


def _touch(one: Gap, other: Gap) -> bool:
    return one.from_s < other.to_s and other.from_s < one.to_s


def _lane(drill: DrillRecord, each: PathNumbers, time: Time, y: float) -> str:
    found = gaps(drill, each)
    edges = [0.0, *(edge for gap in found for edge in (gap.from_s, gap.to_s)), drill.length_s]
    served = zip(edges[::2], edges[1::2], strict=True)
    bars = [rect(time.box(start, end, y, 18), "served", 3) for start, end in served if end > start]
    holes = [_hole(gap, time, y) for gap in found]
    title = f"{each.name}: longest gap {duration(each.longest_gap_s)} from {at(each.gap_from_s)}"
    return _label(each.name, y, 18) + group(*bars, *holes, title=title)


def _hole(gap: Gap, time: Time, y: float) -> str:
    box = time.box(gap.from_s, gap.to_s, y, 18)
    words = duration(gap.length_s)
    if box.width >= _LETTER * len(words) + 8:
        return rect(box, "hole", 2) + text(box.middle, y + 13, words, "hole-name", "middle")
    fits = box.right + _LETTER * len(words) + 12 < RIGHT
    beside = text(box.right + 6 if fits else box.x - 6, y + 13, words, "on-served", "start" if fits else "end")
    return rect(box, "hole", 2) + beside


def notes(found: Sequence[Moment], time: Time) -> tuple[Note, ...]:
    """Give every moment a row in which its words cover no others; moments beyond the last row lose their words."""
    free = [0.0] * _MOST_ROWS
    placed = []
    for moment in found:
        words = short(happened(moment), 64)
        left, right, before = _reach(moment, words, time)
        row = next((index for index, end in enumerate(free) if end <= left), None)
        placed.append(Note(moment, _MOST_ROWS - 1, "") if row is None else Note(moment, row, words, before))
        if row is not None:
            free[row] = right
    return tuple(placed)


def _reach(moment: Moment, words: str, time: Time) -> tuple[float, float, bool]:
    """Return from where to where a moment and its words reach, and whether the words stand before it."""
    begin, width = time.x(moment.at_s), _LETTER * len(words) + 14
    end = time.x(moment.until_s) if moment.until_s is not None else begin
    inside = end - begin > width + 8
    right = max(end, begin + width + 6) if inside or end == begin else end + width
    if right <= RIGHT:
        return begin - 6, right + 6, False
    return begin - width, max(end, begin) + 6, True


def _notes(kind: str, placed: Sequence[Note], time: Time, y: float) -> Iterable[str]:
    yield _label(LANES[kind], y, _ROW)
    for note in placed:
        yield _note(kind, note, time, y + _ROW * note.row + _ROW / 2)


def _note(kind: str, note: Note, time: Time, y: float) -> str:
    moment, x = note.moment, time.x(note.moment.at_s)
    end = x if moment.until_s is None else time.x(moment.until_s)
    bar = rect(Box(x, y - 5, end - x, 10), f"span {kind}", 3) if end > x else ""
    mark = tag("path", d=MARKS[kind], transform=f"translate({x:g} {y:g})", class_=f"mark {kind}")
    until = "" if moment.until_s is None else f" to {at(moment.until_s)}"
    said = f"{at(moment.at_s)}{until}: {happened(moment)}"
    return group(bar, mark, _words(note, x, end, y + 4), title=said)


def _words(note: Note, x: float, end: float, y: float) -> str:
    if not note.words:
        return ""
    if note.before:
        return text(x - 9, y, note.words, "note", "end")
    inside = end - x > _LETTER * len(note.words) + 22
    return text(x + 9 if inside or end == x else end + 6, y, note.words, "note")


def legend() -> Iterable[tuple[str, str, str]]:
    """Yield each kind of moment, its sign as a small picture, and its word."""
    for kind, words in LANES.items():
        sign = path(MARKS[kind], f"mark {kind}")
        drawn = tag("svg", sign, viewBox="-7 -7 14 14", width=14, height=14, aria_hidden="true", class_="key")
        yield kind, drawn, words
