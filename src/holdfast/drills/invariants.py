"""What one member at most may be: who was seen in such a role, from when until when, and when two were. Pure.

A role is only taken as held between two answers that both say so: an overlap that is reported was there. One that is
shorter than the time between two questions may be missed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from holdfast.drills.record import Moment

# Between two answers that lie farther apart nothing is known.
BRIDGE_S = 1.0
# Shorter times without a holder are those between two questions.
NOBODY_S = 0.6


@dataclass(frozen=True, slots=True)
class Role:
    """A role that one at most may have. ``deed``: what the holder does ("leads the database").

    ``joined``: every member speaks for itself, so what all say belongs together; else each observer sees all
    holders, and only what one observer saw counts (two sides of a cut network may each have a holder).
    ``asked``: whose answers it takes to say that nobody has it.
    """

    name: str
    deed: str
    joined: bool = True
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer: ``by`` whom, and who held the role at some moment between asking and answering (drill's clock)."""

    role: str
    by: str
    holders: tuple[str, ...]
    asked_s: float
    answered_s: float
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Stint:
    """A time during which a host was seen in a role without interruption."""

    role: str
    by: str
    host: str
    from_s: float
    to_s: float
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Overlap:
    """A time during which two or more had a role that one at most may have."""

    role: str
    holders: frozenset[tuple[str, str]]
    seen_by: frozenset[str]
    from_s: float
    to_s: float


def stints(samples: Iterable[Sample], bridge_s: float = BRIDGE_S) -> tuple[Stint, ...]:
    """Return all stints, sorted by begin."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for each in samples:
        # An answer that took longer tells of a moment that nobody knows.
        if each.answered_s - each.asked_s <= bridge_s:
            groups.setdefault((each.role, each.by), []).append(each)
    found = [stint for group in groups.values() for stint in _stints_of(group, bridge_s)]
    return tuple(sorted(found, key=lambda each: (each.from_s, each.host, each.by)))


def _stints_of(group: list[Sample], bridge_s: float) -> Iterable[Stint]:
    opened: dict[tuple[str, str], tuple[Sample, Sample]] = {}
    for each in sorted(group, key=lambda sample: sample.asked_s):
        held = {(host, each.mark) for host in each.holders}
        for key in [key for key, (_, last) in opened.items() if key not in held or _apart(last, each, bridge_s)]:
            yield _stint(key, *opened.pop(key))
        opened |= {key: (opened[key][0] if key in opened else each, each) for key in held}
    for key, (first, last) in opened.items():
        yield _stint(key, first, last)


def _apart(before: Sample, after: Sample, bridge_s: float) -> bool:
    # From the earliest moment the one may speak of to the latest of the other: either may be an answer of a machine
    # that stood still between asking and answering.
    return after.answered_s - before.asked_s > bridge_s


def _stint(key: tuple[str, str], first: Sample, last: Sample) -> Stint:
    return Stint(first.role, first.by, key[0], first.answered_s, max(last.asked_s, first.answered_s), key[1])


def overlaps(roles: Sequence[Role], seen: Sequence[Stint], errors_s: Mapping[str, float]) -> tuple[Overlap, ...]:
    """Return when a role had two holders. ``errors_s``: how far off each observer's clock may be."""
    found = []
    for role in roles:
        own = [each for each in seen if each.role == role.name]
        found += [_both(one, other) for one, other in combinations(own, 2) if _collide(role, one, other, errors_s)]
    return _merged(found)


def _collide(role: Role, one: Stint, other: Stint, errors_s: Mapping[str, float]) -> bool:
    if one.host == other.host or (not role.joined and one.by != other.by):
        return False
    # One observer has one clock.
    slack_s = 0.0 if one.by == other.by else errors_s.get(one.by, 0.0) + errors_s.get(other.by, 0.0)
    return min(one.to_s, other.to_s) - max(one.from_s, other.from_s) > slack_s


def _both(one: Stint, other: Stint) -> Overlap:
    return Overlap(
        one.role,
        frozenset({(one.host, one.mark), (other.host, other.mark)}),
        frozenset({one.by, other.by}),
        max(one.from_s, other.from_s),
        min(one.to_s, other.to_s),
    )


