"""What a history shows, in numbers. Pure; rounds to the worse side, never to the better."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from holdfast.drills.history import Kind, Operation, Outcome, of_kind


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without any success, in seconds of the history's clock."""

    from_s: float
    to_s: float

    @property
    def length_s(self) -> float:
        """How long it was."""
        return self.to_s - self.from_s


@dataclass(frozen=True, slots=True)
class Tally:
    """The operations of one kind in numbers; latencies are those of acknowledged ones, from the intended start."""

    operations: int
    ok: int
    fail: int
    indeterminate: int
    requests: int
    failed_requests: int
    p50_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class Account:
    """Orders acknowledged compared with the orders that are there in the end.

    ``lost``: acknowledged and gone, or there under another number. ``doubled``: keys that made more than one order.
    ``resurrected``: refused and there nevertheless. ``took_effect``: indeterminate ones that are there.
    """

    acknowledged: int
    read_back: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    resurrected: tuple[str, ...]
    took_effect: int

    @property
    def clean(self) -> bool:
        """Whether every order is exactly what its customer was told."""
        return not (self.lost or self.doubled or self.resurrected)

    def as_json(self) -> dict[str, Any]:
        """Return the account as plain data."""
        return asdict(self)


def successes(history: Iterable[Operation], kind: Kind) -> tuple[float, ...]:
    """Return when operations of a kind were acknowledged, sorted."""
    return tuple(sorted(each.ended_s for each in of_kind(history, kind) if each.ok))


def longest_gap(moments_s: Iterable[float], begin_s: float, end_s: float) -> Gap:
    """Return the longest time between two moments, within an interval whose ends count as moments too.

    Nothing outside the interval counts. The first of several equally long ones. Raises ValueError when the
    interval ends before it begins.
    """
    if end_s < begin_s:
        raise ValueError(f"the interval ends at {end_s} before it begins at {begin_s}")
    marks = [begin_s, *sorted(each for each in moments_s if begin_s <= each <= end_s), end_s]
    gaps = (Gap(before, after) for before, after in pairwise(marks))
    return max(gaps, key=lambda gap: gap.length_s)


def steady(moments_s: Iterable[float], now_s: float, window_s: float, gap_max_s: float) -> bool:
    """Return whether success came all the time in the window that ends now."""
    return longest_gap(moments_s, now_s - window_s, now_s).length_s <= gap_max_s


def kept_up(history: Iterable[Operation], now_s: float, window_s: float, late_s: float) -> bool:
    """Return whether a load is carried: what was to begin in a window was done, each within ``late_s``.

    The window ends ``late_s`` before now: what began in it and is not done yet is late. Single ones may be, or fail;
    no pause of ``late_s`` may be between two that were done in time.
    """
    in_time = [each.intended_s for each in history if each.ok and each.ended_s - each.intended_s <= late_s]
    return steady(in_time, now_s - late_s, window_s, late_s)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that so many percent do not exceed (nearest rank); None without values."""
    if not values:
        return None
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def tally(history: Iterable[Operation], kind: Kind) -> Tally:
    """Count the operations of one kind."""
    own = of_kind(history, kind)
    outcomes = Counter(each.outcome for each in own)
    latencies_s = [each.ended_s - each.intended_s for each in own if each.ok]
    return Tally(
        operations=len(own),
        ok=outcomes[Outcome.OK],
        fail=outcomes[Outcome.FAIL],
        indeterminate=outcomes[Outcome.INDETERMINATE],
        requests=sum(each.tries for each in own),
        failed_requests=sum(each.failed_requests for each in own),
        p50_s=percentile(latencies_s, 50),
        p99_s=percentile(latencies_s, 99),
    )


def account(history: Iterable[Operation], read_back: Sequence[tuple[str, int]]) -> Account:
    """Compare what customers were told with all orders that were read back: their keys and numbers."""
    writes = of_kind(history, Kind.WRITE)
    found: dict[str, list[int]] = {}
    for key, order in read_back:
        found.setdefault(key, []).append(order)
    return Account(
        acknowledged=sum(each.ok for each in writes),
        read_back=len(read_back),
        lost=_keys(each for each in writes if each.ok and each.order not in found.get(each.key, [])),
        doubled=_keys(each for each in writes if len(found.get(each.key, [])) > 1),
        resurrected=_keys(each for each in writes if each.outcome is Outcome.FAIL and each.key in found),
        took_effect=sum(each.outcome is Outcome.INDETERMINATE and each.key in found for each in writes),
    )


def _keys(operations: Iterable[Operation]) -> tuple[str, ...]:
    return tuple(sorted({each.key for each in operations}))


def rounded_up(value: float, digits: int = 1) -> float:
    """Return a number rounded to the worse side: what is printed is never better than what was measured."""
    scale: int = 10**digits
    # The small subtraction keeps 0.3 from becoming 0.4 by the way floats are stored.
    return math.ceil(value * scale - 1e-9) / scale
