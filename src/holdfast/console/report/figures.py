"""What all reports say alike: verdicts, counts and the worst of everything, in words. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast.console.words import counted, listed, unique
from holdfast.drills.numbers import rounded_up
from holdfast.drills.record import DrillRecord, Moment, PathNumbers, Promise, Proof, Struck, Unsupported, Verdict
from holdfast.drills.result import seconds

_WORST_FIRST = (Verdict.BROKEN, Verdict.UNKNOWN, Verdict.KEPT)
_UNITS_S: Mapping[str, float] = {"ms": 0.001, "min": 60.0, "h": 3600.0}
_AMOUNT = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s*(ms|min|h)?\b")
PHASES = ("detect", "elect", "promote", "route")


@dataclass(frozen=True, slots=True)
class Worst:
    """A promise over all drills: the worst that was measured, in which drill, and in how many it was measured."""

    promise: Promise
    drill: str
    drills: int


def duration(value_s: float | None) -> str:
    """Return a length of time for people, rounded up: ``830 ms``, ``21.4 s``, ``12 min 5 s``; ``–`` for None."""
    if value_s is None or value_s < 120:
        return seconds(value_s)
    minutes, rest = divmod(int(rounded_up(value_s, 0)), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def at(moment_s: float) -> str:
    """Return a moment of the drill's clock for people."""
    return f"{moment_s:.1f} s"


def day(iso: str) -> str:
    """Return a moment as ``2026-11-21 05:11:02 UTC``; words that are no moment as they are."""
    try:
        return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return iso


