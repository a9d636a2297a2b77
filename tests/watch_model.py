"""A model of one leader, its voters, the dcs and the engine, around the very functions that the service runs.

Every message may be late or lost, every process may stop between any two steps: a step that is not taken is a stop,
a step taken late is a delay, a frozen and thawed leader is one whose steps come after everybody else's. Whether the
leader's host is silent is up to the adversary at every look, so network and clocks need no model: safety must not
hang on them. The dcs is linearizable: a transaction is one step. Revisions are counted for every key alone.

What is taken from the engine (Patroni 4.0.7, read in its source):
- Leader: refreshing its lease succeeds while the lease lives, whatever became of the key (`_update_leader`, seen
  through a cached view); then it may change the sync key by compare-and-swap with the cached revision, and after that
  stop waiting for replicas.
- Election: a candidate reads positions one by one (a vote is a read, not a promise), needs `quorum` votes of the
  voters besides itself, sees nobody ahead, and creates the leader key when it is not there.
- A replica goes on streaming from the old leader until it happens to look at the dcs.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from json import loads
from typing import Any, NamedTuple

from holdfast.components.watcher.service.protocol import decide
from holdfast.components.watcher.service.words import (
    Compare,
    Decision,
    Fence,
    Lead,
    Note,
    Self,
    Senses,
    Standing,
    Sync,
    Txn,
    View,
)

LEADER = "a"
# Doubts and answers only make an attempt likelier or less likely, and the adversary chooses that anyway.
ACTS = ("fence", "promise", "depose", "retract", "unfence")
# A linked list of names of steps, the last one outermost.
Path = tuple[Any, ...]
Decide = Callable[[Self, View, Fence | None, Senses], Decision]


class Bounds(NamedTuple):
    """How large a world is explored, and faults put into it on purpose to see that the invariant notices.

    ``records``: how many the old leader writes; ``promises``: how often a promise key is written; ``fences``: how
    often one host fences; ``late``: how many transactions may be under way at once, to come in whenever they like.
    ``cuts``: a fence really cuts. ``waits_for_receiver``: a promise waits until what streamed before has ended.
    ``new_segment``: a new leader begins a new segment of its log before it counts on who did not vote.
    """

    voters: tuple[str, ...] = ("b", "c")
    numsync: int = 1
    records: int = 1
    promises: int = 2
    fences: int = 1
    late: int = 1
    cuts: bool = True
    waits_for_receiver: bool = True
    new_segment: bool = True
    decider: Decide = decide


class Race(NamedTuple):
    """A candidate in an election: what it read of the sync key, and whose votes it has."""

    voters: frozenset[str]
    quorum: int
    votes: frozenset[str] = frozenset()


class Voter(NamedTuple):
    """One replica with its watcher. ``sent``: the highest position whose acknowledgement left for the leader."""

    position: int = 0
    sent: int = 0
    arrived: int = 0
    streams: bool = True
    ended: bool = False
    fence: Fence | None = None
    fences: int = 0
    late: Decision | None = None
    race: Race | None = None
    fork: int = -1

    @property
    def leads(self) -> bool:
        """Whether it was promoted; ``fork`` is where its log left the old leader's."""
        return self.fork >= 0

    @property
    def follows(self) -> bool:
        """Whether it has turned to the new leader, and is not rewound yet."""
        return not self.streams and not self.leads


class World(NamedTuple):
    """Everything at one moment."""

    voters: tuple[Voter, ...]
    lead: Lead | None
    leads: int
    sync: Sync
    promises: tuple[Note, ...]
    records: int = 0
    acknowledged: int = 0
    primary: bool = True
    numsync: int = 1
    cached: int = 1
    alone_next: bool = False


