"""Rules about the order of things: what a read had to contain, and whether one order explains all reads.

Two operations are in order when one ended before the other began; with equal times they overlap. So no rule here
ever accuses a history that some order explains.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise

from holdfast.drills.check.view import Seen, View, places
from holdfast.drills.check.words import at, few, judged, unknown
from holdfast.drills.history import Outcome
from holdfast.drills.record import Finding


def stale(view: View) -> Finding:
    """Rule 6: a read contains what was known when it began, or when the latest write that it saw began.

    At replicas only what was known longer ago than the declared bound; without a bound they are not judged.
    """
    bound_s = view.replica_bound_s
    replicas = view.replicas if bound_s is not None else ()
    if not view.primary and not replicas:
        return unknown("stale", "No read at the primary endpoint, and none at a replica that has a bound.")
    total = len(view.primary) + len(replicas)
    return judged(
        "stale",
        [*_lacking(view, view.primary, 0.0), *_lacking(view, replicas, bound_s or 0.0)],
        f"Each of {_kinds(view)} held all it had to.",
        f"{{count}} of {total} reads ({_kinds(view)}) lacked keys that were known before.",
    )


def _kinds(view: View) -> str:
    primary = f"{len(view.primary)} reads at the primary endpoint"
    if not view.replicas:
        return primary
    if view.replica_bound_s is None:
        return f"{primary} ({len(view.replicas)} at replicas are not judged: no bound is declared)"
    return f"{primary} and {len(view.replicas)} at replicas (at most {view.replica_bound_s:g} s behind)"


def _lacking(view: View, reads: Sequence[Seen], bound_s: float) -> Iterator[str]:
    """Say which reads lack what; the keys a read must contain grow with the moment it stands for."""
    order = sorted(range(len(view.writes)), key=view.known_s.__getitem__)
    required = taken = 0
    for moment_s, seen in sorted(((_moment_s(view, each), each) for each in reads), key=lambda pair: pair[0]):
        while taken < len(order) and view.known_s[order[taken]] < moment_s - bound_s:
            required |= 1 << order[taken]
            taken += 1
        if required & ~seen.bits:
            yield f"{said(seen)} lacks {few(view.names(required & ~seen.bits))}"


def _moment_s(view: View, seen: Seen) -> float:
    """Return the earliest moment a read can stand for: its start, or the latest start of a write that it saw."""
    latest = view.writes[seen.bits.bit_length() - 1].started_s if seen.bits else seen.read.started_s
    return max(latest, seen.read.started_s)


def said(seen: Seen) -> str:
    """Return a read in words."""
    where = f" on {seen.read.node}" if seen.read.node else ""
    return f"{seen.read.endpoint} read{where} by {seen.read.session} at {at(seen.read.started_s)}"


def fork(view: View) -> Finding:
    """Rule 7: of two primary reads one contains the other.

    Not asked of replicas: two healthy replicas may show two concurrent commits in two orders.
    """
    if len(view.primary) < 2:
        return unknown("fork", f"{len(view.primary)} reads at the primary endpoint: nothing to compare.")
    by_size = sorted(view.primary, key=lambda each: each.bits.bit_count())
    return judged(
        "fork",
        [_split(view, small, large) for small, large in pairwise(by_size) if small.bits & ~large.bits],
        f"One order of writes explains all {len(view.primary)} reads at the primary endpoint.",
        f"{{count}} pairs of {len(view.primary)} reads at the primary endpoint each lack what the other saw.",
    )


def _split(view: View, small: Seen, large: Seen) -> str:
    return (
        f"{said(small)} saw {few(view.names(small.bits & ~large.bits))}, "
        f"{said(large)} saw {few(view.names(large.bits & ~small.bits))} instead"
    )


def future(view: View) -> Finding:
    """Rule 7, second half: nobody sees a write that had not begun. Whoever does has a wrong clock: ours."""
    if not view.reads:
        return unknown("future", "No read before the end.")
    starts_s = [each.started_s for each in view.writes]
    return judged(
        "future",
        [
            f"{said(each)} saw {few(view.names(early))}"
            for each in view.reads
            if (early := _from(each.bits, bisect_right(starts_s, each.read.ended_s)))
        ],
        f"None of {len(view.reads)} reads saw a write before it began.",
        f"{{count}} of {len(view.reads)} reads saw a write before it began: the measuring itself is wrong.",
    )


def _from(bits: int, place: int) -> int:
    return bits >> place << place


def dual_primary(view: View) -> Finding:
    """Rule 8: once a newer timeline has acknowledged, no older one acknowledges a request that began later."""
    told = [each for each in view.writes if each.outcome is Outcome.OK and each.timeline is not None]
    if not told:
        return unknown("dual primary", "No acknowledgement told its timeline.")
    timelines = sorted({each.timeline for each in told if each.timeline is not None})
    return judged(
        "dual primary",
        _second_writers(view),
        f"{len(told)} acknowledgements came from {_in_turn(timelines)}.",
        f"{{count}} of {len(told)} writes were acknowledged on an old timeline after a newer one had taken over.",
    )


def _in_turn(timelines: Sequence[int]) -> str:
    if len(timelines) == 1:
        return f"timeline {timelines[0]} alone"
    return f"timelines {', '.join(map(str, timelines))}, one after the other"


def _second_writers(view: View) -> Iterator[str]:
    """Walk through the writes by their start, with the newest timeline that had acknowledged by then."""
    told = [(each, each.timeline) for each in view.writes if each.outcome is Outcome.OK and each.timeline is not None]
    ended = sorted(told, key=lambda pair: pair[0].ended_s)
    newest, taken = -1, 0
    for write, timeline in told:
        while ended[taken][0].ended_s < write.started_s:
            newest, taken = max(newest, ended[taken][1]), taken + 1
        if timeline < newest:
            where = f" on {write.node}" if write.node else ""
            yield (
                f"{write.key} was begun at {at(write.started_s)} and acknowledged{where} on timeline {timeline}; "
                f"timeline {newest} had acknowledged before"
            )


def session(view: View) -> Finding:
    """Rule 9: at the primary endpoint a session sees its own acknowledged writes, and all that it saw before."""
    reads = _by_session(view.primary)
    owed = _owed(view)
    asked = sum(_has_history(owed.get(name, ()), each) for name, of in reads.items() for each in of)
    if not asked:
        return unknown("session", "No session read at the primary endpoint after a write or a read of its own.")
    return judged(
        "session",
        [text for name, of in reads.items() for text in _behind(view, of, owed.get(name, ()))],
        f"{asked} reads held what their own session had written and read before.",
        f"{{count}} of {asked} reads lacked what their own session had written or read before.",
    )


# From when on (seconds) which keys are owed: bits, and by how much they must be shifted. A single shifted bit is as
# long as all keys, so it is not shifted before it is needed.
Owed = tuple[tuple[float, int, int], ...]


def _by_session(reads: Iterable[Seen]) -> dict[str, list[Seen]]:
    ordered = sorted(reads, key=lambda each: (each.read.session, each.read.started_s))
    return {name: list(group) for name, group in groupby(ordered, key=lambda each: each.read.session)}


def _owed(view: View) -> dict[str, Owed]:
    """Return for each session, from when on which keys were owed to it, sorted by time."""
    found: dict[str, list[tuple[float, int, int]]] = {}
    for place in places(view.acked):
        write = view.writes[place]
        found.setdefault(write.session, []).append((write.ended_s, 1, place))
    for each in view.primary:
        found.setdefault(each.read.session, []).append((each.read.ended_s, each.bits, 0))
    return {name: tuple(sorted(debts)) for name, debts in found.items()}


def _has_history(debts: Owed, seen: Seen) -> bool:
    return bool(debts) and debts[0][0] < seen.read.started_s


def _behind(view: View, reads: Iterable[Seen], debts: Owed) -> Iterator[str]:
    owed = taken = 0
    for seen in reads:
        while taken < len(debts) and debts[taken][0] < seen.read.started_s:
            owed, taken = owed | debts[taken][1] << debts[taken][2], taken + 1
        if owed & ~seen.bits:
            yield f"{said(seen)} lacks {few(view.names(owed & ~seen.bits))}"
