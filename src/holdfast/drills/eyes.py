"""Eyes: everything that is watched while a cluster is broken on purpose, on all machines at once."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from holdfast.design.design import Design
from holdfast.design.judge import Status, judge
from holdfast.drills import journals
from holdfast.drills.findings import Found, finding_moments, found_in, healths, unreachable
from holdfast.drills.invariants import Role, Sample, role_moments, violations
from holdfast.drills.journals import Entry
from holdfast.drills.lookout import SILENT_S, Connect, Log, Lookout
from holdfast.drills.record import Moment
from holdfast.drills.sight import Answers, Cost, blind_times, costs_of, error_of, samples_of
from holdfast.model.fault import UNDERNEATH, Milestone
from holdfast.model.member import Member
from holdfast.model.watch import Reading, Watch
from holdfast.runner.fleet import probes_to_run, readings_of
from holdfast.wire.base import WireError

Data = dict[str, Any]
PERIOD_S = 0.25
# All probes of a machine cost about 0.2 s of CPU, taken after everything else.
STATUS_PERIOD_S = 3.0
# Who takes over, and when, roles and journals tell; asking everybody for their state meanwhile would slow that down.
REST_S = 4.0
READY_S = 20.0
# The slowest probe may take 3 s, and a machine that is overloaded takes its time.
ROUND_S = 8.0
ADDRESS_ROLE = "floating address"
# How a report calls the computer that carries the machines.
HERE = "this computer"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen from the first to the last second; times are seconds of the drill's clock.

    - ``moments``: roles, findings and milestones, sorted. ``violations``: two holders of what one may hold.
    - ``phases_s``: seconds from the fault to ``detect``, ``elect``, ``promote``, ``route`` of the database.
    - ``healths``: when the cluster's health changed, and to what.
    - ``journals``: member's name → its units' journal as text, secrets masked.
    - ``clock_error_s``: how far off a machine's times may be, at most. ``blind``: when a host was not watched.
    - ``costs``: what watching cost on each host. ``limits``: what could not be seen, in sentences.
    """

    moments: tuple[Moment, ...]
    violations: tuple[Moment, ...]
    phases_s: Mapping[str, float]
    healths: tuple[tuple[float, str], ...]
    journals: Mapping[str, str]
    clock_error_s: float
    blind: tuple[Moment, ...]
    costs: Mapping[str, Cost]
    limits: tuple[str, ...] = ()


@dataclass
class _State:
    """What changes while watching."""

    round: int = 0
    answered: dict[str, int] = field(default_factory=dict)
    readings: dict[str, Mapping[Member, Reading]] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    status: Status | None = None
    begun_s: float = 0.0
    rest_until_s: float = 0.0
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)