def start(bounds: Bounds) -> World:
    """Return a healthy cluster: everybody streams, nobody doubts."""
    quorum = len(bounds.voters) - bounds.numsync
    sync = Sync(LEADER, bounds.voters, quorum, 1, _sync_text(bounds.voters, quorum))
    idle = tuple(Note("", 0, 0) for _ in bounds.voters)
    voters = tuple(Voter() for _ in bounds.voters)
    return World(voters, Lead(LEADER, 1), 1, sync, idle, numsync=bounds.numsync)


def _sync_text(voters: tuple[str, ...], quorum: int) -> str:
    return f'{{"leader":"{LEADER}","quorum":{quorum},"sync_standby":"{",".join(voters)}"}}'


def broken(world: World, bounds: Bounds) -> str:
    """Return how two nodes can both acknowledge, or what acknowledged commit is lost; "" when all is well."""
    leads = [each for each in world.voters if each.leads]
    if not leads:
        return ""
    if len(leads) > 1:
        return "two replicas were promoted"
    if world.acknowledged > leads[0].fork:
        return "an acknowledged commit is not in the new leader's log"
    if bounds.numsync == 1 and any(each.position > leads[0].fork for each in world.voters):
        return "a replica is ahead of the new leader: it would seem to have what it cannot have"
    if not bounds.new_segment and any(each.follows and each.position > leads[0].fork for each in world.voters):
        return "a replica ahead of the new leader acknowledges what it does not have"
    reaching = sum(each.streams and not _cut(each, bounds) and not each.leads for each in world.voters)
    if world.primary and reaching >= world.numsync:
        return "the old leader can still acknowledge"
    return ""


def explore(bounds: Bounds, most: int) -> tuple[str, list[str], int]:
    """Try everything, nearest first: what breaks, by which steps, and how many states were seen."""
    first = start(bounds)
    seen, todo = {first}, deque[tuple[World, Path]]([(first, ())])
    while todo and len(seen) < most:
        world, path = todo.popleft()
        for name, after in steps(world, bounds):
            if after in seen:
                continue
            seen.add(after)
            if why := broken(after, bounds):
                return why, _named((path, name)), len(seen)
            todo.append((after, (path, name)))
    return "", [], len(seen)


def _named(path: Path) -> list[str]:
    names: list[str] = []
    while path:
        path, name = path
        names.append(name)
    return names[::-1]


def walk(bounds: Bounds, dice: Iterator[int]) -> tuple[str, list[str]]:
    """Go one way at random, as long as the dice last: what breaks, and the steps."""
    world, names = start(bounds), list[str]()
    for each in dice:
        ways = list(steps(world, bounds))
        if not ways:
            break
        name, world = ways[each % len(ways)]
        names.append(name)
        if why := broken(world, bounds):
            return why, names
    return "", names


def along(bounds: Bounds, names: list[str]) -> str:
    """Take steps by their names, and return what they break. Raises KeyError for a step that is not possible."""
    world = start(bounds)
    for name in names:
        world = dict(steps(world, bounds))[name]
    return broken(world, bounds)


def _cut(voter: Voter, bounds: Bounds) -> bool:
    return voter.fence is not None and bounds.cuts


def steps(world: World, bounds: Bounds) -> Iterator[tuple[str, World]]:
    """Yield every step that may come next, with its name; none when nothing can be lost any more."""
    if not world.primary and any(each.leads for each in world.voters):
        return
    yield from _leader_steps(world, bounds)
    for index, voter in enumerate(world.voters):
        name = bounds.voters[index]
        for found in (_voter_steps, _election, _watcher_steps):
            for step, changed in found(world, index, voter, bounds):
                yield f"{name} {step}", changed


# The old leader


