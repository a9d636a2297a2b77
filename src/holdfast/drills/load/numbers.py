"""One path in numbers. Pure; rounds to the worse side, never to the better."""

from collections import Counter
from collections.abc import Collection, Iterable

from holdfast.drills.history import History, Kind, Operation, Outcome
from holdfast.drills.numbers import longest_gap, percentile, rounded_up
from holdfast.drills.record import PathNumbers

DIGITS = 3
# A gap that is no longer interrupts nobody.
UNINTERRUPTED_S = 0.5


def path_numbers(
    name: str,
    operations: History,
    begin_s: float,
    end_s: float,
    first_fault_s: float | None = None,
    present: Collection[str] | None = None,
) -> PathNumbers:
    """Return what clients of one path saw between two moments.

    ``present``: keys that were read back in the end, None when nothing could be read or the path does not write.
    """
    outcomes = Counter(each.outcome for each in operations)
    latencies_s = [each.ended_s - each.intended_s for each in operations if each.ok]
    moments_s = tuple(sorted(each.ended_s for each in operations if each.ok))
    gap = longest_gap(moments_s, begin_s, end_s)
    return PathNumbers(
        name=name,
        acknowledged=outcomes[Outcome.OK],
        failed=outcomes[Outcome.FAIL],
        indeterminate=outcomes[Outcome.INDETERMINATE],
        took_effect=_counted(operations, Outcome.INDETERMINATE, present, there=True),
        lost=_counted(operations, Outcome.OK, present, there=False),
        longest_gap_s=rounded_up(gap.length_s, DIGITS),
        gap_from_s=gap.from_s,
        recovered_s=recovered_s(moments_s, begin_s, first_fault_s, end_s),
        p50_s=_up(percentile(latencies_s, 50)),
        p99_s=_up(percentile(latencies_s, 99)),
        p999_s=_up(percentile(latencies_s, 99.9)),
    )


def _counted(operations: History, outcome: Outcome, present: Collection[str] | None, *, there: bool) -> int | None:
    if present is None:
        return None
    return sum((each.key in present) is there for each in _writes(operations) if each.outcome is outcome)


def _writes(operations: History) -> Iterable[Operation]:
    return (each for each in operations if each.kind is Kind.WRITE)


def _up(value: float | None) -> float | None:
    return None if value is None else rounded_up(value, DIGITS)


def recovered_s(
    moments_s: tuple[float, ...], begin_s: float, first_fault_s: float | None, end_s: float
) -> float | None:
    """Return the time from the first fault to the first success after the longest gap that follows it.

    0 when no gap was longer than half a second, or than twice the longest before the fault: nothing was interrupted.
    None without a fault, and when no success came afterwards.
    """
    if first_fault_s is None or not begin_s <= first_fault_s <= end_s:
        return None
    gap = longest_gap(moments_s, first_fault_s, end_s)
    usual_s = longest_gap(moments_s, begin_s, first_fault_s).length_s
    if gap.length_s <= max(UNINTERRUPTED_S, 2 * usual_s):
        return 0.0
    return rounded_up(gap.to_s - first_fault_s, DIGITS) if gap.to_s in moments_s else None
