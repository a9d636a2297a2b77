"""Early failover is safe: everything that may happen is tried, and the checker finds what is left out on purpose."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.components.watcher.service import protocol
from holdfast.components.watcher.service.protocol import decide
from holdfast.components.watcher.service.words import Decision, Fence, Self, Senses, View
from watch_model import Bounds, along, explore, walk

# Four hosts of which a commit waits for two: here unfenced voters may vote, which three hosts cannot show.
FOUR = Bounds(voters=("b", "c", "d"), numsync=2)
ENOUGH = 300_000


def test_with_three_hosts_nobody_can_acknowledge_beside_the_new_leader() -> None:
    why, path, count = explore(Bounds(), ENOUGH)
    assert not why, path
    assert 50_000 < count < ENOUGH, f"all of it was tried, and it was not little: {count} states"


def test_without_the_fence_the_old_leader_can_still_acknowledge() -> None:
    why, path, _ = explore(Bounds(cuts=False), ENOUGH)
    assert why, "the hole of a vote that is a read and not a promise"
    assert "b does depose" in path or "c does depose" in path


def all_may_vote(view: View, decision: Decision) -> Decision:
    """Return the decision with all voters left in the sync key."""
    if decision.act != "depose" or decision.txn is None or view.sync is None:
        return decision
    puts = tuple((key, view.sync.text if key == "db:sync" else text) for key, text in decision.txn.puts)
    return replace(decision, txn=replace(decision.txn, puts=puts))


def one_too_few(me: Self, view: View, fence: Fence | None, senses: Senses) -> Decision:
    """Decide as if one voter less had to fence, and all could vote."""
    assert view.sync is not None
    fewer = replace(view, sync=replace(view.sync, quorum=max(0, view.sync.quorum - 1)))
    return all_may_vote(view, decide(me, fewer, fence, senses))


def test_a_threshold_that_is_wrong_by_one_is_found() -> None:
    why, path, _ = explore(Bounds(decider=one_too_few), ENOUGH)
    assert why, "an unfenced voter acknowledges alone"
    assert sum(step.endswith("does promise") for step in path) == 1


def not_narrowed(me: Self, view: View, fence: Fence | None, senses: Senses) -> Decision:
    """Decide as the protocol does, but leave all voters their vote."""
    return all_may_vote(view, decide(me, view, fence, senses))


# D votes before it receives what C has acknowledged already; then D acknowledges it, too.
LATE_VOTER = [
    *("a writes", "c receives", "c acknowledges", "c is heard by a"),
    *("b fences", "b ends its receiver", "b does promise", "c fences", "c ends its receiver", "c does promise"),
    *("b does depose", "b begins to race", "b has the vote of d", "b is promoted"),
    *("d receives", "d acknowledges", "d is heard by a"),
]


def test_the_vote_of_a_voter_that_has_not_fenced_must_not_count() -> None:
    broken = along(FOUR._replace(decider=not_narrowed), LATE_VOTER)
    assert broken == "an acknowledged commit is not in the new leader's log"
    with pytest.raises(KeyError, match="b has the vote of d"):
        along(FOUR, LATE_VOTER)


def not_sealed(me: Self, view: View, fence: Fence | None, senses: Senses) -> Decision:
    """Decide as the protocol does, but do not touch the sync key."""
    decision = decide(me, view, fence, senses)
    if decision.act != "depose" or decision.txn is None:
        return decision
    puts = tuple(each for each in decision.txn.puts if each[0] != "db:sync")
    return replace(decision, txn=replace(decision.txn, puts=puts))


def test_a_deposed_leader_must_not_be_able_to_give_the_waiting_up() -> None:
    why, path, _ = explore(Bounds(decider=not_sealed), ENOUGH)
    assert why, "its change of the sync key was on its way when it was deposed"
    assert any("writes alone" in step for step in path)


def hasty(me: Self, view: View, fence: Fence | None, senses: Senses) -> Decision:
    """Decide as the protocol does, but lift a fence while a request to promise it may still be on its way."""
    decision = decide(me, view, fence, senses)
    if decision.act == "retract" and fence and not view.promises[me.name].about:
        return Decision("unfence", "hasty", None, fence.target, fence.under)
    return decision


def test_a_promise_that_comes_in_late_must_not_count() -> None:
    why, path, _ = explore(Bounds(decider=hasty), ENOUGH)
    assert why, "a promise without a fence"
    assert any(step.endswith("'s late promise comes in") for step in path)


def test_a_promise_must_wait_for_the_end_of_what_streams() -> None:
    why, path, _ = explore(Bounds(waits_for_receiver=False), ENOUGH)
    assert why == "a replica is ahead of the new leader: it would seem to have what it cannot have", path


# D receives what nobody else has, does not fence, does not vote, and comes back when B leads.
COMES_BACK = [
    *("a writes", "d receives"),
    *("b fences", "b ends its receiver", "b does promise", "c fences", "c ends its receiver", "c does promise"),
    *("b does depose", "b begins to race", "b has the vote of c", "b is promoted", "d follows the new leader"),
]


def test_a_replica_that_did_not_fence_may_be_ahead_so_the_new_leader_begins_a_new_segment() -> None:
    assert along(FOUR._replace(new_segment=False), COMES_BACK[:-1]) == ""
    broken = along(FOUR._replace(new_segment=False), COMES_BACK)
    assert broken == "a replica ahead of the new leader acknowledges what it does not have"
    assert along(FOUR, COMES_BACK) == ""


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(records=3, promises=6, fences=3, late=2),
        FOUR._replace(records=3, promises=6, fences=3, late=3),
        Bounds(voters=("b", "c", "d", "e"), numsync=2, records=2, promises=4, fences=2, late=4),
        Bounds(voters=("b", "c", "d", "e"), numsync=1, records=2, promises=4, fences=2, late=4),
    ],
    ids=["three", "four, two acknowledge", "five, two acknowledge", "five"],
)
@given(dice=st.lists(st.integers(0, 5039), min_size=60, max_size=160))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_long_random_ways_break_nothing(bounds: Bounds, dice: list[int]) -> None:
    why, path = walk(bounds, iter(dice))
    assert not why, path


def test_the_model_runs_the_code_that_the_service_runs() -> None:
    assert Bounds().decider is protocol.decide
