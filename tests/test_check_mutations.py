"""Good histories of a correct store, each spoiled in one way: the right rule catches every one of them.

Every mutation draws what it changes by seeded dice, and fails when a history offers nothing to change.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

import pytest

import checkkit
from checkkit import BOUND_S, DOUBT, FAIL, OK
from holdfast.drills.check.ledger import check_ledger
from holdfast.drills.check.register import check_register
from holdfast.drills.check.values import (
    PRIMARY,
    REPLICA,
    LedgerHistory,
    RegisterHistory,
    RegisterWrite,
    SetRead,
    Write,
)
from holdfast.drills.history import Outcome
from holdfast.drills.record import Verdict

SEEDS = range(12)
run = cache(checkkit.run)
register_run = cache(checkkit.register_run)


def writes_that(history: LedgerHistory, outcome: Outcome) -> list[Write]:
    return [each for each in history.writes if each.outcome is outcome]


def reads_at(history: LedgerHistory, endpoint: str) -> list[SetRead]:
    return [each for each in history.reads if each.endpoint == endpoint]


def with_read(history: LedgerHistory, old: SetRead, keys: Iterable[str]) -> LedgerHistory:
    new = replace(old, keys=tuple(keys))
    return replace(history, reads=tuple(new if each is old else each for each in history.reads))


def with_write(history: LedgerHistory, old: Write, new: Write) -> LedgerHistory:
    return replace(history, writes=tuple(new if each is old else each for each in history.writes))


def with_final(history: LedgerHistory, change: Callable[[tuple[str, ...]], Iterable[str]]) -> LedgerHistory:
    return replace(history, final={member: tuple(change(keys)) for member, keys in history.final.items()})


def without(keys: Iterable[str], gone: str) -> tuple[str, ...]:
    return tuple(each for each in keys if each != gone)


Mutation = Callable[[random.Random, LedgerHistory], LedgerHistory]


def lose_a_key(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    key = dice.choice(writes_that(good, OK)).key
    return with_final(good, lambda keys: without(keys, key))


def lose_a_key_on_one_member(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    key, member = dice.choice(writes_that(good, OK)).key, dice.choice(sorted(good.final))
    return replace(good, final={**good.final, member: without(good.final[member], key)})


def acknowledge_what_was_refused(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    old = dice.choice(writes_that(good, FAIL))
    return with_write(good, old, replace(old, outcome=OK))


def acknowledge_what_never_happened(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    old = dice.choice([each for each in writes_that(good, DOUBT) if each.key not in good.final["a"]])
    return with_write(good, old, replace(old, outcome=OK))


def read_a_strange_key(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    old = dice.choice(good.reads)
    return with_read(good, old, (*old.keys, "strange"))


def end_with_a_strange_key(_dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    return with_final(good, lambda keys: (*keys, "strange"))


def read_a_refused_key(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    old, key = dice.choice(good.reads), dice.choice(writes_that(good, FAIL)).key
    return with_read(good, old, (*old.keys, key))


def end_with_a_refused_key(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    key = dice.choice(writes_that(good, FAIL)).key
    return with_final(good, lambda keys: (*keys, key))


def refuse_what_happened(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    old = dice.choice(writes_that(good, OK))
    return with_write(good, old, replace(old, outcome=FAIL))


def end_with_a_key_twice(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    key = dice.choice(good.final["a"])
    return with_final(good, lambda keys: (*keys, key))


def read_a_key_twice(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    old = dice.choice([each for each in good.reads if each.keys])
    return with_read(good, old, (*old.keys, dice.choice(old.keys)))


def take_back_what_was_in_doubt(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    seen = {key for each in good.reads for key in each.keys}
    key = dice.choice([each.key for each in writes_that(good, DOUBT) if each.key in seen])
    return with_final(good, lambda keys: without(keys, key))


def hide_a_known_key(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    pairs = [
        (each, known.key)
        for each in reads_at(good, PRIMARY)
        for known in writes_that(good, OK)
        if known.ended_s < each.started_s
    ]
    old, key = dice.choice(pairs)
    return with_read(good, old, without(old.keys, key))


def hide_a_key_older_than_the_bound(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    pairs = [
        (each, known.key)
        for each in reads_at(good, REPLICA)
        for known in writes_that(good, OK)
        if known.ended_s < each.started_s - BOUND_S
    ]
    old, key = dice.choice(pairs)
    return with_read(good, old, without(old.keys, key))


def hide_an_own_key(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    pairs = [
        (each, own.key)
        for each in reads_at(good, PRIMARY)
        for own in writes_that(good, OK)
        if own.session == each.session and own.ended_s < each.started_s
    ]
    old, key = dice.choice(pairs)
    return with_read(good, old, without(old.keys, key))


def set_a_read_back(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    """A read answers what an older one saw, though more was acknowledged before it began."""
    reads = reads_at(good, PRIMARY)
    old = dice.choice([each for each in reads if each.started_s > 5])
    known = {each.key for each in writes_that(good, OK) if each.ended_s < old.started_s}
    return with_read(good, old, dice.choice([each.keys for each in reads if known - set(each.keys)]))


def swap_two_reads_of_a_session(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    reads = reads_at(good, PRIMARY)
    one, other = dice.choice(
        [
            (one, other)
            for one in reads
            for other in reads
            if one.session == other.session and one.ended_s < other.started_s and len(one.keys) < len(other.keys)
        ]
    )
    return with_read(with_read(good, one, other.keys), other, one.keys)


def two_reads_in_two_orders(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    old = dice.choice([each for each in reads_at(good, PRIMARY) if len(each.keys) > 1])
    first, second = dice.sample(old.keys, 2)
    one = replace(old, keys=without(old.keys, first))
    other = replace(old, session="twin", keys=without(old.keys, second))
    return replace(good, reads=(*(each for each in good.reads if each is not old), one, other))


def see_what_comes(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    pairs = [(each, later.key) for each in good.reads for later in good.writes if later.started_s > each.ended_s]
    old, key = dice.choice(pairs)
    return with_read(good, old, (*old.keys, key))


def acknowledge_on_an_old_timeline(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    taken_over_s = min(each.ended_s for each in good.writes if each.timeline == 2)
    old = dice.choice([each for each in writes_that(good, OK) if each.started_s > taken_over_s])
    return with_write(good, old, replace(old, timeline=1, node="a"))


def exchange_a_key_on_one_member(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    """One key less and another one twice: as many as the others have."""
    member = dice.choice(sorted(good.final))
    gone, twice = dice.sample(good.final[member], 2)
    return replace(good, final={**good.final, member: (*without(good.final[member], gone), twice)})


MUTATIONS: list[tuple[str, Mutation]] = [
    ("lost", lose_a_key),
    ("lost", lose_a_key_on_one_member),
    ("members differ", lose_a_key_on_one_member),
    ("lost", acknowledge_what_was_refused),
    ("lost", acknowledge_what_never_happened),
    ("phantom", read_a_strange_key),
    ("phantom", end_with_a_strange_key),
    ("resurrected", read_a_refused_key),
    ("resurrected", end_with_a_refused_key),
    ("resurrected", refuse_what_happened),
    ("duplicated", end_with_a_key_twice),
    ("duplicated", read_a_key_twice),
    ("vanished", take_back_what_was_in_doubt),
    ("stale", hide_a_known_key),
    ("stale", hide_a_key_older_than_the_bound),
    ("stale", hide_an_own_key),
    ("session", hide_an_own_key),
    ("stale", set_a_read_back),
    ("session", swap_two_reads_of_a_session),
    ("fork", two_reads_in_two_orders),
    ("future", see_what_comes),
    ("dual primary", acknowledge_on_an_old_timeline),
    ("members differ", exchange_a_key_on_one_member),
]


@pytest.mark.parametrize(
    ("rule", "mutation"), MUTATIONS, ids=[f"{mutation.__name__} is {rule}" for rule, mutation in MUTATIONS]
)
def test_a_spoiled_ledger_is_caught(rule: str, mutation: Mutation) -> None:
    for seed in SEEDS:
        good = run(seed)
        bad = mutation(random.Random(seed), good)
        assert bad != good
        assert rule in checkkit.broken(check_ledger(bad)), f"seed {seed}"


def test_every_rule_of_the_ledger_has_a_mutation() -> None:
    assert {rule for rule, _ in MUTATIONS} == {each.rule for each in check_ledger(checkkit.ledger())}


def allow_a_replica_to_lag(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    """Hide a key that a replica need not have yet."""
    pairs = [
        (each, young.key)
        for each in reads_at(good, REPLICA)
        for young in writes_that(good, OK)
        if young.key in each.keys and each.started_s - BOUND_S <= young.started_s
        if not any(later.key in each.keys and later.started_s > each.started_s for later in good.writes)
    ]
    old, key = dice.choice(pairs)
    return with_read(good, old, without(old.keys, key))


def leave_a_doubt_open(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    """What nobody acknowledged and nobody saw may be missing."""
    seen = {key for each in good.reads for key in each.keys}
    key = dice.choice([each.key for each in writes_that(good, DOUBT) if each.key not in seen] or ["none"])
    return with_final(good, lambda keys: without(keys, key))


def doubt_an_acknowledgement(dice: random.Random, good: LedgerHistory) -> LedgerHistory:
    old = dice.choice(writes_that(good, OK))
    return with_write(good, old, replace(old, outcome=DOUBT))


@pytest.mark.parametrize("change", [allow_a_replica_to_lag, leave_a_doubt_open, doubt_an_acknowledgement])
def test_what_is_allowed_is_not_accused(change: Mutation) -> None:
    for seed in SEEDS:
        assert not checkkit.broken(check_ledger(change(random.Random(seed), run(seed)))), f"seed {seed}"


# Registers

Spoil = Callable[[random.Random, RegisterHistory], RegisterHistory]


def acked(history: RegisterHistory) -> list[RegisterWrite]:
    return [each for each in history.writes if each.outcome is OK]


def version(each: RegisterWrite) -> int:
    assert each.version is not None
    return each.version


def acknowledge_a_version_twice(dice: random.Random, good: RegisterHistory) -> RegisterHistory:
    old = dice.choice(acked(good))
    return replace(good, writes=(*good.writes, replace(old, session="second", value="other")))


def read_another_value(dice: random.Random, good: RegisterHistory) -> RegisterHistory:
    old = dice.choice(good.reads)
    return replace(good, reads=tuple(replace(each, value="other") if each is old else each for each in good.reads))


def read_the_beginning(dice: random.Random, good: RegisterHistory) -> RegisterHistory:
    late = [
        each
        for each in good.reads
        if any(made.key == each.key and made.ended_s < each.started_s for made in acked(good))
    ]
    old = dice.choice(late)
    value, number = good.initial[old.key]
    new = replace(old, value=value, version=number)
    return replace(good, reads=tuple(new if each is old else each for each in good.reads))


def exchange_two_versions(dice: random.Random, good: RegisterHistory) -> RegisterHistory:
    pairs = [
        (one, other)
        for one in acked(good)
        for other in acked(good)
        if one.key == other.key and one.ended_s < other.started_s
    ]
    one, other = dice.choice(pairs)
    new = {id(one): replace(one, version=other.version), id(other): replace(other, version=one.version)}
    return replace(good, writes=tuple(new.get(id(each), each) for each in good.writes))


def replace_what_was_not_there(dice: random.Random, good: RegisterHistory) -> RegisterHistory:
    there = {(each.key, version(each)) for each in acked(good)}
    old = dice.choice([each for each in acked(good) if (each.key, version(each) - 1) in there])
    new = replace(old, expected="other")
    return replace(good, writes=tuple(new if each is old else each for each in good.writes))


def end_as_before(dice: random.Random, good: RegisterHistory) -> RegisterHistory:
    newest = {each.key: version(each) for each in sorted(acked(good), key=version)}
    old = dice.choice([each for each in acked(good) if version(each) < newest[each.key]])
    return replace(good, final={**good.final, old.key: (old.value, version(old))})


def end_with_another_value(dice: random.Random, good: RegisterHistory) -> RegisterHistory:
    key = dice.choice(sorted(good.final))
    return replace(good, final={**good.final, key: ("other", good.final[key][1])})


def end_without_a_register(dice: random.Random, good: RegisterHistory) -> RegisterHistory:
    gone = dice.choice(sorted(good.final))
    return replace(good, final={key: value for key, value in good.final.items() if key != gone})


def end_far_ahead(dice: random.Random, good: RegisterHistory) -> RegisterHistory:
    key = dice.choice(sorted(good.final))
    return replace(good, final={**good.final, key: (good.final[key][0], good.final[key][1] + 1000)})


def deny_an_update(dice: random.Random, good: RegisterHistory) -> RegisterHistory:
    """A client is told that its compare-and-set had no effect, and it had one: only the search can know."""
    old = dice.choice(acked(good))
    new = replace(old, outcome=FAIL, version=None)
    return replace(good, writes=tuple(new if each is old else each for each in good.writes))


SPOILS: list[tuple[str, Spoil]] = [
    ("register writers", acknowledge_a_version_twice),
    ("register values", read_another_value),
    ("register values", replace_what_was_not_there),
    ("register stale", read_the_beginning),
    ("register order", exchange_two_versions),
    ("register final", end_as_before),
    ("register final", end_with_another_value),
    ("register final", end_far_ahead),
    ("register final", end_without_a_register),
    ("register linearizable", deny_an_update),
]


@pytest.mark.parametrize(("rule", "spoil"), SPOILS, ids=[spoil.__name__ for _, spoil in SPOILS])
def test_a_spoiled_register_is_caught(rule: str, spoil: Spoil) -> None:
    for seed in SEEDS:
        good = register_run(seed)
        found = checkkit.broken(check_register(spoil(random.Random(seed), good)))
        assert rule in found, f"seed {seed}"
        assert "register linearizable" in found or spoil is end_without_a_register, f"seed {seed}"


def test_every_rule_of_registers_has_a_mutation() -> None:
    assert {rule for rule, _ in SPOILS} == {each.rule for each in check_register(register_run(0))}


@pytest.mark.parametrize("seed", range(20))
def test_correct_registers_keep_every_rule(seed: int) -> None:
    findings = check_register(register_run(seed))
    assert set(checkkit.verdicts(findings).values()) == {Verdict.KEPT}
