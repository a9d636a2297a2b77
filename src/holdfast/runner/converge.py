"""Converging: bringing the servers to the design, stage by stage, behind health gates."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from holdfast.design.design import Design
from holdfast.model.member import Member
from holdfast.model.parts import Effect, File, Package, Part, Unit, key_of
from holdfast.model.watch import Reading, State
from holdfast.runner import agent
from holdfast.runner.agent import AskError
from holdfast.runner.drain import drained
from holdfast.runner.fleet import Fleet, look, observe
from holdfast.runner.gate import in_roles, observe_only, standbys, wait_for, wait_for_standbys
from holdfast.runner.manifest import to_act
from holdfast.runner.plan import Change, Plan, Sight, member_changes
from holdfast.runner.site import GateError, RunError, Site
from holdfast.wire.base import Wire, WireError

# A stage that still wants changes after so many rounds never will be content.
ROUNDS = 5


async def apply(site: Site, plan: Plan) -> None:
    """Make the changes of a plan. Raises RunError at the first that fails; running it again goes on from there."""
    await _prepare(site, plan)
    readings = await observe(site.design, site.fleet)
    for stage in site.design.stages:
        await _apply_stage(site, stage, readings)
    await _finish(site, plan)


async def _prepare(site: Site, plan: Plan) -> None:
    """Install all packages of a host in one go, before any engine is configured."""
    wanted = {change.key for change in plan.changes if change.key.startswith("package:")}
    hosts = sorted({change.member.host for change in plan.changes if change.key in wanted})
    if not hosts:
        return
    site.say(f"installing packages on {', '.join(hosts)}")
    missing = {(change.member, change.key) for change in plan.changes}

    def chosen(member: Member) -> list[Part]:
        return [
            part
            for part in site.design.parts[member]
            if (member, key_of(part)) in missing
            and (isinstance(part, Package) or (isinstance(part, File) and part.early))
        ]

    requests = {host: [(member, chosen(member)) for member in site.design.on(host)] for host in hosts}
    await _act_on_hosts(site, requests)


async def _apply_stage(site: Site, stage: Sequence[str], readings: Mapping[Member, Reading]) -> None:
    """Make the changes of a stage in rounds, looking anew each time: one change may bring another about.

    (A parameter that is written needs a restart, and only the engine knows.) What interrupts nobody goes first.
    """
    members = tuple(member for name in stage for member in site.design.of(name) if member.host in site.fleet.wires)
    touched: dict[Member, None] = {}
    for _ in range(ROUNDS):
        changes = await _stage_changes(site, members)
        if not changes:
            await wait_for(site, touched)
            return
        together, alone = split(site.design, members, changes, readings)
        touched |= dict.fromkeys(together)
        if together:
            await _change_together(site, together, changes)
            continue
        # Nobody is interrupted while one that was just changed is sick.
        await wait_for(site, (member for member in touched if member not in changes))
        for member in alone:
            # What was done along with another (a leader that had to restart before its replicas) needs no more.
            if left := (await _stage_changes(site, (member,))).get(member):
                await _change_alone(site, member, left)
    never = "; ".join(change.what for own in changes.values() for change in own)
    raise GateError(f"{', '.join(stage)} wants changes again and again: {never}")


async def _stage_changes(site: Site, members: tuple[Member, ...]) -> dict[Member, tuple[Change, ...]]:
    """Look again right before acting: the plan was a forecast."""
    sights = await _look_at(site, members)
    found = {each: member_changes(each, site.design.parts[each], sights[each.host], {}) for each in members}
    return {member: changes for member, changes in found.items() if changes}


async def _look_at(site: Site, members: tuple[Member, ...]) -> dict[str, Sight]:
    hosts = {member.host for member in members}
    fleet = Fleet({host: wire for host, wire in site.fleet.wires.items() if host in hosts}, {})
    sights, failures = await look(site.design, fleet, site.values, frozenset(members))
    if failures:
        raise RunError("; ".join(f"{host}: {reason}" for host, reason in failures.items()))
    return sights


def split(
    design: Design,
    members: Iterable[Member],
    changes: Mapping[Member, tuple[Change, ...]],
    readings: Mapping[Member, Reading],
) -> tuple[tuple[Member, ...], tuple[Member, ...]]:
    """Decide what is done together, as it interrupts nobody, and what one by one, the leader last."""
    touched = [member for member in members if member in changes]
    alone = {member for member in touched if _interrupts(changes[member]) and _serving(member, readings)}
    together = tuple(member for member in touched if member not in alone)
    return together, tuple(sorted(alone, key=lambda member: (_leads(design, member, readings), member)))


def _interrupts(changes: Iterable[Change]) -> bool:
    return any(change.effect >= Effect.RESTART for change in changes)


def _serving(member: Member, readings: Mapping[Member, Reading]) -> bool:
    return member in readings and readings[member].state in (State.OK, State.DEGRADED, State.STARTING)


def _leads(design: Design, member: Member, readings: Mapping[Member, Reading]) -> bool:
    return member in readings and readings[member].role in design.components[member.component].lead_roles


async def _change_together(
    site: Site, members: tuple[Member, ...], changes: Mapping[Member, tuple[Change, ...]]
) -> None:
    site.say(f"changing {', '.join(member.name for member in members)}")
    requests: dict[str, list[tuple[Member, list[Part]]]] = {}
    for member in members:
        requests.setdefault(member.host, []).append((member, _parts_to_act(site.design, member, changes[member])))
    await _act_on_hosts(site, requests)


async def _change_alone(site: Site, member: Member, changes: Iterable[Change]) -> None:
    site.say(f"changing {member.name}")
    wanted = await standbys(site, member.component)
    if await hand_over(site, member, ""):
        await wait_for_standbys(site, member.component, wanted)
    async with drained(site, member):
        await _act_on_hosts(site, {member.host: [(member, _parts_to_act(site.design, member, changes))]})
        await wait_for(site, (member,))
    await wait_for_standbys(site, member.component, wanted)


def _parts_to_act(design: Design, member: Member, changes: Iterable[Change]) -> list[Part]:
    keys = {change.key for change in changes}
    return [part for part in design.parts[member] if key_of(part) in keys or isinstance(part, Unit)]


async def hand_over(site: Site, member: Member, to_host: str) -> bool:
    """Move the leading role away from a member if it has it; return whether it had. Raises RunError."""
    component = site.design.components[member.component]
    now = (await observe_only(site, (member,)))[member]
    if component.handover is None or now.role not in component.lead_roles or len(site.design.of(component.name)) < 2:
        return False
    order = component.handover(site.design.contexts[member], to_host)
    site.say(f"switchover: {member.name} ({now.role}) gives its role away")
    done = await site.fleet.wires[member.host].run(order.argv, timeout_s=order.timeout_s)
    if done.exit_code:
        raise RunError(f"switchover of {member.name} failed: {(done.stderr or done.stdout).strip()}")
    await wait_for(site, (member,), lambda readings: in_roles(readings, component.lead_roles))
    return True


async def _act_on_hosts(site: Site, requests: Mapping[str, list[tuple[Member, list[Part]]]]) -> None:
    async def one(host: str, members: list[tuple[Member, list[Part]]]) -> None:
        data = [
            {"name": member.name, "parts": [to_act(part, site.values, site.pack) for part in parts]}
            for member, parts in members
        ]
        await act(site, host, site.fleet.wires[host], {"members": data})

    await asyncio.gather(*(one(host, members) for host, members in requests.items()))


async def act(site: Site, host: str, wire: Wire, request: dict[str, Any]) -> None:
    """Send one request to act, telling its events. Raises RunError naming the machine and the reason."""
    whole = {"remove": [], "stop": [], "members": [], "vault": site.vault} | request
    try:
        async for event in agent.events(wire, "act", whole):
            if event["event"] in ("unit", "step", "note"):
                words = event.get("text") or f"{event.get('action', 'step')} {event.get('unit') or event.get('name')}"
                site.say(f"{host}: {words}")
    except (AskError, WireError) as error:
        raise RunError(f"{host}: {error}") from error


async def _finish(site: Site, plan: Plan) -> None:
    """Remove what the design gave up, and write the design's digest into every ledger."""
    for host, wire in site.fleet.wires.items():
        removed = (each for each in plan.changes if each.action == "-" and each.member.host == host)
        gone = [each.key.partition(":") for each in removed]
        request = {
            "remove": [name for kind, _, name in gone if kind == "file"],
            "stop": [name for kind, _, name in gone if kind == "unit"],
            "design": site.design.digest,
        }
        await act(site, host, wire, request)
