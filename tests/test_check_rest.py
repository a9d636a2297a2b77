"""Registers, bank, cache and the whole verdict by the smallest histories that keep and break their rules."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as some

import checkkit
from checkkit import DOUBT, FAIL, OK, write
from holdfast.drills.check.bank import check_bank
from holdfast.drills.check.cache import check_cache
from holdfast.drills.check.ledger import check_ledger
from holdfast.drills.check.register import check_register
from holdfast.drills.check.search import explain
from holdfast.drills.check.values import (
    BankHistory,
    BankRead,
    CacheHistory,
    RegisterHistory,
    RegisterRead,
    RegisterWrite,
)
from holdfast.drills.check.verdict import overall
from holdfast.drills.check.view import bits_of, keys_of, places
from holdfast.drills.history import Outcome
from holdfast.drills.record import Finding, Verdict

# Bits


@given(some.sets(some.integers(0, 300)), some.integers(301, 400))
def test_bits_are_the_places_they_were_made_of(found: set[int], size: int) -> None:
    bits = bits_of(found, size)
    assert list(places(bits)) == sorted(found)
    assert bits == sum(1 << each for each in found)


@given(some.lists(some.sampled_from("abcdyz")))
def test_a_multiset_of_keys_keeps_all_that_matters(keys: list[str]) -> None:
    made = keys_of(keys, {key: place for place, key in enumerate("abcd")})
    assert {"abcd"[place] for place in places(made.bits)} | set(made.strangers) == set(keys)
    assert set(made.strangers) <= set("yz")
    assert set(made.doubled) == {key for key in keys if keys.count(key) > 1}


# Registers


def swap(
    version: int | None, before: str, after: str, started_s: float, ended_s: float, session: str = "s"
) -> RegisterWrite:
    return RegisterWrite(session, "k", after, before, version, started_s, ended_s, OK if version else DOUBT)


def look(value: str, version: int, started_s: float, ended_s: float) -> RegisterRead:
    return RegisterRead("r", "k", value, version, started_s, ended_s)


def register(*operations: RegisterWrite | RegisterRead, final: tuple[str, int] | None = None) -> RegisterHistory:
    return RegisterHistory(
        tuple(each for each in operations if isinstance(each, RegisterWrite)),
        tuple(each for each in operations if isinstance(each, RegisterRead)),
        {"k": ("o", 0)},
        {"k": final} if final else {},
    )


GOOD = [
    register(swap(1, "o", "a", 0, 1), look("a", 1, 2, 3), final=("a", 1)),
    register(swap(1, "o", "a", 0, 5), look("o", 0, 1, 2), look("a", 1, 3, 4), final=("a", 1)),
    # A doubtful write took effect long after its client had given up.
    register(swap(None, "o", "a", 0, 1), look("o", 0, 2, 3), look("a", 1, 4, 5), final=("a", 1)),
    register(swap(None, "o", "a", 0, 1), swap(2, "a", "b", 2, 3), final=("b", 2)),
    register(swap(None, "o", "a", 0, 1), swap(1, "o", "b", 2, 3), final=("b", 1)),
]

BAD = [
    (
        "writers",
        register(swap(1, "o", "a", 0, 1), swap(1, "o", "b", 0, 1, "t"), final=("b", 1)),
        "acknowledged to s at",
    ),
    ("values", register(swap(1, "o", "a", 0, 1), look("b", 1, 2, 3)), "was read as b by r, but it is a"),
    ("values", register(look("b", 1, 2, 3), swap(None, "o", "b", 4, 5)), "nobody had written it"),
    ("values", register(swap(1, "o", "a", 0, 1), swap(2, "o", "b", 2, 3)), "but before it was a"),
    (
        "order",
        register(swap(2, "a", "b", 0, 1), swap(1, "o", "a", 2, 3)),
        "version 1 made by s at 2.000 s after version 2",
    ),
    (
        "order",
        register(look("a", 1, 0, 1), swap(1, "o", "a", 2, 3)),
        "version 1 made by s at 2.000 s after version 1 read",
    ),
    (
        "stale",
        register(swap(1, "o", "a", 0, 1), look("o", 0, 2, 3)),
        "version 0 read by r at 2.000 s after version 1 made",
    ),
    (
        "stale",
        register(swap(1, "o", "a", 0, 9), look("a", 1, 2, 3), look("o", 0, 4, 5)),
        "version 0 read by r at 4.000 s",
    ),
    ("final", register(swap(1, "o", "a", 0, 1), final=("o", 0)), "ended with version 0, but version 1 was known"),
    ("final", register(swap(1, "o", "a", 0, 1), final=("b", 1)), "ended as b, but version 1 was a"),
    ("final", register(swap(1, "o", "a", 0, 1), final=("c", 2)), "nobody wrote that"),
    ("final", register(swap(None, "o", "a", 0, 1), final=("a", 2)), "2 of its versions were acknowledged to nobody"),
    # Each step is possible alone: two doubtful writes from the same value, one after the other.
    ("linearizable", register(swap(None, "o", "a", 0, 1), swap(None, "o", "b", 0, 1), final=("b", 2)), "no order"),
]


@pytest.mark.parametrize("history", GOOD)
def test_what_one_order_explains_is_kept(history: RegisterHistory) -> None:
    assert not checkkit.broken(check_register(history))
    assert checkkit.verdicts(check_register(history))["register linearizable"] is Verdict.KEPT


@pytest.mark.parametrize(("rule", "history", "words"), BAD)
def test_what_no_order_explains_is_broken(rule: str, history: RegisterHistory, words: str) -> None:
    found = {each.rule: each for each in check_register(history)}
    assert found[f"register {rule}"].verdict is Verdict.BROKEN
    assert words in found[f"register {rule}"].examples[0]
    assert found["register linearizable"].verdict is Verdict.BROKEN


def test_a_register_that_is_gone_is_a_violation() -> None:
    history = RegisterHistory((), (), {"k": ("o", 0), "l": ("o", 0)}, {"k": ("o", 0)})
    (found,) = [each for each in check_register(history) if each.rule == "register final"]
    assert (found.verdict, found.examples) == (Verdict.BROKEN, ("l: it is gone in the end",))


def test_registers_that_nobody_used_are_unknown() -> None:
    assert set(checkkit.verdicts(check_register(register())).values()) == {Verdict.UNKNOWN}


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (RegisterHistory((), (look("a", 1, 0, 1),), {}), "k has no initial value"),
        (register(look("a", 1, 1, 0)), "ended at 0 and began at 1"),
        (register(RegisterWrite("s", "k", "a", "o", None, 0, 1, OK)), "has no version"),
    ],
)
def test_what_cannot_be_a_history_of_registers_is_refused(history: RegisterHistory, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_register(history)


def test_a_search_gives_up_rather_than_guess() -> None:
    there = [swap(None, "o", f"v{number}", 0, 1) for number in range(20)]
    back = [swap(None, f"v{number}", "o", 0, 1) for number in range(20)]
    answer = explain(("o", 0), there + back, (), ("o", 41))
    assert answer.explained is None, "all subsets of 20 doubtful pairs are too many"
    history = register(*there, *back, final=("o", 38))
    assert "register linearizable" not in checkkit.broken(check_register(history))


def test_doubtful_writes_that_do_the_same_are_no_riddle() -> None:
    same = [swap(None, *pair, 0, 1) for pair in [("o", "a"), ("a", "o")] * 100]
    assert explain(("o", 0), same, (), ("o", 200)).explained is True
    assert explain(("o", 0), same, (), ("o", 201)).explained is False


# Bank


def test_a_bank_that_keeps_its_money() -> None:
    history = BankHistory(100, 7, (BankRead("r", 1, 2, (60, 40)), BankRead("r", 3, 4, (0, 100))), (50, 50))
    findings = check_bank(history)
    assert {each.verdict for each in findings} == {Verdict.KEPT}
    assert findings[0].text == (
        "The total was 100 in each of 3 reads (the end among them), after 7 acknowledged transfers."
    )


@pytest.mark.parametrize(
    ("balances", "final", "rules", "example"),
    [
        ((60, 41), (), {"bank total"}, "101 instead of 100: read by r on a at 1.000 s"),
        ((60, 40), (60, 39), {"bank total"}, "99 instead of 100: in the end"),
        ((), (60, 40), {"bank total"}, "0 instead of 100: read by r on a at 1.000 s"),
        ((-1, 101), (), {"bank negative"}, "a balance of -1: read by r on a at 1.000 s"),
        ((60, 40), (-1, 101), {"bank negative"}, "a balance of -1: in the end"),
        ((-1, 0), (60, 40), {"bank total", "bank negative"}, "-1 instead of 100: read by r on a at 1.000 s"),
    ],
)
def test_a_bank_that_does_not(
    balances: tuple[int, ...], final: tuple[int, ...], rules: set[str], example: str
) -> None:
    findings = check_bank(BankHistory(100, 0, (BankRead("r", 1, 2, balances, "a"),), final))
    assert checkkit.broken(findings) == rules
    assert next(each.examples[0] for each in findings if each.examples) == example


def test_a_bank_that_nobody_read_is_unknown() -> None:
    assert {each.verdict for each in check_bank(BankHistory(100, 5, ()))} == {Verdict.UNKNOWN}


@given(some.lists(some.integers(0, 50), min_size=2, max_size=5), some.integers(0, 10**6), some.integers(-3, 3))
def test_transfers_never_change_a_total_and_anything_else_does(start: list[int], seed: int, slip: int) -> None:
    dice, now, reads = random.Random(seed), list(start), []
    for number in range(20):
        giver, taker = dice.sample(range(len(now)), 2)
        amount = dice.randint(0, now[giver])
        now[giver], now[taker] = now[giver] - amount, now[taker] + amount
        reads.append(BankRead("r", number, number, tuple(now)))
    final = (now[0] + slip, *now[1:])
    broken = checkkit.broken(check_bank(BankHistory(sum(start), 20, tuple(reads), final)))
    assert ("bank total" in broken) == (slip != 0)
    assert ("bank negative" in broken) == (min(final) < 0)


# Cache


def cache(final: str | None, *failures_s: tuple[float, float], bound_s: float = 2) -> Finding:
    """Keys a, b, c, d were acknowledged at 10, 20, 30 and 40 s; e was refused, f is in doubt."""
    writes = [write(key, 10.0 * place - 1, 10.0 * place) for place, key in enumerate("abcd", 1)]
    doubt = (write("e", 1, 2, FAIL), write("f", 1, 2, DOUBT))
    there = None if final is None else frozenset(final)
    (found,) = check_cache(CacheHistory((*writes, *doubt), there, bound_s, failures_s))
    return found


def test_a_cache_that_lost_nothing() -> None:
    assert cache("abcd").verdict is Verdict.KEPT
    assert cache("abcd").text == "0 of 4 acknowledged keys are gone (allowed: 2 s)."


@pytest.mark.parametrize(
    ("final", "failures_s", "text"),
    [
        ("acd", [(21, 60)], "1 of 4 acknowledged keys are gone, the oldest 1.000 s before a failure (allowed: 2 s)."),
        ("acd", [(22, 23)], "1 of 4 acknowledged keys are gone, the oldest 2.000 s before a failure (allowed: 2 s)."),
        (
            "acd",
            [(18.5, 60)],
            "1 of 4 acknowledged keys are gone, the latest 1.500 s after one had begun (allowed: 2 s).",
        ),
        ("d", [(11, 13), (21.5, 31)], "3 of 4 acknowledged keys are gone, the oldest 1.500 s before a failure"),
    ],
)
def test_a_cache_may_lose_the_last_seconds_before_a_failure(
    final: str, failures_s: list[tuple[float, float]], text: str
) -> None:
    found = cache(final, *failures_s, bound_s=9 if final == "d" else 2)
    assert (found.verdict, found.examples) == (Verdict.KEPT, ())
    assert found.text.startswith(text)


@pytest.mark.parametrize(
    ("final", "failures_s", "example"),
    [
        ("acd", [], "b, acknowledged at 20.000 s, with no failure after it"),
        ("acd", [(22.001, 60)], "b, acknowledged at 20.000 s, 2.001 s from a failure's begin"),
        ("abc", [(21, 39)], "d, acknowledged at 40.000 s, with no failure after it"),
        # A primary that is cut off and goes on acknowledging: a failure that lasts is no excuse for all of it.
        ("abd", [(21, 60)], "c, acknowledged at 30.000 s, 9.000 s from a failure's begin"),
    ],
)
def test_a_cache_may_lose_nothing_else(final: str, failures_s: list[tuple[float, float]], example: str) -> None:
    found = cache(final, *failures_s)
    assert (found.verdict, found.examples) == (Verdict.BROKEN, (example,))
    assert found.text.startswith("1 of 4 acknowledged keys are gone, ")


def test_a_cache_that_cannot_be_judged() -> None:
    assert cache(None).verdict is Verdict.UNKNOWN
    (found,) = check_cache(CacheHistory((write("a", 0, 1, Outcome.INDETERMINATE),), frozenset(), 2))
    assert found.verdict is Verdict.UNKNOWN


# The whole verdict

ENOUGH = {"acknowledged": 900, "reads": 40, "attempted_during_fault": 30}
KEPT = Finding("lost", Verdict.KEPT, "")
UNJUDGED = Finding("dual primary", Verdict.UNKNOWN, "")
BROKEN = Finding("fork", Verdict.BROKEN, "")


def test_a_promise_is_kept_when_it_was_really_tried() -> None:
    assert overall([KEPT, UNJUDGED], **ENOUGH, bit=True, final_read=True) == (
        Verdict.KEPT,
        "1 rules found no violation in 900 acknowledged writes and 40 reads; 30 writes were tried during the fault. "
        "Not judged: dual primary.",
    )


@pytest.mark.parametrize("missing", sorted(ENOUGH))
def test_a_drill_that_tried_nothing_shows_nothing(missing: str) -> None:
    verdict, reason = overall([KEPT], **{**ENOUGH, missing: 0}, bit=True, final_read=True)
    assert verdict is Verdict.UNKNOWN
    assert reason.startswith("Too little was seen: no ")


@pytest.mark.parametrize(
    ("findings", "bit", "final_read", "reason"),
    [
        ([KEPT], False, True, "Too little was seen: nothing shows that the fault had an effect."),
        ([KEPT], True, False, "Too little was seen: nothing could be read back in the end."),
        ([UNJUDGED], True, True, "Too little was seen: no rule could be judged."),
        ([], True, True, "Too little was seen: no rule could be judged."),
    ],
)
def test_without_evidence_nothing_is_kept(findings: list[Finding], bit: bool, final_read: bool, reason: str) -> None:
    assert overall(findings, **ENOUGH, bit=bit, final_read=final_read) == (Verdict.UNKNOWN, reason)


def test_a_violation_counts_whatever_else_is_missing() -> None:
    nothing = dict.fromkeys(ENOUGH, 0)
    assert overall([KEPT, BROKEN], **nothing, bit=False, final_read=False) == (Verdict.BROKEN, "Violated: fork.")


def test_no_verdict_says_that_anything_is_proved() -> None:
    texts = [each.text for each in check_ledger(checkkit.run(1))] + [
        overall([KEPT], **ENOUGH, bit=True, final_read=True)[1]
    ]
    assert not [each for each in texts if "prove" in each.lower()]
