"""One path of a drill in numbers: never better than what was seen."""

import pytest

from holdfast.drills.history import Kind, Operation, Outcome
from holdfast.drills.load.numbers import path_numbers, recovered_s


def write(
    at_s: float, outcome: Outcome = Outcome.OK, took_s: float = 0.01, key: str = "", kind: Kind = Kind.WRITE
) -> Operation:
    return Operation(kind, "sql write", at_s, at_s, at_s + took_s, outcome, key=key)


def test_outcomes_are_counted_and_what_was_read_back_is_compared() -> None:
    history = (
        write(0.0, key="kept"),
        write(0.1, key="lost"),
        write(0.2, Outcome.INDETERMINATE, key="there"),
        write(0.3, Outcome.INDETERMINATE, key="not there"),
        write(0.4, Outcome.FAIL, key="failed"),
    )
    found = path_numbers("sql write", history, 0.0, 1.0, present={"kept", "there"})
    assert (found.acknowledged, found.failed, found.indeterminate) == (2, 1, 2)
    assert (found.took_effect, found.lost) == (1, 1)


def test_without_a_read_back_nothing_is_said_about_losses() -> None:
    found = path_numbers("sql write", (write(0.0, key="k"),), 0.0, 1.0)
    assert (found.took_effect, found.lost) == (None, None)


def test_latency_counts_from_the_intended_start_and_is_rounded_up() -> None:
    late = Operation(Kind.READ, "read page", 0.0, 5.0, 5.10001, Outcome.OK)
    found = path_numbers("read page", (late,), 0.0, 6.0)
    assert found.p50_s == found.p999_s == 5.101


def test_two_slow_ones_of_a_thousand_show_in_the_last_percentile_only() -> None:
    history = (*(write(each / 100) for each in range(998)), write(9.98, took_s=2.0), write(9.99, took_s=3.0))
    found = path_numbers("sql write", history, 0.0, 13.0)
    assert found.p99_s == pytest.approx(0.01, abs=0.0011)
    assert found.p999_s == pytest.approx(2.0, abs=0.0011)


def test_the_longest_gap_counts_the_ends_of_the_run_too() -> None:
    found = path_numbers("sql write", (write(3.0, took_s=0.0),), 0.0, 10.0)
    assert (found.longest_gap_s, found.gap_from_s) == (7.0, 3.0)


def test_a_path_that_never_answered_has_one_gap_and_no_latency() -> None:
    found = path_numbers("sql write", (write(1.0, Outcome.FAIL),), 0.0, 10.0, first_fault_s=2.0)
    assert (found.longest_gap_s, found.recovered_s, found.p50_s) == (10.0, None, None)


def test_recovery_ends_with_the_first_success_after_the_longest_gap() -> None:
    assert recovered_s((4.0, 4.5, 4.9, 5.2, 9.0, 9.1), 3.9, 5.0, 9.2) == 4.0


def test_a_gap_before_the_fault_does_not_count_as_its_outage() -> None:
    assert recovered_s((0.0, 4.9, 5.1, 5.3, 5.5), 0.0, 5.0, 5.6) == 0.0


def test_a_path_with_few_operations_is_not_interrupted_by_its_usual_gaps() -> None:
    assert recovered_s((0.0, 1.0, 2.0, 3.0, 4.1, 5.0), 0.0, 2.5, 5.5) == 0.0


def test_no_recovery_is_claimed_without_a_fault_or_a_success_after_it() -> None:
    assert recovered_s((1.0, 2.0), 0.5, None, 3.0) is None
    assert recovered_s((1.0, 2.0), 0.5, 2.5, 9.0) is None
    assert recovered_s((), 0.5, 2.5, 9.0) is None
