"""All servers of a cluster at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from holdfast.design.design import Design
from holdfast.design.judge import UNREACHABLE, worst
from holdfast.model.member import Member
from holdfast.model.watch import Output, Probe, Reading, State
from holdfast.runner import agent
from holdfast.runner.agent import AskError, Data
from holdfast.runner.manifest import to_look, travels
from holdfast.runner.plan import Sight
from holdfast.wire.base import Wire, WireError

T = TypeVar("T")
Connect = Callable[[str], Awaitable[Wire]]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Open wires by host, and the hosts that could not be reached with the reason."""

    wires: Mapping[str, Wire]
    unreachable: Mapping[str, str]

    async def close(self) -> None:
        """Give all connections back."""
        await asyncio.gather(*(wire.close() for wire in self.wires.values()), return_exceptions=True)


async def muster(design: Design, connect: Connect, without: frozenset[str] = frozenset()) -> Fleet:
    """Connect to every host of a design side by side, but for those left out."""
    hosts = [host.name for host in design.spec.hosts if host.name not in without]
    answers = await asyncio.gather(*(connect(host) for host in hosts), return_exceptions=True)
    wires: dict[str, Wire] = {}
    unreachable: dict[str, str] = {}
    for host, answer in zip(hosts, answers, strict=True):
        if isinstance(answer, WireError):
            unreachable[host] = str(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            wires[host] = answer
    return Fleet(wires, unreachable)


async def each_host(fleet: Fleet, work: Callable[[str, Wire], Awaitable[T]]) -> tuple[dict[str, T], dict[str, str]]:
    """Do something on every reachable host side by side; return answers and reasons of failure by host."""
    hosts = list(fleet.wires)
    found = await asyncio.gather(*(work(host, fleet.wires[host]) for host in hosts), return_exceptions=True)
    answers: dict[str, T] = {}
    failures: dict[str, str] = {}
    for host, answer in zip(hosts, found, strict=True):
        if isinstance(answer, (WireError, AskError)):
            failures[host] = str(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            answers[host] = answer
    return answers, failures


async def look(
    design: Design, fleet: Fleet, values: Mapping[str, str], only: frozenset[Member] | None = None
) -> tuple[dict[str, Sight], dict[str, str]]:
    """Look at the parts of all members (or ``only`` some) on every host: one round trip each."""

    async def one(host: str, wire: Wire) -> Sight:
        members = _those(design, host, only)
        parts = [to_look(part, values) for member in members for part in design.parts[member] if travels(part)]
        answer = await agent.ask(wire, "look", {"parts": parts})
        return Sight(answer["states"], answer["extra"], answer["ledger"])

    sights, failures = await each_host(fleet, one)
    return sights, {**fleet.unreachable, **failures}


async def observe(design: Design, fleet: Fleet, only: frozenset[Member] | None = None) -> dict[Member, Reading]:
    """Return the reading of all members (or ``only`` some); members of hosts that do not answer are down.

    Only what is asked for is probed: probes take processor time of the servers that are looked at.
    """

    async def one(host: str, wire: Wire) -> dict[Member, Reading]:
        members = _those(design, host, only)
        answer = await agent.ask(wire, "observe", {"probes": probes_to_run(design, members)})
        return readings_of(design, members, answer)

    answers, failures = await each_host(fleet, one)
    readings = {member: reading for each in answers.values() for member, reading in each.items()}
    for host, reason in {**fleet.unreachable, **failures}.items():
        silent = Reading(State.DOWN, reason=f"host unreachable: {reason}", facts=UNREACHABLE)
        readings |= dict.fromkeys(_those(design, host, only), silent)
    return readings


def _those(design: Design, host: str, only: frozenset[Member] | None) -> tuple[Member, ...]:
    return tuple(member for member in design.on(host) if only is None or member in only)


def probes_of(design: Design, member: Member) -> tuple[Probe, ...]:
    """Return the probes of a member."""
    return design.components[member.component].probes(design.contexts[member])


def _probes_of_all(design: Design, members: Iterable[Member]) -> dict[str, tuple[Member, Probe]]:
    return {
        f"{member.name}/{probe.name}": (member, probe) for member in members for probe in probes_of(design, member)
    }


def probes_to_run(design: Design, members: Iterable[Member]) -> list[Data]:
    """Return the probes of a host's members as they travel."""
    return [
        {"key": key, "argv": list(probe.argv), "timeout_s": probe.timeout_s}
        for key, (_, probe) in _probes_of_all(design, members).items()
    ]


def readings_of(design: Design, members: tuple[Member, ...], outputs: Mapping[str, Data]) -> dict[Member, Reading]:
    """Return the readings of a host's members from what their `probes_to_run` answered there."""
    found: dict[Member, list[Reading]] = {}
    for key, (member, probe) in _probes_of_all(design, members).items():
        found.setdefault(member, []).append(_read(probe, Output(**outputs[key])))
    silent = {member: Reading(State.OK) for member in members if member not in found}
    return silent | {member: worst(tuple(readings)) for member, readings in found.items()}


def _read(probe: Probe, output: Output) -> Reading:
    try:
        return probe.read(output)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        return Reading(State.UNKNOWN, reason=f"{probe.name}: unreadable answer ({type(error).__name__}: {error})")
