"""One drill: load, faults with their undo armed, evidence, healing, reading back, and the judgement of all that."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from holdfast.design.design import Design
from holdfast.design.judge import HEALTHY, Status, what_is_wrong
from holdfast.drills.eyes import Eyes, Seen
from holdfast.drills.hands import Connect, Hands, HandsError
from holdfast.drills.history import Kind
from holdfast.drills.load.base import LoadError
from holdfast.drills.load.loads import Loads
from holdfast.drills.numbers import kept_up, steady, successes
from holdfast.drills.operations import Deed, Operation
from holdfast.drills.record import Struck
from holdfast.drills.scenario import Scenario, Strike
from holdfast.drills.targets import TargetError, resolve
from holdfast.model.fault import UNDERNEATH, Aim, Blow, Fault, Ground
from holdfast.wire.http import Door

# The ways in on which nothing may be lost, and the one that counts where there is none of them.
WRITE_PATHS, CACHE_PATH = ("write order", "sql write"), "cache write"
# Clients are well when their successes come without a longer pause than this, and in a calm take no longer either.
PAUSE_MAX_S = 1.0


class DrillError(Exception):
    """A drill cannot begin or cannot be judged; the message says why. Nothing is left in force."""


@dataclass(frozen=True, slots=True)
class DrillTiming:
    """Seconds: calm before the blow and after healing, and when waiting ends.

    ``switch_s``: how much later than the planned healing the dead man's switch undoes a fault. ``stop_s``: the stop
    condition; when no order and no SQL write was acknowledged for so long, the faults are healed at once.
    ``undo_s``: how long an operation that was cut off may take to end before it is undone.
    """

    calm_s: float = 6.0
    after_s: float = 4.0
    ready_s: float = 120.0
    evidence_s: float = 0.5
    switch_s: float = 60.0
    stop_s: float = 120.0
    undo_s: float = 30.0
    poll_s: float = 0.25


@dataclass(frozen=True, slots=True)
class Field:
    """Where drills are run: the cluster, the ways to it, and what lies under it (None: nothing that is ours).

    ``connect`` opens a wire to a place. ``values``: the vault's, ``hidden``: secret → name for journals.
    ``operations``: what may go on meanwhile, by name. ``say``: a sentence that stays; ``live``: one that the next
    replaces.
    """

    design: Design
    faults: Mapping[str, Fault]
    connect: Connect
    ground: Ground | None
    values: Mapping[str, str]
    hidden: Mapping[str, str]
    ca: Path
    door: Callable[[], Door | None]
    say: Callable[[str], None]
    live: Callable[[str], None]
    operations: Mapping[str, Operation] = field(default_factory=dict)
    timing: DrillTiming = field(default_factory=DrillTiming)


@dataclass(frozen=True, slots=True)
class Course:
    """What was done in a drill, on its clock: the raw material of its judgement."""

    scenario: Scenario
    seed: int
    length_s: float
    fault_s: float
    healed_s: float
    struck: tuple[Struck, ...]
    diagnoses: tuple[str, ...]
    whole_after_s: float | None
    stopped: str
    deed: Deed
    unread: Mapping[str, str]
    loads: Loads
    seen: Seen


def obstacle(scenario: Scenario, arena: Field) -> str:
    """Return why a scenario cannot be played here, "" when it can."""
    for strike in scenario.strikes:
        fault = arena.faults[strike.fault]
        if fault.needs and arena.ground is None:
            return f"{fault.name} needs what lies under the machines ({', '.join(fault.needs)}): only a lab has it"
        for need in fault.needs:
            if arena.ground and (why := arena.ground.lacks(need)):
                return why
    if scenario.during and scenario.during not in arena.operations:
        return f"nothing here can do a {scenario.during} meanwhile"
    return ""


async def run_drill(arena: Field, scenario: Scenario, seed: int) -> Course:
    """Play a scenario and return its course. Whatever happens, everything is healed before this returns.

    Raises DrillError when the cluster is not fit for it or the scenario cannot be played here.
    """
    if why := obstacle(scenario, arena):
        raise DrillError(f"{scenario.name}: {why}")
    begun_s = time.monotonic()

    def clock() -> float:
        return time.monotonic() - begun_s

    door = arena.door()
    run = f"{scenario.name[:24]}-{seed}"
    loads = Loads.standard(arena.design, arena.values, arena.connect, door, arena.ca, run, clock=clock)
    eyes = Eyes(arena.design, arena.connect, hidden=arena.hidden, underneath=arena.ground is not None, clock=clock)
    hands = Hands(arena.connect, clock=clock)
    async with eyes:
        play = _Play(arena, scenario, seed, eyes, loads, hands, clock)
        await play.ready()
        async with loads:
            try:
                return await play.act()
            finally:
                await asyncio.shield(play.clean_up())


@dataclass
class _Play:
    """A drill while it goes on."""

    arena: Field
    scenario: Scenario
    seed: int
    eyes: Eyes
    loads: Loads
    hands: Hands
    clock: Callable[[], float]
    struck: list[Struck] = field(default_factory=list)
    diagnoses: list[str] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: str = ""
    deed: Deed = field(default_factory=Deed)
    lasting: bool = False
    doing: asyncio.Task[Deed] | None = None
    owed: Operation | None = None
    under_way: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed).choice  # noqa: S311

    async def ready(self) -> None:
        """Wait for a healthy cluster, with the hands already on it. Raises DrillError."""
        await self.hands.open([UNDERNEATH] if self.arena.ground else [])
        begun_s = self.clock()
        while (status := self.eyes.status) is None or status.health != HEALTHY:
            if self.clock() - begun_s > self.arena.timing.ready_s:
                raise DrillError(f"the cluster is not healthy, so nothing could be shown: {what_is_wrong(status)}")
            self.arena.live(f"waiting for a healthy cluster ({what_is_wrong(status)})")
            await asyncio.sleep(self.arena.timing.poll_s)

    async def act(self) -> Course:
        """Play it all."""
        await self._watch(self.arena.timing.calm_s, "all is well")
        await self._carried()
        await self.eyes.rest()
        fault_s = self.clock()
        status = self.eyes.status
        self.doing = deed = asyncio.create_task(self._meanwhile())
        guard = asyncio.create_task(self._guard())
        strikes = [
            asyncio.create_task(self._strike(number, strike, fault_s, status))
            for number, strike in enumerate(self.scenario.strikes)
        ]
        try:
            await asyncio.gather(*strikes)
            self.deed = await deed
        except (HandsError, TargetError) as error:
            raise DrillError(str(error)) from error
        finally:
            for task in (guard, deed, *strikes):
                task.cancel()
        healed_s = self.clock()
        whole_s = await self._whole(healed_s)
        await self._watch(self.arena.timing.after_s, "after that")
        await self.loads.stop()
        await self._tidy()
        self.arena.live("reading everything back")
        unread = await self.loads.read_back()
        await self._clear()
        seen = await self.eyes.gather(fault_s, healed_s if self.lasting else None)
        return Course(
            self.scenario,
            self.seed,
            self.clock(),
            fault_s,
            healed_s,
            tuple(self.struck),
            tuple(self.diagnoses),
            whole_s,
            self.stopped,
            self.deed,
            unread,
            self.loads,
            seen,
        )

    async def _carried(self) -> None:
        """Wait until clients are served in time: gaps of a cluster that is too slow for them are not the fault's."""
        seen, begun_s, window_s = self.loads.operations, self.clock(), self.arena.timing.calm_s / 2
        while not all(kept_up(seen[way], self.clock(), window_s, PAUSE_MAX_S) for way in WRITE_PATHS if way in seen):
            if self.clock() - begun_s > self.arena.timing.ready_s:
                raise DrillError("clients are not served in time although nothing is broken: too slow for this load")
            await self._watch(self.arena.timing.poll_s, "waiting until clients are served in time")
            seen = self.loads.operations

    async def clean_up(self) -> None:
        """Undo everything that may be in force."""
        if self.hands.struck:
            self.arena.say("healing")
        await self.hands.heal_all()
        await self._tidy()
        await self.hands.close()

    async def _meanwhile(self) -> Deed:
        """Do what the scenario wants done meanwhile; return what became of it."""
        if not (name := self.scenario.during):
            return Deed()
        begun_s = self.clock()
        self.owed = self.arena.operations[name]
        try:
            words = await self.owed.do(self._begins)
        except Exception as error:
            # It may well fail under a fault: that is an outcome, told in the record.
            told = f"the {name} failed after {self.clock() - begun_s:.1f} s: {error}"
            return Deed(told, failed=True, begun=self.under_way.is_set())
        finally:
            self.under_way.set()
        told = f": {words}" if isinstance(words, str) else ""
        return Deed(f"the {name} took {self.clock() - begun_s:.1f} s{told}")

    def _begins(self) -> None:
        if not self.under_way.is_set():
            self.eyes.rest_on()
        self.under_way.set()

    async def _tidy(self) -> None:
        """Undo what was done meanwhile, once; what cannot be undone is told."""
        operation, self.owed = self.owed, None
        if operation is None or operation.tidy is None:
            return
        self.arena.say(f"undoing the {self.scenario.during}")
        if self.doing:
            # One that was cut off gives its locks back first.
            await asyncio.wait([self.doing], timeout=self.arena.timing.undo_s)
        try:
            await operation.tidy()
        except Exception as error:
            self.deed = replace(self.deed, left=f"the {self.scenario.during} is not undone: {error}")
            self.arena.say(self.deed.left)

    async def _clear(self) -> None:
        """Remove what the clients made in the database and in the cache; the next drill does it otherwise."""
        try:
            await self.loads.clear()
        except LoadError as error:
            self.arena.say(f"what the clients made is still there: {error}")

    async def _strike(self, number: int, strike: Strike, fault_s: float, status: Status | None) -> None:
        if self.scenario.during:
            await self.under_way.wait()
            fault_s = self.clock()
        await asyncio.sleep(max(0.0, fault_s + strike.at_s - self.clock()))
        if self.stop.is_set():
            return
        fault = self.arena.faults[strike.fault]
        word = strike.target or fault.target
        known = self.eyes.status if strike.at_s > 0 else status
        assert known is not None
        hosts = resolve(word, self.arena.design, known, self.draw)
        everyone = tuple(host.name for host in self.arena.design.spec.hosts)
        blows = fault.strike(Aim(hosts, everyone), self.arena.ground)
        if not blows:
            raise DrillError(f"{fault.name} finds nothing to strike on {', '.join(hosts)}")
        title = fault.title.format(hosts=", ".join(hosts))
        self.arena.say(f"{self.clock():6.1f} s  {title}")
        self.diagnoses.append(fault.diagnosis.format(hosts=", ".join(hosts)))
        planned_s = fault.hold_s if strike.hold_s is None else strike.hold_s
        hold_s = 0.0 if all(blow.once for blow in blows) else planned_s
        await self._blows(f"{number}-{fault.name}", fault, title, (word, hosts), blows, hold_s)

    async def _blows(
        self,
        name: str,
        fault: Fault,
        title: str,
        aimed: tuple[str, tuple[str, ...]],
        blows: tuple[Blow, ...],
        hold_s: float,
    ) -> None:
        from_s = self.clock()
        ids = [f"{self.seed}-{name}-{index}"[:100] for index in range(len(blows))]
        undo_after_s = hold_s + self.arena.timing.switch_s
        pairs = tuple(zip(blows, ids, strict=True))
        await asyncio.gather(*(self.hands.strike(blow, id, undo_after_s) for blow, id in pairs))
        evidence = await self._evidence(blows, from_s + max(hold_s, 3.0))
        while self.clock() - from_s < hold_s and not self.stop.is_set():
            await asyncio.sleep(self.arena.timing.poll_s)
        # Asked once more at the end: counters tell most then.
        if hold_s:
            self.lasting = True
            evidence = await self._evidence(blows, self.clock()) or evidence
        healed = await asyncio.gather(*(self.hands.heal(blow, id) for blow, id in pairs))
        if hold_s:
            self.arena.say(f"{self.clock():6.1f} s  healed: {title}")
        by_switch = any(each.by_switch for each in healed)
        word, hosts = aimed
        self.struck.append(
            Struck(fault.name, title, word, hosts, from_s, self.clock(), evidence, bool(evidence), by_switch)
        )

    async def _evidence(self, blows: tuple[Blow, ...], until_s: float) -> tuple[str, ...]:
        """Ask until every blow shows that it bites, or time is up; none when one does not."""
        while True:
            found = await asyncio.gather(*(self.hands.evidence(blow) for blow in blows))
            if all(found):
                return tuple(sentence for each in found for sentence in each)
            if self.clock() >= until_s or self.stop.is_set():
                return ()
            await asyncio.sleep(self.arena.timing.evidence_s)

    async def _guard(self) -> None:
        """The stop condition: too long without any acknowledged write."""
        limit_s = self.arena.timing.stop_s
        begun_s = self.clock()
        while True:
            await asyncio.sleep(self.arena.timing.poll_s)
            last_s = max([begun_s, *self._acknowledged_s()])
            self.arena.live(self._progress("in force"))
            if self.clock() - last_s > limit_s:
                self.stopped = f"stopped: no write was acknowledged for {limit_s:g} s"
                self.arena.say(self.stopped)
                self.stop.set()
                return

    def _acknowledged_s(self) -> list[float]:
        """Return when the last write that must not be lost was acknowledged, on each way in."""
        known = self.loads.operations
        # A cache that goes on does not make up for a shop that takes no orders.
        counted = [path for path in WRITE_PATHS if path in known] or [path for path in known if path == CACHE_PATH]
        return [max((each.ended_s for each in known[path] if each.ok), default=0.0) for path in counted]

    async def _whole(self, healed_s: float) -> float | None:
        """Wait until the cluster is healthy and clients are well again; None when it takes too long."""
        limit_s = self.scenario.settle_s + self.arena.timing.ready_s
        before = self.eyes.status
        fresh = 0
        while self.clock() - healed_s < limit_s:
            if (status := self.eyes.status) is not before:
                before, fresh = status, fresh + 1
            # The first status after healing may have been asked before it.
            if fresh >= 2 and status is not None and status.health == HEALTHY and self._steady():
                return self.clock() - healed_s
            self.arena.live(self._progress(f"coming back: {what_is_wrong(status)}"))
            await asyncio.sleep(self.arena.timing.poll_s)
        self.arena.say(f"not whole after {limit_s:.0f} s: {what_is_wrong(self.eyes.status)}")
        return None

    def _steady(self) -> bool:
        operations = self.loads.operations
        window_s = 2.0
        reads = operations.get("read page", ())
        writes = operations.get("sql write", operations.get("write order", ()))
        return all(
            steady(successes(history, kind), self.clock(), window_s, PAUSE_MAX_S)
            for kind, history in ((Kind.READ, reads), (Kind.WRITE, writes))
            if history
        )

    async def _watch(self, for_s: float, what: str) -> None:
        begun_s = self.clock()
        while self.clock() - begun_s < for_s:
            self.arena.live(self._progress(what))
            await asyncio.sleep(self.arena.timing.poll_s)

    def _progress(self, what: str) -> str:
        done = sum(len(history) for history in self.loads.operations.values())
        return f"{self.clock():6.1f} s  {self.scenario.name}: {what} ({done} operations)"
