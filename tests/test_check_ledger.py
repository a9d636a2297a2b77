"""Each rule of the ledger by the smallest histories that keep it and break it."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import checkkit
from checkkit import DOUBT, FAIL, ledger, read, write
from holdfast.drills.check.ledger import check_ledger
from holdfast.drills.check.values import REPLICA, LedgerHistory
from holdfast.drills.record import Finding, Verdict

RULES = (
    "lost",
    "phantom",
    "resurrected",
    "duplicated",
    "vanished",
    "stale",
    "fork",
    "future",
    "dual primary",
    "session",
    "members differ",
)


def finding(history: LedgerHistory, rule: str) -> Finding:
    return next(each for each in check_ledger(history) if each.rule == rule)


KEPT = {
    "lost": ledger(write("a", 0, 1), write("b", 0, 1, FAIL), write("c", 0, 1, DOUBT), final="a"),
    "phantom": ledger(write("a", 0, 1), read("a", 2, 3), final="a"),
    "resurrected": ledger(write("a", 0, 1, FAIL), read("", 2, 3), final=""),
    "duplicated": ledger(write("a", 0, 1), read("a", 2, 3), final="a"),
    "vanished": ledger(write("a", 0, 1, DOUBT), read("a", 2, 3), final="a"),
    "stale": ledger(write("a", 0, 2), read("", 2, 3), read("a", 3, 4)),
    "fork": ledger(write("a", 0, 9), write("b", 0, 9), read("a", 1, 8), read("ab", 1, 8), read("", 1, 8)),
    "future": ledger(write("a", 5, 6), read("a", 1, 5)),
    "dual primary": ledger(write("a", 0, 5, timeline=1), write("b", 0, 4, timeline=2), write("c", 6, 7, timeline=2)),
    "session": ledger(write("a", 0, 1), read("a", 2, 3, "s1"), read("a", 4, 5, "s1")),
    "members differ": LedgerHistory((write("x", 0, 1), write("y", 0, 1)), (), {"a": ("x", "y"), "b": ("y", "x")}),
}

BROKEN = [
    ("lost", ledger(write("a", 0, 1), final=""), "a, acknowledged at 1.000 s, is not on a, b, c"),
    (
        "lost",
        LedgerHistory((write("k", 0, 1),), (), {"a": ("k",), "b": ()}),
        "k, acknowledged at 1.000 s, is not on b",
    ),
    ("phantom", ledger(read("z", 0, 1)), "z"),
    ("phantom", ledger(final="z"), "z"),
    ("resurrected", ledger(write("a", 0, 1, FAIL), read("a", 2, 3)), "a"),
    ("resurrected", ledger(write("a", 0, 1, FAIL), final="a"), "a"),
    ("duplicated", ledger(write("a", 0, 1), final="aa"), "a"),
    ("duplicated", ledger(write("a", 0, 1), read("aa", 2, 3)), "a"),
    ("duplicated", ledger(read("zz", 2, 3)), "z"),
    ("vanished", ledger(write("a", 0, 1, DOUBT), read("a", 2, 3), final=""), "a"),
    ("vanished", ledger(write("a", 0, 1, DOUBT), read("a", 2, 3, endpoint=REPLICA), final=""), "a"),
    ("stale", ledger(write("a", 0, 1), read("", 2, 3)), "primary read by r1 at 2.000 s lacks a"),
    # It saw b, so it stands for a moment after b began; a was acknowledged before that.
    ("stale", ledger(write("a", 0, 1), write("b", 2, 3), read("b", 0.5, 4)), "primary read by r1 at 0.500 s lacks a"),
    # Nobody acknowledged a, but it was seen.
    (
        "stale",
        ledger(write("a", 0, 1, DOUBT), read("a", 1, 2), read("", 3, 4)),
        "primary read by r1 at 3.000 s lacks a",
    ),
    (
        "fork",
        ledger(write("a", 0, 9), write("b", 0, 9), read("a", 1, 8), read("b", 2, 8)),
        "primary read by r1 at 1.000 s saw a, primary read by r1 at 2.000 s saw b instead",
    ),
    ("future", ledger(write("a", 5, 6), read("a", 1, 2)), "primary read by r1 at 1.000 s saw a"),
    ("future", ledger(write("a", 5, 6), read("a", 1, 2, endpoint=REPLICA)), "replica read by r1 at 1.000 s saw a"),
    (
        "dual primary",
        ledger(write("a", 0, 1, timeline=2), write("b", 2, 3, timeline=1, node="old"), final="ab"),
        "b was begun at 2.000 s and acknowledged on old on timeline 1; timeline 2 had acknowledged before",
    ),
    # The old leader answered one overlapping request late: that is no excuse for taking a new one.
    (
        "dual primary",
        ledger(write("a", 0, 1, timeline=2), write("b", 0, 2, timeline=1), write("c", 3, 4, timeline=1)),
        "c was begun at 3.000 s and acknowledged on timeline 1; timeline 2 had acknowledged before",
    ),
    ("session", ledger(write("a", 0, 1), read("", 2, 3, "s1")), "primary read by s1 at 2.000 s lacks a"),
    ("session", ledger(write("a", 0, 9), read("a", 1, 2), read("", 3, 4)), "primary read by r1 at 3.000 s lacks a"),
    ("members differ", LedgerHistory((), (), {"a": ("x",), "b": ("y",)}), "x on a only, y on b only"),
    ("members differ", LedgerHistory((), (), {"a": ("x", "x"), "b": ("x",)}), "x on a only, nothing on b only"),
]

UNKNOWN = {
    "lost": [ledger(write("a", 0, 1)), ledger(write("a", 0, 1, DOUBT), final="a")],
    "phantom": [ledger(write("a", 0, 1))],
    "resurrected": [ledger(write("a", 0, 1, FAIL))],
    "duplicated": [ledger(write("a", 0, 1))],
    "vanished": [ledger(write("a", 0, 1), read("a", 2, 3)), ledger(write("a", 0, 1), read("", 0, 0), final="a")],
    "stale": [ledger(write("a", 0, 1), final="a"), ledger(write("a", 0, 1), read("", 2, 3, endpoint=REPLICA))],
    "fork": [ledger(read("", 0, 1)), ledger(read("", 0, 1, endpoint=REPLICA), read("", 0, 1, endpoint=REPLICA))],
    "future": [ledger(write("a", 0, 1), final="a")],
    "dual primary": [ledger(write("a", 0, 1)), ledger(write("a", 0, 1, DOUBT, timeline=1))],
    "session": [ledger(write("a", 0, 1), read("a", 2, 3)), ledger(write("a", 0, 1), read("", 2, 3, "s1", REPLICA))],
    "members differ": [ledger(), LedgerHistory((), (), {"a": ("x",)})],
}


def test_there_is_one_finding_for_each_rule_in_their_order() -> None:
    assert tuple(each.rule for each in check_ledger(ledger())) == RULES
    assert set(KEPT) == set(UNKNOWN) == {rule for rule, _, _ in BROKEN} == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_kept(rule: str) -> None:
    found = finding(KEPT[rule], rule)
    assert (found.verdict, found.examples) == (Verdict.KEPT, ())
    assert not checkkit.broken(check_ledger(KEPT[rule])), "nor does it break another"


@pytest.mark.parametrize(("rule", "history", "example"), BROKEN)
def test_a_rule_is_broken(rule: str, history: LedgerHistory, example: str) -> None:
    found = finding(history, rule)
    assert (found.verdict, found.examples[0]) == (Verdict.BROKEN, example)


@pytest.mark.parametrize(
    ("rule", "history"), [(rule, each) for rule, histories in UNKNOWN.items() for each in histories]
)
def test_a_rule_that_nothing_can_be_judged_by_is_unknown(rule: str, history: LedgerHistory) -> None:
    assert finding(history, rule).verdict is Verdict.UNKNOWN


def test_findings_count_in_words() -> None:
    history = ledger(*(write(key, 0, 1) for key in "abcdefgh"), read("abcdefgh", 2, 3), final="a")
    assert finding(history, "lost").text == "7 of 8 acknowledged writes are gone in the end."
    assert len(finding(history, "lost").examples) == 5, "some of them, not a wall of keys"
    assert finding(history, "vanished").text == "7 of 8 keys that a client saw are gone in the end."
    assert finding(history, "phantom").text == "Nothing was read that nobody wrote (4 reads)."


@pytest.mark.parametrize(("bound_s", "verdict"), [(0.5, Verdict.BROKEN), (1, Verdict.KEPT), (None, Verdict.UNKNOWN)])
def test_a_replica_may_be_as_stale_as_its_bound_says(bound_s: float | None, verdict: Verdict) -> None:
    history = ledger(write("a", 0, 1), read("", 2, 3, endpoint=REPLICA), final="a", bound_s=bound_s)
    assert finding(history, "stale").verdict is verdict


def test_what_healthy_replicas_do_is_no_violation() -> None:
    """Two commits in two orders on two replicas, and one seen there before the leader shows it."""
    history = ledger(
        write("a", 0, 9),
        write("b", 0, 9),
        read("a", 1, 2, "r1", REPLICA),
        read("b", 1, 2, "r2", REPLICA),
        read("", 3, 4, "r1", REPLICA),
        read("", 3, 4, "r1"),
        read("ab", 10, 11, "r2"),
        final="ab",
        bound_s=0,
    )
    assert not checkkit.broken(check_ledger(history))


def test_equal_times_overlap() -> None:
    history = ledger(write("a", 0, 1, timeline=2), write("b", 1, 2, timeline=1), read("", 1, 1, "s1"), final="ab")
    assert not checkkit.broken(check_ledger(history))


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (ledger(write("a", 0, 1), write("a", 2, 3)), "written by two operations"),
        (ledger(write("a", 1, 0)), "ended at 0 and began at 1"),
        (ledger(read("a", 1, float("nan"))), "ended at nan"),
        (ledger(read("a", 0, 1, endpoint="leader")), "no endpoint is called 'leader'"),
    ],
)
def test_what_cannot_be_a_history_is_refused(history: LedgerHistory, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_ledger(history)


@pytest.mark.parametrize("seed", range(40))
def test_a_correct_store_keeps_every_rule(seed: int) -> None:
    history = checkkit.run(seed)
    assert len(history.writes) > 200
    assert len(history.reads) > 80
    assert set(checkkit.verdicts(check_ledger(history)).values()) == {Verdict.KEPT}, "and there was enough to judge"


@settings(max_examples=100, deadline=None)
@given(some.integers(0, 2**32), some.integers(0, 10**6))
def test_neither_the_order_of_notes_nor_the_zero_of_the_clock_matters(seed: int, moved_s: int) -> None:
    dice = random.Random(seed)
    history = checkkit.small_ledger(dice)
    writes = [
        replace(each, started_s=each.started_s + moved_s, ended_s=each.ended_s + moved_s) for each in history.writes
    ]
    reads = [
        replace(each, started_s=each.started_s + moved_s, ended_s=each.ended_s + moved_s) for each in history.reads
    ]
    dice.shuffle(writes)
    dice.shuffle(reads)
    again = replace(history, writes=tuple(writes), reads=tuple(reads))
    assert checkkit.verdicts(check_ledger(again)) == checkkit.verdicts(check_ledger(history))


@settings(max_examples=100, deadline=None)
@given(some.integers(0, 2**32), some.data())
def test_knowing_less_never_breaks_a_rule(seed: int, data: some.DataObject) -> None:
    """Without one of its reads, a possible history is still possible: so no rule breaks that was kept."""
    history = checkkit.small_ledger(random.Random(seed))
    kept = data.draw(some.lists(some.sampled_from(history.reads), unique=True)) if history.reads else []
    fewer = replace(history, reads=tuple(kept))
    assert checkkit.broken(check_ledger(fewer)) <= checkkit.broken(check_ledger(history))