def number(value: int | None) -> str:
    """Return a count with its thousands apart; ``–`` for None."""
    return "–" if value is None else f"{value:,}"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of verdicts: broken, then unknown, then kept; unknown when there are none."""
    found = set(verdicts)
    return next((each for each in _WORST_FIRST if each in found), Verdict.UNKNOWN)


def tally(proof: Proof) -> Mapping[Verdict, int]:
    """Return how many drills ended with each verdict."""
    counts = Counter(each.verdict for each in proof.drills)
    return {each: counts[each] for each in Verdict}


def headline(proof: Proof) -> str:
    """Return the outcome of all drills in one short sentence."""
    counts, every = tally(proof), len(proof.drills)
    if not every:
        return "No drill was run"
    if counts[Verdict.KEPT] == every:
        return (
            "Every promise was kept in the only drill" if every == 1 else f"Every promise was kept in {every} drills"
        )
    parts = [f"{counts[each]} {each.value}" for each in _WORST_FIRST if counts[each]]
    return f"{', '.join(parts)}, of {counted(every, 'drill')}"


def is_write(path: PathNumbers) -> bool:
    """Return whether a path writes."""
    return "write" in path.name.lower().split()


def writes(proof: Proof) -> int:
    """Return how many writes were acknowledged in all drills."""
    return sum(path.acknowledged for drill in proof.drills for path in drill.paths if is_write(path))


def faults(proof: Proof) -> tuple[Struck, ...]:
    """Return every fault that was struck."""
    return tuple(struck for drill in proof.drills for struck in drill.struck)


def violations(drills: Iterable[DrillRecord]) -> int:
    """Return how many rules and promises were found broken, and how often an invariant was seen violated."""
    every = tuple(drills)
    found = [each.verdict for drill in every for each in drill.findings]
    found += [each.verdict for drill in every for each in drill.promises]
    return found.count(Verdict.BROKEN) + sum(len(moments(drill, "violation")) for drill in every)


def claim(proof: Proof) -> str:
    """Return what was seen and of how much: counts and the seed, for nothing more can be said."""
    struck = [each for each in faults(proof) if each.bit]
    seen = f"{counted(len(proof.drills), 'drill')}, {_many(writes(proof), 'acknowledged write')}"
    return f"{_seen_broken(proof)} in {seen}, {counted(len(struck), 'fault')}, seed {proof.seed}"


def _seen_broken(proof: Proof) -> str:
    found, broken = violations(proof.drills), tally(proof)[Verdict.BROKEN]
    if found:
        return counted(found, "violation")
    # A drill can be broken by what is no rule and no promise, a cluster that stays ill for one.
    return f"{counted(broken, 'broken drill')}" if broken else "no violation"


def _many(value: int, noun: str) -> str:
    return f"{number(value)} {noun}{'' if value == 1 else 's'}"


def path_names(drills: Iterable[DrillRecord]) -> tuple[str, ...]:
    """Return the names of all paths, in the order they first appear."""
    return unique(path.name for drill in drills for path in drill.paths)


def gap(drill: DrillRecord, name: str) -> float | None:
    """Return the longest gap of a path in seconds; None when the drill did not watch it."""
    return next((path.longest_gap_s for path in drill.paths if path.name == name), None)


def lost(paths: Sequence[PathNumbers]) -> int | None:
    """Return how many acknowledged writes were lost; None when nothing was read back."""
    known = [path.lost for path in paths if path.lost is not None]
    return sum(known) if known else None


def where_lost(paths: Sequence[PathNumbers]) -> str:
    """Return on which paths writes were lost, and which could not be read back; "" when none and all could."""
    gone = unique(path.name for path in paths if path.lost)
    blind = unique(path.name for path in paths if is_write(path) and path.lost is None and path.acknowledged)
    return "; ".join((*gone, *(f"{name} not read back" for name in blind)))


def loss(paths: Sequence[PathNumbers]) -> str:
    """Return how many acknowledged writes were lost and on which paths, in words: ``3 (write order)``."""
    where = where_lost(paths)
    return f"{number(lost(paths))} ({where})" if where else number(lost(paths))


def worst_promises(drills: Iterable[DrillRecord]) -> tuple[Worst, ...]:
    """Return every promise with the worst that was measured of it."""
    groups: dict[tuple[str, str], list[tuple[Promise, str]]] = {}
    for drill in drills:
        for promise in drill.promises:
            groups.setdefault((promise.sentence, promise.target), []).append((promise, drill.title))
    return tuple(_worst(own) for own in groups.values())


def _worst(own: Sequence[tuple[Promise, str]]) -> Worst:
    promise, drill = max(own, key=lambda each: (-_WORST_FIRST.index(each[0].verdict), amount(each[0].measured)))
    return Worst(promise, drill, len(own))


def amount(words: str) -> float:
    """Return the first amount in words, times in seconds (``830 ms`` is 0.83); -1 when there is none."""
    found = _AMOUNT.search(words)
    return float(found[1].replace(",", "")) * _UNITS_S.get(found[2] or "", 1.0) if found else -1.0


def phases(drill: DrillRecord) -> tuple[tuple[str, float], ...]:
    """Return the phases of the failover, the known ones in their order, then any others by time."""
    known = [(name, drill.phases_s[name]) for name in PHASES if name in drill.phases_s]
    others = sorted((item for item in drill.phases_s.items() if item[0] not in PHASES), key=lambda item: item[1])
    return (*known, *others)


def healed(drill: DrillRecord) -> str:
    """Return how the cluster became whole again."""
    if drill.by_hand:
        return f"by hand: {drill.by_hand}"
    if drill.whole_after_s is None:
        return "not healthy in the end"
    return f"by itself, {duration(drill.whole_after_s)} after the fault was over"


def old_side(drill: DrillRecord) -> str:
    """Return how long the cut-off side still acknowledged writes."""
    if drill.old_side_acked_s is None:
        return "not watched"
    if drill.old_side_acked_s <= 0:
        return "acknowledged nothing after the fault"
    return f"acknowledged writes for {duration(drill.old_side_acked_s)} after the fault"


def happened(moment: Moment) -> str:
    """Return what happened, its host before it unless the words name that already."""
    named = set(re.findall(r"[\w.-]+", moment.text)) >= set(re.findall(r"[\w.-]+", moment.host))
    return moment.text if named else f"{moment.host}: {moment.text}"


def whom(struck: Struck) -> str:
    """Return whom a fault struck: the word and what it meant then."""
    hosts = listed(struck.hosts, 9)
    return f"{struck.aimed} = {hosts}" if struck.aimed and struck.aimed != hosts else hosts or "nobody"


def when(struck: Struck) -> str:
    """Return when a fault was in force."""
    if struck.to_s <= struck.from_s:
        return f"at {at(struck.from_s)}"
    switch = ", ended by its dead man's switch" if struck.by_switch else ""
    return f"{at(struck.from_s)} to {at(struck.to_s)}{switch}"


def unaimed(fault: Unsupported) -> str:
    """Return what a fault would do; its title may still have a place for the hosts that it would have struck."""
    return fault.title.replace("{hosts}", "a host")


def moments(drill: DrillRecord, *kinds: str) -> tuple[Moment, ...]:
    """Return the moments of some kinds, by time."""
    return tuple(sorted((each for each in drill.moments if each.kind in kinds), key=lambda each: each.at_s))
