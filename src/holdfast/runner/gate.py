"""Gates: waiting until members are healthy, saying all the time what is waited for."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from holdfast.model.event import Event
from holdfast.model.member import Member
from holdfast.model.watch import Reading, State
from holdfast.runner.fleet import Fleet, observe, probes_of
from holdfast.runner.site import GateError, Site

PAUSE_S = 0.5
# Which members are still late, as they are read.
Late = Callable[[Mapping[Member, Reading]], Iterable[Member]]


def sick(readings: Mapping[Member, Reading]) -> tuple[Member, ...]:
    """Return the members that are not healthy."""
    return tuple(member for member, reading in readings.items() if reading.state is not State.OK)


def in_roles(readings: Mapping[Member, Reading], roles: tuple[str, ...]) -> tuple[Member, ...]:
    """Return the members that have one of some roles."""
    return tuple(member for member, reading in readings.items() if reading.role in roles)


async def wait_for(site: Site, members: Iterable[Member], late_ones: Late = sick) -> dict[Member, Reading]:
    """Wait until no member is late. Raises GateError with the reason and the last journal lines."""
    watched = tuple(members)
    if not watched:
        return {}
    begun = time.monotonic()
    shown = ""
    while True:
        readings = await observe_only(site, watched)
        late = {member: readings[member] for member in late_ones(readings)}
        if not late:
            return readings
        elapsed_s = time.monotonic() - begun
        if elapsed_s > site.gate_timeout_s:
            raise GateError(await _explain(site, late))
        words = _words(late)
        site.tell(Event(f"waiting for {words}  {elapsed_s:.0f} s / {site.gate_timeout_s:.0f} s", {}, words == shown))
        shown = words
        await asyncio.sleep(PAUSE_S)


async def standbys(site: Site, component: str) -> int:
    """Return how many members of a component have a role that its leader relies on."""
    roles = site.design.components[component].standby_roles
    return len(in_roles(await observe_only(site, site.design.of(component)), roles)) if roles else 0


async def wait_for_standbys(site: Site, component: str, wanted: int) -> None:
    """Wait until as many members again have a role that the leader relies on. Raises GateError.

    A replica is healthy before commits may wait for it: interrupting another one then would stop writes.
    """
    kind = site.design.components[component]

    def late(readings: Mapping[Member, Reading]) -> tuple[Member, ...]:
        if len(in_roles(readings, kind.standby_roles)) >= wanted:
            return ()
        fit = in_roles(readings, kind.standby_roles + kind.lead_roles)
        return tuple(member for member in readings if member not in fit)

    if wanted:
        await wait_for(site, site.design.of(component), late)


async def observe_only(site: Site, members: tuple[Member, ...]) -> dict[Member, Reading]:
    """Return the readings of some members; nothing else is asked."""
    hosts = {member.host for member in members}
    wires = {host: wire for host, wire in site.fleet.wires.items() if host in hosts}
    gone = {host: site.fleet.unreachable.get(host, "no connection") for host in hosts - set(wires)}
    return await observe(site.design, Fleet(wires, gone), frozenset(members))


def _words(late: Mapping[Member, Reading]) -> str:
    return "; ".join(f"{member.name} ({_why(reading)})" for member, reading in late.items())


def _why(reading: Reading) -> str:
    return reading.reason or (f"{reading.role} only" if reading.role else str(reading.state))


async def _explain(site: Site, late: Mapping[Member, Reading]) -> str:
    texts = [f"not healthy within {site.gate_timeout_s:.0f} s: {_words(late)}"]
    for member in late:
        texts.append(f"last journal lines of {member.name}:\n{await journal(site, member)}")
    return "\n".join(texts)


async def journal(site: Site, member: Member, lines: int = 12) -> str:
    """Return the last journal lines of a member's units."""
    units = [unit for probe in probes_of(site.design, member) for unit in probe.units]
    wire = site.fleet.wires.get(member.host)
    if wire is None or not units:
        return "(none)"
    chosen = [word for unit in dict.fromkeys(units) for word in ("-u", unit)]
    done = await wire.run(["journalctl", "--no-pager", "-o", "short", "-n", str(lines), *chosen], timeout_s=10)
    return done.stdout.rstrip()
