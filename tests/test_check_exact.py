"""The checker against slow searches that know nothing of its rules, on thousands of small random histories."""

import random
from collections import Counter
from functools import cache

import brute
import checkkit
from holdfast.drills.check.ledger import check_ledger
from holdfast.drills.check.register import check_register
from holdfast.drills.check.values import LedgerHistory, RegisterHistory
from holdfast.drills.record import Verdict

SETS = 6_000
REGISTERS = 5_000
EXACT = {"lost", "phantom", "resurrected", "duplicated", "vanished", "stale", "fork", "future"}
"""Rules 1 to 7: together they are linearizability."""
SEARCH = "register linearizable"


@cache
def sets() -> tuple[tuple[LedgerHistory, set[str]], ...]:
    """Random histories, each with the rules that it breaks."""
    dice = random.Random(20260731)
    made = [checkkit.small_ledger(dice) for _ in range(SETS)]
    return tuple((each, checkkit.broken(check_ledger(each))) for each in made)


def test_rules_1_to_7_are_linearizability() -> None:
    seen: Counter[bool] = Counter()
    for history, broken in sets():
        possible = brute.possible_set(history)
        assert possible == (not broken & EXACT), f"{broken} in {history}"
        assert not (possible and broken), f"a false alarm of {broken} in {history}"
        seen[possible] += 1
    assert min(seen[True], seen[False]) > SETS / 5, f"too one-sided to show anything: {seen}"


def test_none_of_the_rules_1_to_7_can_be_left_out() -> None:
    alone = [broken & EXACT for _, broken in sets() if len(broken & EXACT) == 1]
    assert set().union(*alone) == EXACT, "of each rule there is a history that only it finds wrong"


def test_whoever_breaks_a_session_breaks_the_order_too() -> None:
    """Rule 9 tells whom it hurt; that somebody was hurt, the first seven know."""
    hurt = [broken for _, broken in sets() if "session" in broken]
    assert len(hurt) > 100
    assert all(broken & EXACT for broken in hurt)


@cache
def registers() -> tuple[tuple[RegisterHistory, set[str]], ...]:
    dice = random.Random(20260801)
    made = [checkkit.small_register(dice) for _ in range(REGISTERS)]
    return tuple((each, checkkit.broken(check_register(each))) for each in made)


def test_the_search_for_registers_is_exact_and_no_rule_gives_a_false_alarm() -> None:
    seen: Counter[bool] = Counter()
    for history, broken in registers():
        possible = brute.possible_register(history)
        assert possible == (SEARCH not in broken), f"{broken} in {history}"
        assert not (possible and broken), f"a false alarm of {broken} in {history}"
        seen[possible] += 1
    assert min(seen[True], seen[False]) > REGISTERS / 5, f"too one-sided to show anything: {seen}"


def test_the_local_rules_for_registers_find_most_of_it_without_a_search() -> None:
    impossible = [broken for _, broken in registers() if SEARCH in broken]
    assert sum(len(broken) > 1 for broken in impossible) > 0.9 * len(impossible)


def test_a_register_that_is_too_large_is_not_searched_and_that_is_said() -> None:
    history = checkkit.register_run(1)
    found = {each.rule: each for each in check_register(history, searched=10)}
    assert found[SEARCH].verdict is Verdict.UNKNOWN
    assert "Too large" in found[SEARCH].text
    assert {each.verdict for rule, each in found.items() if rule != SEARCH} == {Verdict.KEPT}