def _leader_steps(world: World, bounds: Bounds) -> Iterator[tuple[str, World]]:
    if world.records < bounds.records:
        yield "a writes", _counted(world._replace(records=world.records + 1))
    if world.lead and world.lead.name == LEADER and world.cached != world.sync.revision:
        yield "a looks into the dcs", world._replace(cached=world.sync.revision)
    # It thinks it leads, as its lease lives: it gives the waiting up, first in the dcs and then in the database.
    if world.cached == world.sync.revision and world.sync.voters:
        alone = Sync(LEADER, (), 0, world.sync.revision + 1, _sync_text((), 0))
        yield "a writes alone from now on (dcs)", world._replace(sync=alone, alone_next=True)
    if world.alone_next:
        yield "a writes alone from now on", _counted(world._replace(numsync=0, alone_next=False))
    if world.lead is None:
        yield "a takes its key again", world._replace(lead=Lead(LEADER, world.leads + 1), leads=world.leads + 1)
    elif world.lead.name != LEADER:
        yield "a sees another leader", world._replace(primary=False, cached=0)


def _counted(world: World) -> World:
    """Return the world with what the old leader has acknowledged by now."""
    if not world.primary:
        return world
    arrived = sorted((each.arrived for each in world.voters), reverse=True)
    safe = world.records if world.numsync == 0 else arrived[world.numsync - 1]
    return world._replace(acknowledged=max(world.acknowledged, safe))


# A replica


def _with(world: World, index: int, voter: Voter) -> World:
    return world._replace(voters=(*world.voters[:index], voter, *world.voters[index + 1 :]))


def _voter_steps(world: World, index: int, voter: Voter, bounds: Bounds) -> Iterator[tuple[str, World]]:
    way = voter.streams and not _cut(voter, bounds)
    # What came in before the fence may be written to the log until the receiver is known to have ended.
    if (way or (voter.streams and not voter.ended)) and voter.position < world.records:
        yield "receives", _with(world, index, voter._replace(position=world.records))
    if way and voter.sent < voter.position:
        yield "acknowledges", _with(world, index, voter._replace(sent=voter.position))
    if voter.arrived < voter.sent and world.primary:
        yield "is heard by a", _counted(_with(world, index, voter._replace(arrived=voter.sent)))
    if voter.streams and any(each.leads for each in world.voters):
        yield "follows the new leader", _with(world, index, voter._replace(streams=False))


def _election(world: World, index: int, voter: Voter, bounds: Bounds) -> Iterator[tuple[str, World]]:
    name = bounds.voters[index]
    if any(each.leads for each in world.voters):
        return
    if voter.race is None:
        if world.lead is None and world.sync.voters:
            race = Race(frozenset(world.sync.voters), world.sync.quorum)
            yield "begins to race", _with(world, index, voter._replace(race=race))
        return
    for other, each in zip(bounds.voters, world.voters, strict=True):
        if other != name and other in voter.race.voters - voter.race.votes and each.position <= voter.position:
            race = voter.race._replace(votes=voter.race.votes | {other})
            yield f"has the vote of {other}", _with(world, index, voter._replace(race=race))
    votes = len(voter.race.votes) - (name not in voter.race.voters)
    if world.lead is None and votes >= voter.race.quorum:
        won = voter._replace(streams=False, fork=voter.position, race=None)
        lead = Lead(name, world.leads + 1)
        yield "is promoted", _with(world, index, won)._replace(lead=lead, leads=lead.revision)


# A watcher


def _watcher_steps(world: World, index: int, voter: Voter, bounds: Bounds) -> Iterator[tuple[str, World]]:
    if voter.fence and not voter.ended:
        yield "ends its receiver", _with(world, index, voter._replace(ended=True))
    if voter.late and voter.late.txn:
        came = _with(world, index, voter._replace(late=None))
        yield f"'s late {voter.late.act} comes in", _run(came, voter.late.txn, bounds)
    ruled = next((place for place, each in enumerate(world.voters) if each.leads), -1)
    late = voter.leads or (ruled >= 0 and not voter.streams)
    secured = voter.fence is not None and (voter.ended or not bounds.waits_for_receiver)
    for silent in (True, False):
        view = (world.lead, world.sync, world.promises, ruled, late)
        decision = _decided(bounds, bounds.voters[index], view, voter.fence, secured, silent)
        if decision.act in ACTS:
            yield from _acting(world, index, _asking(voter, decision), decision, bounds)