def _merged(found: Iterable[Overlap]) -> tuple[Overlap, ...]:
    """Put together what is one thing: overlaps of one role that touch each other, whoever saw them."""
    result: list[Overlap] = []
    for each in sorted(found, key=lambda overlap: (overlap.role, overlap.from_s)):
        last = result[-1] if result else None
        if last is not None and last.role == each.role and each.from_s <= last.to_s:
            both, by = last.holders | each.holders, last.seen_by | each.seen_by
            result[-1] = replace(last, holders=both, seen_by=by, to_s=max(last.to_s, each.to_s))
        else:
            result.append(each)
    return tuple(sorted(result, key=lambda overlap: overlap.from_s))


def violations(
    roles: Sequence[Role], samples: Iterable[Sample], errors_s: Mapping[str, float], period_s: float
) -> tuple[Moment, ...]:
    """Return each time a role had two holders, with its duration in words (``period_s``: between two questions)."""
    joined = {role.name: role.joined for role in roles}
    found = overlaps(roles, stints(samples), errors_s)
    return tuple(
        Moment(each.from_s, "violation", _words(each, joined[each.role], period_s), until_s=each.to_s)
        for each in found
    )


def _words(overlap: Overlap, joined: bool, period_s: float) -> str:
    who = " and ".join(_marked(host, mark) for host, mark in sorted(overlap.holders))
    length_s = overlap.to_s - overlap.from_s
    heard = "" if joined else f", heard by {' and '.join(sorted(overlap.seen_by))}"
    return (
        f"{overlap.role}: {who} at once for {length_s:.2f} s{heard} "
        f"(asked every {period_s:g} s: up to {2 * period_s:g} s more)"
    )


def _marked(host: str, mark: str) -> str:
    return f"{host} ({mark})" if mark else host


def role_moments(
    roles: Sequence[Role], samples: Sequence[Sample], begin_s: float, end_s: float
) -> tuple[Moment, ...]:
    """Return who had which role from when until when, and when nobody was seen in it."""
    found: list[Moment] = []
    for role in roles:
        own = [each for each in samples if each.role == role.name]
        held = _by_host(stints(own))
        found += [_holding(role, each, end_s) for each in held]
        found += [_nobody(role, own, gap, end_s) for gap in _gaps(held, begin_s, end_s)]
    return tuple(sorted(found, key=lambda each: (each.at_s, each.text)))


def _by_host(seen: Iterable[Stint]) -> list[Stint]:
    """Put together what several observers saw of one holder."""
    result: list[Stint] = []
    for each in sorted(seen, key=lambda stint: (stint.host, stint.mark, stint.from_s)):
        last = result[-1] if result else None
        if last and (last.host, last.mark) == (each.host, each.mark) and each.from_s - last.to_s <= BRIDGE_S:
            result[-1] = replace(last, to_s=max(last.to_s, each.to_s))
        else:
            result.append(each)
    return result


def _holding(role: Role, stint: Stint, end_s: float) -> Moment:
    until_s = None if stint.to_s >= end_s - BRIDGE_S else stint.to_s
    who = f"{stint.host} {role.deed}"
    return Moment(stint.from_s, "role", _marked(who, stint.mark), stint.host, until_s)


def _gaps(held: Iterable[Stint], begin_s: float, end_s: float) -> list[tuple[float, float]]:
    found, edge_s = [], begin_s
    for each in sorted(held, key=lambda stint: stint.from_s):
        if each.from_s - edge_s > NOBODY_S:
            found.append((edge_s, each.from_s))
        edge_s = max(edge_s, each.to_s)
    return [*found, (edge_s, end_s)] if end_s - edge_s > BRIDGE_S else found


def _silent(by: str, samples: Iterable[Sample], gap: tuple[float, float]) -> bool:
    begin_s, until_s = gap
    own = sorted(each.answered_s for each in samples if each.by == by and begin_s < each.answered_s < until_s)
    return any(after - before > BRIDGE_S for before, after in pairwise([begin_s, *own, until_s]))


def _nobody(role: Role, samples: Sequence[Sample], gap: tuple[float, float], end_s: float) -> Moment:
    begin_s, until_s = gap
    silent = [by for by in sorted(role.asked.union(each.by for each in samples)) if _silent(by, samples, gap)]
    hedge = f", as far as could be seen ({', '.join(silent)} did not always answer)" if silent else ""
    open_end = until_s >= end_s
    return Moment(begin_s, "role", f"nobody {role.deed}{hedge}", until_s=None if open_end else until_s)
