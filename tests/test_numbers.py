"""The numbers of a history never flatter."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from holdfast.drills.history import Kind, Operation, Outcome
from holdfast.drills.numbers import account, kept_up, longest_gap, percentile, rounded_up, steady, tally

MOMENTS = some.lists(some.floats(0, 100), max_size=30)
KEYS = some.sampled_from("abcdef")


def write(key: str, outcome: Outcome, order: int = 0, ended_s: float = 1.0, tries: int = 1) -> Operation:
    return Operation(Kind.WRITE, "/api/orders", 0.5, 0.6, ended_s, outcome, tries, key, order)


@given(MOMENTS, some.floats(0, 50), some.floats(50, 100))
def test_the_longest_gap_is_one_and_none_is_longer(moments: list[float], begin: float, end: float) -> None:
    gap = longest_gap(moments, begin, end)
    inside = [each for each in moments if begin <= each <= end]
    assert begin <= gap.from_s <= gap.to_s <= end
    assert not [each for each in inside if gap.from_s < each < gap.to_s], "nothing happened in a gap"
    assert gap.length_s >= (end - begin) / (len(inside) + 1) - 1e-9, "the mean is never above the maximum"
    assert all(later - earlier <= gap.length_s for earlier, later in pairwise([begin, *sorted(inside), end]))


@given(MOMENTS, some.floats(0, 100))
def test_a_further_success_never_makes_the_gap_longer(moments: list[float], more: float) -> None:
    assert longest_gap([*moments, more], 0, 100).length_s <= longest_gap(moments, 0, 100).length_s


def test_a_gap_is_clipped_to_what_was_observed() -> None:
    assert longest_gap([], 3, 10).length_s == 7
    assert longest_gap([1, 4, 20], 3, 10).length_s == 6, "what came after the end does not end a gap"
    with pytest.raises(ValueError, match="before it begins"):
        longest_gap([], 2, 1)


@given(some.lists(some.floats(0, 1e6), min_size=1, max_size=50), some.floats(0.1, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(each <= found for each in values) * 100 >= percent * len(values) - 1e-6
    assert sum(each < found for each in values) * 100 < percent * len(values) + 1e-6


def test_no_percentile_without_values() -> None:
    assert percentile([], 99) is None


@given(some.floats(0, 1e5))
def test_rounding_never_makes_a_figure_better(value: float) -> None:
    assert value - 1e-8 <= rounded_up(value) <= value + 0.1 + 1e-8


def test_steady_means_no_longer_pause_than_allowed_until_now() -> None:
    assert steady([1, 2, 3, 4], 4.5, 3.5, 1.0)
    assert not steady([1, 2, 3], 4.5, 3.5, 1.0), "the pause that lasts counts"
    assert not steady([2, 3, 4], 4.5, 3.5, 0.9)


def test_a_load_is_carried_when_what_was_to_begin_was_done_in_time() -> None:
    def told(late: Sequence[int], failed: Sequence[int] = (), until: int = 60) -> list[Operation]:
        return [
            replace(
                write(f"k{number}", Outcome.FAIL if number in failed else Outcome.OK, 1),
                intended_s=number / 10,
                ended_s=number / 10 + (2.0 if number in late else 0.1),
            )
            for number in range(until)
        ]

    assert kept_up(told(late=[33, 40]), 6.0, 3.0, 1.0)
    assert not kept_up(told(late=range(30, 41)), 6.0, 3.0, 1.0)
    assert not kept_up(told(late=(), failed=range(30, 41)), 6.0, 3.0, 1.0)
    assert not kept_up(told(late=(), until=35), 6.0, 3.0, 1.0), "what has not ended yet counts as late"
    assert not kept_up([], 6.0, 3.0, 1.0)


@given(
    some.dictionaries(KEYS, some.tuples(some.sampled_from(Outcome), some.integers(1, 9))),
    some.lists(some.tuples(KEYS, some.integers(1, 9))),
)
def test_every_order_is_accounted_for(told: dict[str, tuple[Outcome, int]], there: list[tuple[str, int]]) -> None:
    history = [write(key, outcome, number if outcome is Outcome.OK else 0) for key, (outcome, number) in told.items()]
    found = account(history, there)
    keys = [key for key, _ in there]
    acknowledged = {each.key: each.order for each in history if each.ok}
    assert found.acknowledged == len(acknowledged)
    assert set(found.lost) == {key for key, number in acknowledged.items() if (key, number) not in there}
    assert set(found.doubled) == {key for key in told if keys.count(key) > 1}
    assert set(found.resurrected) == {each.key for each in history if each.outcome is Outcome.FAIL} & set(keys)
    assert found.clean == (not (found.lost or found.doubled or found.resurrected))


@given(some.lists(some.tuples(some.sampled_from(Outcome), some.integers(1, 5))))
def test_a_tally_counts_every_request(ends: list[tuple[Outcome, int]]) -> None:
    history = [write(str(number), outcome, tries=tries) for number, (outcome, tries) in enumerate(ends)]
    found = tally(history, Kind.WRITE)
    assert found.operations == found.ok + found.fail + found.indeterminate == len(ends)
    assert found.requests == found.failed_requests + found.ok
    assert tally(history, Kind.READ).operations == 0


def test_latency_counts_from_the_intended_start() -> None:
    assert tally([write("a", Outcome.OK, 1, ended_s=3.0)], Kind.WRITE).p50_s == 2.5