class Eyes:
    """Watches a cluster while the block runs: roles several times a second, health every few seconds.

    ``connect`` opens a wire to a place; ``underneath``: the computer that carries the machines watches the wire too.
    ``hidden``: secret value → name, for the journals. ``clock``: the drill's.
    """

    def __init__(
        self,
        design: Design,
        connect: Connect,
        *,
        hidden: Mapping[str, str] | None = None,
        underneath: bool = False,
        clock: Callable[[], float] = time.monotonic,
        period_s: float = PERIOD_S,
        status_period_s: float = STATUS_PERIOD_S,
    ) -> None:
        self._design = design
        self._hidden = hidden or {}
        self._clock = clock
        self._period_s = period_s
        self._status_period_s = status_period_s
        self._state = _State()
        self._watches = {host.name: _watches_on(design, host.name) for host in design.spec.hosts}
        places = [*self._watches, *([UNDERNEATH] if underneath else [])]
        self._lookouts = {place: Lookout(place, connect, self._request(place), clock, self._told) for place in places}

    @property
    def status(self) -> Status | None:
        """The cluster as it was judged last (every ``status_period_s``), None before the block began."""
        return self._state.status

    async def __aenter__(self) -> Self:
        """Open every stream; return when all hosts that answer were heard once."""
        self._state.tasks = [asyncio.create_task(each.keep()) for each in self._lookouts.values()]
        await asyncio.gather(*(self._first_word(each) for each in self._lookouts.values()))
        self._state.begun_s = self._clock()
        await self._round()
        self._state.tasks.append(asyncio.create_task(self._rounds()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every stream."""
        for task in self._state.tasks:
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        await asyncio.gather(*(each.close() for each in self._lookouts.values()), return_exceptions=True)

    async def rest(self) -> None:
        """Ask nobody for their health for `REST_S`; returns when a round that is under way is over."""
        async with self._state.looking:
            self.rest_on()

    def rest_on(self) -> None:
        """Begin the rest again, from now: what is to be measured begins only now."""
        self._state.rest_until_s = self._clock() + REST_S

    async def gather(self, fault_s: float | None = None, healed_s: float | None = None) -> Seen:
        """End watching and return what was seen; call it once, inside the block.

        ``fault_s``: when the (first) fault struck, None without one. ``healed_s``: when the (last) one was undone,
        None when it was over at once: what comes later is no answer to the fault and is left out of ``phases_s``.
        """
        end_s = self._clock()
        entries, limits = await self._journals()
        await asyncio.gather(*(each.end() for each in self._lookouts.values()))
        within = None if fault_s is None else (fault_s, end_s if healed_s is None else healed_s)
        return self._seen(end_s, within, entries, limits)

    def _request(self, place: str) -> Data:
        watches = self._watches.get(place, {})
        return {
            "period_s": self._period_s,
            "address": self._design.spec.entry.vip or "",
            "watches": [
                {"key": key, "argv": list(each.argv), "question": each.question} for key, each in watches.items()
            ],
            "probes": probes_to_run(self._design, self._design.on(place)) if place in self._watches else [],
        }

    def _told(self, place: str, event: Data) -> None:
        if event["event"] == "probed":
            self._state.readings[place] = readings_of(self._design, self._design.on(place), event["outputs"])
            self._state.answered[place] = int(event["n"])

    async def _first_word(self, lookout: Lookout) -> None:
        begun_s = self._clock()
        while self._clock() - begun_s < READY_S and not lookout.ready.is_set() and not lookout.trouble:
            await asyncio.sleep(0.02)

    async def _rounds(self) -> None:
        while True:
            while (left_s := self._state.rest_until_s - self._clock()) > 0:
                await asyncio.sleep(left_s)
            begun_s = self._clock()
            async with self._state.looking:
                await self._round()
            await asyncio.sleep(max(begun_s + self._status_period_s - self._clock(), self._status_period_s / 4))

    async def _round(self) -> None:
        """Ask all hosts for their state at one moment, as ``status`` does, and judge it; who is silent has none."""
        state = self._state
        state.round += 1
        begun_s = self._clock()
        hosts = list(self._watches)
        for host in hosts:
            self._lookouts[host].probe(state.round)
        while any(self._awaited(host) for host in hosts) and self._clock() - begun_s < ROUND_S:
            await asyncio.sleep(0.05)
        readings: dict[Member, Reading] = {}
        for host in hosts:
            readings |= state.readings[host] if self._has_answered(host) else self._silence(host)
        state.status = judge(self._design, readings)
        state.found.append(found_in(state.status, self._clock()))

    def _has_answered(self, host: str) -> bool:
        return self._state.answered.get(host) == self._state.round

    def _awaited(self, host: str) -> bool:
        return not self._has_answered(host) and self._lookouts[host].silent_s < SILENT_S

    def _silence(self, host: str) -> Mapping[Member, Reading]:
        return unreachable(self._design.on(host), self._lookouts[host].trouble or "no answer")

    async def _journals(self) -> tuple[dict[str, tuple[Entry, ...]], list[str]]:
        hosts = list(self._watches)
        answers = await asyncio.gather(*(self._journal(host) for host in hosts), return_exceptions=True)
        found: dict[str, tuple[Entry, ...]] = {}
        limits = [
            f"{place or HERE} was never watched: {each.trouble or 'no answer'}"
            for place, each in self._lookouts.items()
            if not each.logs
        ]
        for host, answer in zip(hosts, answers, strict=True):
            if isinstance(answer, (WireError, TimeoutError)):
                limits.append(f"the journal of {host} could not be read: {answer or 'no answer'}")
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found[host] = answer
        return found, limits

    async def _journal(self, host: str) -> tuple[Entry, ...]:
        lookout = self._lookouts[host]
        clock = lookout.logs[-1].clock if lookout.logs else None
        if lookout.wire is None or clock is None or lookout.silent_s > SILENT_S:
            raise WireError(f"{host} does not answer")
        units = dict.fromkeys(
            unit for member in self._design.on(host) for unit in journals.units_of(self._design, member)
        )
        read = journals.read_journal(lookout.wire, host, units, clock, self._state.begun_s)
        return await asyncio.wait_for(read, journals.TIMEOUT_S)

    def _seen(
        self,
        end_s: float,
        within: tuple[float, float] | None,
        entries: Mapping[str, tuple[Entry, ...]],
        limits: list[str],
    ) -> Seen:
        begun_s, logs = self._state.begun_s, self._logs()
        roles, samples = self._roles(), self._samples()
        steps = self._steps(entries, (begun_s, end_s))
        moments = (
            *role_moments(roles, samples, begun_s, end_s),
            *finding_moments(self._state.found),
            *journals.milestone_moments(steps),
        )
        errors_s = {place: error_of(own) for place, own in logs.items()}
        blind = tuple(each for place, own in logs.items() for each in blind_times(place, own, begun_s, end_s))
        wanted = journals.failover_steps(self._design)
        return Seen(
            moments=tuple(sorted(moments, key=lambda each: each.at_s)),
            violations=violations(roles, samples, errors_s, self._period_s),
            phases_s=_phases(steps, wanted, within),
            healths=healths(self._state.found),
            journals=self._texts(entries),
            clock_error_s=max(errors_s.values(), default=0.0),
            blind=blind,
            costs={place: costs_of(own) for place, own in logs.items()},
            limits=tuple(limits),
        )

    def _logs(self) -> dict[str, list[Log]]:
        return {place or HERE: each.logs for place, each in self._lookouts.items()}

    def _roles(self) -> tuple[Role, ...]:
        asked: dict[tuple[str, str], set[str]] = {}
        for host, own in self._watches.items():
            for each in own.values():
                asked.setdefault((each.role, each.deed), set()).add(host)
        found = {role: Role(role, deed, asked=frozenset(hosts)) for (role, deed), hosts in asked.items()}
        if self._design.spec.entry.vip:
            found[ADDRESS_ROLE] = Role(ADDRESS_ROLE, f"holds the {ADDRESS_ROLE}", joined=False)
        return tuple(found.values())

    def _samples(self) -> tuple[Sample, ...]:
        logs = self._logs()
        macs = {log.mac: place for place, own in logs.items() for log in own if log.mac}
        answers = {place: Answers(self._watches.get(place, {}), ADDRESS_ROLE, macs) for place in logs}
        return tuple(
            each for place, own in logs.items() for log in own for each in samples_of(log, place, answers[place])
        )

    def _steps(
        self, entries: Mapping[str, tuple[Entry, ...]], window: tuple[float, float]
    ) -> tuple[tuple[Milestone, Entry], ...]:
        wanted = [step for each in self._design.components.values() for step in each.milestones]
        return journals.milestones((entry for own in entries.values() for entry in own), wanted, window)

    def _texts(self, entries: Mapping[str, tuple[Entry, ...]]) -> dict[str, str]:
        return {
            member.name: journals.masked(
                journals.text_of(entries[member.host], journals.units_of(self._design, member)), self._hidden
            )
            for member in self._design.members
            if member.host in entries
        }


def _watches_on(design: Design, host: str) -> dict[str, Watch]:
    """Return what is watched on a host, by key."""
    return {
        f"{member.name}/{each.role}": each
        for member in design.on(host)
        for each in design.components[member.component].watches(design.contexts[member])
    }


def _phases(
    steps: Iterable[tuple[Milestone, Entry]], wanted: Sequence[Milestone], within: tuple[float, float] | None
) -> dict[str, float]:
    if within is None:
        return {}
    return journals.phases([each for each in steps if each[0] in wanted and each[1].at_s <= within[1]], within[0])
