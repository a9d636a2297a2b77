"""Roles that one member at most may have: what samples made by hand show, and what they must not show."""

from dataclasses import replace

import pytest

from holdfast.drills.clocks import Tick, clock_of, tick
from holdfast.drills.invariants import BRIDGE_S, Role, Sample, role_moments, stints, violations

LEADER = Role("leader", "leads the store")
ADDRESS = Role("address", "holds the address", joined=False)
PERIOD_S = 0.25


def asked(by: str, begin_s: float, end_s: float, *holders: str, role: str = "leader", mark: str = "") -> list[Sample]:
    """Answers of one observer, one each period, from a moment up to another; each takes a millisecond."""
    rounds = round((end_s - begin_s) / PERIOD_S) + 1
    times = [begin_s + number * PERIOD_S for number in range(rounds)]
    return [Sample(role, by, holders, at_s, at_s + 0.001, mark) for at_s in times]


def broken(samples: list[Sample], errors_s: dict[str, float] | None = None) -> list[tuple[float, float]]:
    found = violations((LEADER, ADDRESS), samples, errors_s or {}, PERIOD_S)
    return [(round(each.at_s, 3), round(each.until_s or 0, 3)) for each in found]


def test_a_clean_change_breaks_nothing() -> None:
    samples = [
        *asked("a", 0, 5, "a"),
        *asked("a", 5.25, 10),
        *asked("b", 0.1, 4.85),
        *asked("b", 5.1, 10, "b"),
    ]
    assert broken(samples) == []


def test_two_leaders_are_seen_with_begin_and_duration() -> None:
    samples = [*asked("a", 0, 6, "a", mark="timeline 1"), *asked("b", 0, 3.75), *asked("b", 4, 9, "b")]
    (found,) = violations((LEADER,), samples, {}, PERIOD_S)
    assert (round(found.at_s, 3), found.until_s) == (4.001, 6.0)
    assert "a (timeline 1) and b at once for 2.00 s" in found.text
    assert "every 0.25 s" in found.text
    assert found.kind == "violation"


def test_an_overlap_within_the_error_of_the_clocks_is_none() -> None:
    samples = [*asked("a", 0, 6, "a"), *asked("b", 5.5, 9, "b")]
    assert broken(samples, {"a": 0.1, "b": 0.1}) == [(5.501, 6.0)]
    assert broken(samples, {"a": 0.3, "b": 0.3}) == []


def test_the_offset_of_a_clock_decides_whether_there_was_an_overlap() -> None:
    """The same answers of b: by its own clock it led too early, by the drill's it did not."""
    b = clock_of([tick(100.0, 100.002, 98.001, 5.0)])
    assert b is not None
    own = asked("b", 5, 9, "b")
    late = [replace(each, asked_s=b.at(each.asked_s), answered_s=b.at(each.answered_s)) for each in own]
    assert broken([*asked("a", 0, 6, "a"), *own]) == [(5.001, 6.0)]
    assert broken([*asked("a", 0, 6, "a"), *late]) == []


def test_a_machine_that_stood_still_claims_nothing_of_the_time_it_awakes() -> None:
    """The answer was given before it froze and heard after it thawed, when b led already."""
    frozen = [*asked("a", 0, 5, "a"), Sample("leader", "a", ("a",), 5.25, 40.0), *asked("a", 40.25, 45)]
    assert broken([*frozen, *asked("b", 30, 45, "b")]) == []


def test_a_machine_that_awakes_and_still_leads_is_caught() -> None:
    thawed = [*asked("a", 0, 5, "a"), *asked("a", 40, 41, "a"), *asked("a", 41.25, 45)]
    assert broken([*thawed, *asked("b", 30, 45, "b")]) == [(40.001, 41.0)]


def test_silence_is_bridged_only_for_a_moment() -> None:
    short = [*asked("a", 0, 5, "a"), *asked("a", 5.75, 9, "a")]
    assert [(each.from_s, each.to_s) for each in stints(short)] == [(0.001, 9.0)]
    long = [*asked("a", 0, 5, "a"), *asked("a", 5.25 + BRIDGE_S, 9, "a")]
    assert [each.to_s for each in stints(long)] == [5.0, 9.0]


