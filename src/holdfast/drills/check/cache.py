"""The rule for a cache: it may lose what it acknowledged last before it was struck, and nothing else."""

import math
from collections.abc import Iterable, Sequence

from holdfast.drills.check.values import CacheHistory, Write
from holdfast.drills.check.words import at, judged, unknown
from holdfast.drills.history import Outcome
from holdfast.drills.record import Finding

RULE = "cache lost"


def check_cache(history: CacheHistory) -> tuple[Finding, ...]:
    """Judge a cache: every acknowledged key is there, but those acknowledged within the bound of a failure's begin.

    The bound holds to both sides of that moment. *Before* it: what was not copied yet dies with a primary. *After*
    it: a primary that is cut off with its clients must refuse them within the bound. A failure that lasts longer
    than the bound is no excuse for the rest of it, or a cache that goes on alone would never be found out.
    """
    if history.final is None:
        return (unknown(RULE, "The keys of the cache could not be read in the end."),)
    acked = [each for each in history.writes if each.outcome is Outcome.OK]
    if not acked:
        return (unknown(RULE, "No write to the cache was acknowledged."),)
    lost = [each for each in acked if each.key not in history.final]
    counts = f"{len(lost)} of {len(acked)} acknowledged keys are gone"
    return (
        judged(
            RULE,
            [_told(each, history) for each in lost if abs(age_s(each, history.failures_s)) > history.bound_s],
            f"{counts}{_measured(lost, history)} (allowed: {history.bound_s:g} s).",
            f"{counts}{_measured(lost, history)}; {{count}} of them farther from a failure's begin than the allowed "
            f"{history.bound_s:g} s.",
        ),
    )


def age_s(write: Write, failures_s: Iterable[tuple[float, float]]) -> float:
    """Return how long before the begin of a failure a write was acknowledged; negative: so long after it.

    Of all failures that can excuse its loss, because they were not over yet, the one whose begin is nearest.
    Infinity when there is none.
    """
    ages_s = [begin_s - write.ended_s for begin_s, end_s in failures_s if write.ended_s <= end_s]
    return min(ages_s, key=abs, default=math.inf)


def _told(write: Write, history: CacheHistory) -> str:
    far_s = abs(age_s(write, history.failures_s))
    where = f"{far_s:.3f} s from a failure's begin" if math.isfinite(far_s) else "with no failure after it"
    return f"{write.key}, acknowledged at {at(write.ended_s)}, {where}"


def _measured(lost: Sequence[Write], history: CacheHistory) -> str:
    """Return the measured bound in words: how old the oldest lost write was when the failure began."""
    ages_s = [age_s(each, history.failures_s) for each in lost]
    before = [each for each in ages_s if 0 <= each < math.inf]
    during = [-each for each in ages_s if each < 0]
    parts = [
        f"the oldest {max(before):.3f} s before a failure" if before else "",
        f"the latest {max(during):.3f} s after one had begun" if during else "",
        f"{ages_s.count(math.inf)} without any failure" if math.inf in ages_s else "",
    ]
    said = ", ".join(each for each in parts if each)
    return f", {said}" if said else ""