def _asking(voter: Voter, decision: Decision) -> Voter:
    """Write down, before a promise is asked for, at which revision of its key."""
    if decision.act != "promise" or decision.txn is None or voter.fence is None:
        return voter
    asked = next(each.revision for each in decision.txn.guards if each.key.startswith("our:promise/"))
    fence = Fence(voter.fence.target, voter.fence.under, max(voter.fence.asked, asked))
    return voter._replace(fence=fence)


def _acting(
    world: World, index: int, voter: Voter, decision: Decision, bounds: Bounds
) -> Iterator[tuple[str, World]]:
    if decision.act == "fence":
        if voter.fence is None and voter.fences < bounds.fences:
            fence = Fence(decision.target, decision.under)
            fenced = voter._replace(fence=fence, fences=voter.fences + 1, ended=False)
            yield "fences", _with(world, index, fenced)
    elif decision.act == "unfence":
        yield "lifts its fence", _with(world, index, voter._replace(fence=None, ended=False))
    elif decision.txn:
        yield f"does {decision.act}", _run(_with(world, index, voter), decision.txn, bounds)
        if voter.late is None and sum(each.late is not None for each in world.voters) < bounds.late:
            yield f"asks late to {decision.act}", _with(world, index, voter._replace(late=decision))


def _run(world: World, txn: Txn, bounds: Bounds) -> World:
    """Run a transaction in the dcs, all or nothing."""
    if not all(_holds(world, guard, bounds) for guard in txn.guards):
        return world
    for key, text in txn.puts:
        world = _put(world, key, text, bounds)
    return world._replace(lead=None) if "db:leader" in txn.deletes else world


def _holds(world: World, guard: Compare, bounds: Bounds) -> bool:
    if guard.key == "db:leader":
        return (world.lead.revision if world.lead else 0) == guard.revision
    if guard.key == "db:sync":
        return world.sync.revision == guard.revision
    return world.promises[bounds.voters.index(guard.key.removeprefix("our:promise/"))].revision == guard.revision


def _put(world: World, key: str, text: str, bounds: Bounds) -> World:
    value = loads(text)
    if key == "db:sync":
        voters = tuple(each for each in value["sync_standby"].split(",") if each)
        return world._replace(sync=Sync(LEADER, voters, world.sync.quorum, world.sync.revision + 1, text))
    if not key.startswith("our:promise/"):
        return world
    index = bounds.voters.index(key.removeprefix("our:promise/"))
    old = world.promises[index]
    if old.revision >= bounds.promises:
        return world
    note = Note(value["about"], value["under"], old.revision + 1)
    return world._replace(promises=(*world.promises[:index], note, *world.promises[index + 1 :]))


Seen = tuple[Lead | None, Sync, tuple[Note, ...], int, bool]


@cache
def _decided(bounds: Bounds, name: str, seen: Seen, fence: Fence | None, secured: bool, silent: bool) -> Decision:
    me = Self(name, (LEADER, *bounds.voters))
    gone = frozenset({LEADER}) if silent else frozenset()
    senses = Senses(gone, gone, waited=True, expired=not silent, secured=secured)
    return bounds.decider(me, _view(bounds, name, seen), fence, senses)


def _view(bounds: Bounds, name: str, seen: Seen) -> View:
    """Return what a look into the dcs shows; everybody doubts the old leader, as the adversary wants."""
    lead, sync, promises, ruled, late = seen
    doubts = {each: Note(lead.name, lead.revision, 1) for each in bounds.voters} if lead else {}
    standings = {
        LEADER: Standing("primary", "running", 1, 0),
        name: Standing("replica", "running", 2 if late else 1, 0),
    }
    if ruled >= 0:
        standings[bounds.voters[ruled]] = Standing("primary", "running", 2, 0)
    return View(lead, sync, standings, doubts, {}, dict(zip(bounds.voters, promises, strict=True)))