def test_three_at_once_are_one_violation() -> None:
    samples = [*asked("a", 0, 6, "a"), *asked("b", 4, 9, "b"), *asked("c", 5, 8, "c")]
    (found,) = violations((LEADER,), samples, {}, PERIOD_S)
    assert (round(found.at_s, 3), found.until_s) == (4.001, 8.0)
    assert "a and b and c at once" in found.text


def test_two_holders_on_two_sides_of_a_cut_are_no_duplicate_address() -> None:
    """Nobody hears both: every neighbour reaches one of them, as it should be."""
    samples = [*asked("a", 0, 9, "a", role="address"), *asked("c", 0, 9, "b", role="address")]
    assert broken(samples) == []


def test_a_neighbour_that_hears_two_holders_sees_a_duplicate() -> None:
    samples = [
        *asked("c", 0, 4, "a", role="address"),
        *asked("c", 4.25, 6.25, "a", "b", role="address"),
        *asked("c", 6.5, 9, "b", role="address"),
        *asked("a", 4.5, 7, "a", "b", role="address"),
    ]
    (found,) = violations((ADDRESS,), samples, {}, PERIOD_S)
    assert (round(found.at_s, 3), found.until_s) == (4.251, 7.0)
    assert "heard by a and c" in found.text


def test_one_probe_answered_twice_may_be_a_late_reply() -> None:
    samples = [*asked("c", 0, 4, "a", role="address"), *asked("c", 4.25, 4.25, "a", "b", role="address")]
    assert broken([*samples, *asked("c", 4.5, 9, "b", role="address")]) == []


def told(samples: list[Sample], role: Role = LEADER, end_s: float = 10.0) -> list[tuple[float, float | None, str]]:
    found = role_moments((role,), samples, 0.0, end_s)
    return [(round(each.at_s, 2), each.until_s and round(each.until_s, 2), each.text) for each in found]


def test_roles_are_told_with_who_had_them_and_when_nobody_did() -> None:
    samples = [
        *asked("a", -1, 3, "a", mark="timeline 1"),
        *asked("a", 3.25, 10),
        *asked("b", -1, 4.75),
        *asked("b", 5, 10, "b", mark="timeline 2"),
    ]
    assert told(samples) == [
        (-1.0, 3.0, "a leads the store (timeline 1)"),
        (3.0, 5.0, "nobody leads the store"),
        (5.0, None, "b leads the store (timeline 2)"),
    ]


def test_nobody_is_said_with_a_reserve_when_somebody_was_silent() -> None:
    samples = [*asked("a", 0, 3, "a"), *asked("b", 0, 7.75), *asked("b", 8, 10, "b")]
    assert "as far as could be seen (a did not always answer)" in told(samples)[1][2]


def test_nobody_is_said_with_a_reserve_when_somebody_gave_no_answer_at_all() -> None:
    (nobody,) = told([*asked("a", 0, 10)], replace(LEADER, asked=frozenset("ab")))
    assert "as far as could be seen (b did not always answer)" in nobody[2]


def test_a_role_that_was_never_seen_is_told_as_such() -> None:
    assert told([*asked("a", 0, 10)]) == [(0.0, None, "nobody leads the store")]


def test_what_several_neighbours_hear_is_one_holder() -> None:
    samples = [*asked("b", 0, 10, "a", role="address"), *asked("c", 0.1, 9.9, "a", role="address")]
    assert told(samples, ADDRESS) == [(0.0, None, "a holds the address")]


def test_a_clock_is_read_by_the_best_round_trips() -> None:
    good, bad = tick(10.0, 10.002, 500.0, 1.0), tick(20.0, 20.8, 509.999, 11.0)
    clock = clock_of([good, bad])
    assert clock is not None
    assert clock.ticks == (good,)
    assert clock.at(501.0) == pytest.approx(11.001)
    assert clock.at_wall(3.5) == pytest.approx(12.501)
    assert clock.wall_at(12.501) == pytest.approx(3.5)
    assert clock.error_s == pytest.approx(0.001)


def test_a_clock_that_moves_is_followed_and_makes_its_error_larger() -> None:
    clock = clock_of([Tick(10.0, 500.0, 0.0, 0.001), Tick(20.0, 509.9, 10.0, 0.001)])
    assert clock is not None
    assert clock.at(500.5) == pytest.approx(10.5)
    assert clock.at(510.0) == pytest.approx(20.1)
    assert clock.error_s == pytest.approx(0.101)


def test_without_a_reading_there_is_no_clock() -> None:
    assert clock_of([]) is None
