"""Rules for a grow-only set: is everything there that was acknowledged, and did nobody ever see it otherwise?

Rules 1 to 7 (``lost`` to ``future``) together are linearizability of the set, no more and no less, for what was
written and for what was read at the primary endpoint. docs/explanation/checker.md says why.
"""

from collections import Counter
from collections.abc import Iterable

from holdfast.drills.check.ordering import dual_primary, fork, future, session, stale
from holdfast.drills.check.values import LedgerHistory
from holdfast.drills.check.view import View, places, union, view_of
from holdfast.drills.check.words import at, few, judged, unknown
from holdfast.drills.record import Finding

NO_FINAL = "Nothing could be read back in the end."
NO_READ = "Nothing was ever read."


def check_ledger(history: LedgerHistory) -> tuple[Finding, ...]:
    """Judge a ledger by every rule: one finding each, always in the same order.

    Raises ValueError for what cannot be a history: a key that two operations wrote, an operation that ended before
    it began, an endpoint that is neither primary nor replica.
    """
    view = view_of(history)
    return (
        _lost(view),
        _phantom(view),
        _resurrected(view),
        _duplicated(view),
        _vanished(view),
        stale(view),
        fork(view),
        future(view),
        dual_primary(view),
        session(view),
        _members_differ(history),
    )


def _lost(view: View) -> Finding:
    """A member that lacks the key is enough: which one leads tomorrow is not known today."""
    total = view.acked.bit_count()
    if not view.finals:
        return unknown("lost", NO_FINAL)
    if not total:
        return unknown("lost", "No write was acknowledged.")
    return judged(
        "lost",
        [_missing(view, place) for place in places(view.acked & ~view.kept_everywhere)],
        f"All {total} acknowledged writes are there in the end.",
        f"{{count}} of {total} acknowledged writes are gone in the end.",
    )


def _missing(view: View, place: int) -> str:
    write = view.writes[place]
    lacking = [member for member, keys in view.finals.items() if not keys.bits >> place & 1]
    return f"{write.key}, acknowledged at {at(write.ended_s)}, is not on {few(lacking)}"


def _phantom(view: View) -> Finding:
    if not view.answers:
        return unknown("phantom", NO_READ)
    return judged(
        "phantom",
        _each_once(each.strangers for each in view.answers),
        f"Nothing was read that nobody wrote ({len(view.answers)} reads).",
        "{count} keys were read that nobody wrote.",
    )


def _resurrected(view: View) -> Finding:
    if not view.answers:
        return unknown("resurrected", NO_READ)
    total = view.refused.bit_count()
    return judged(
        "resurrected",
        view.names(view.refused & union(each.bits for each in view.answers)),
        f"None of {total} refused writes had an effect.",
        f"{{count}} of {total} writes that were certainly refused were read nevertheless.",
    )


def _duplicated(view: View) -> Finding:
    if not view.answers:
        return unknown("duplicated", NO_READ)
    return judged(
        "duplicated",
        _each_once(each.doubled for each in view.answers),
        f"Each key was there once in each of {len(view.answers)} reads.",
        "{count} keys were there more than once.",
    )


def _each_once(groups: Iterable[Iterable[str]]) -> list[str]:
    return sorted({key for keys in groups for key in keys})


def _vanished(view: View) -> Finding:
    seen = union(each.bits for each in view.reads)
    if not view.finals:
        return unknown("vanished", NO_FINAL)
    if not seen:
        return unknown("vanished", "No read saw any key before the end.")
    return judged(
        "vanished",
        view.names(seen & ~view.kept_everywhere),
        f"All {seen.bit_count()} keys that a client ever saw are there in the end.",
        f"{{count}} of {seen.bit_count()} keys that a client saw are gone in the end.",
    )


def _members_differ(history: LedgerHistory) -> Finding:
    """Of healed members at rest only: whoever reads earlier finds replicas behind, as they may be."""
    members = sorted(history.final)
    if len(members) < 2:
        return unknown("members differ", f"{len(members)} members could be read in the end: nothing to compare.")
    first, *others = members
    counts = Counter(history.final[first])
    return judged(
        "members differ",
        [
            f"{_some(counts - there)} on {first} only, {_some(there - counts)} on {other} only"
            for other in others
            if (there := Counter(history.final[other])) != counts
        ],
        f"{len(members)} members have the same {counts.total()} keys: {few(members)}.",
        f"{{count}} of {len(members)} members have other keys than {first}.",
    )


def _some(keys: Counter[str]) -> str:
    return few(sorted(keys.elements())) or "nothing"
