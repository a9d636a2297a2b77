"""A cluster as its operator handles it: the file, the design, the vault, and what is done with them."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from holdfast.design.design import Design
from holdfast.design.judge import Status, judge
from holdfast.model.event import Event
from holdfast.model.member import Member
from holdfast.model.parts import Effect
from holdfast.runner import authority, converge
from holdfast.runner.fleet import Connect, Fleet, look, muster, observe
from holdfast.runner.gate import in_roles, observe_only
from holdfast.runner.lock import locked
from holdfast.runner.plan import Change, Plan, Sight, make_plan, with_roles
from holdfast.runner.releases import Releases
from holdfast.runner.runs import Run, recorded
from holdfast.runner.site import RunError, Site
from holdfast.runner.vault import Vault


class StaleError(Exception):
    """A plan no longer fits the servers; the message says what changed."""


@dataclass(frozen=True)
class Cluster:
    """One cluster file and everything that hangs on it. ``without``: hosts left out on purpose."""

    file: Path
    design: Design
    vault: Vault
    connect: Connect
    tell: Callable[[Event], None]
    gate_timeout_s: float = 180.0
    without: frozenset[str] = frozenset()

    async def plan(self) -> Plan:
        """Return what would have to change; changes nothing, here or there. Raises RunError."""
        async with self._fleet() as fleet:
            return await self._plan_on(fleet)

    async def status(self) -> Status:
        """Return the state of the cluster now."""
        async with self._fleet() as fleet:
            return judge(self.design, await observe(self.design, fleet))

    async def apply(self, plan: Plan, verb: str = "apply") -> None:
        """Make the changes of a plan, under the lock.

        Raises StaleError when the servers changed since the plan was made, LockedError when somebody else
        is at work, RunError for what failed on a machine.
        """
        with recorded(self.file, verb, self.design.digest) as run:
            run.write("plan.json", plan.as_json())
            async with self._site(run, verb) as site:
                fresh = await self._plan_on(site.fleet)
                if fresh.fingerprint != plan.fingerprint:
                    raise StaleError(what_changed(plan, fresh))
                self.vault.save()
                await converge.apply(site, fresh)

    async def switchover(self, component: str, to_host: str = "") -> tuple[Member, ...]:
        """Move the leading role of a component in a planned way; return who leads now. Raises RunError."""
        with recorded(self.file, "switchover", self.design.digest) as run:
            async with self._site(run, "switchover") as site:
                return await _switch(site, component, to_host)

    @asynccontextmanager
    async def _site(self, run: Run, verb: str) -> AsyncIterator[Site]:
        def tell(event: Event) -> None:
            run.note(event)
            self.tell(event)

        async with self._fleet() as fleet, locked(fleet, verb):
            if fleet.unreachable:
                raise RunError("; ".join(fleet.unreachable.values()) + "; nothing was changed (see --without)")
            values = self.vault.values_for(self.design, authority.now())
            pack = Releases.beside(self.file).pack
            yield Site(self.design, fleet, values, self.vault.id, pack, tell, self.gate_timeout_s)

    @asynccontextmanager
    async def _fleet(self) -> AsyncIterator[Fleet]:
        fleet = await muster(self.design, self.connect, self.without)
        try:
            yield fleet
        finally:
            await fleet.close()

    async def _plan_on(self, fleet: Fleet) -> Plan:
        values = self.vault.values_for(self.design, authority.now())
        sights, unreachable = await look(self.design, fleet, values)
        self._refuse_foreign(sights)
        plan = make_plan(self.design, sights, unreachable, self.vault.hidden())
        if any(change.effect is Effect.RESTART for change in plan.changes):
            plan = with_roles(plan, self.design, await observe(self.design, fleet))
        return plan

    def _refuse_foreign(self, sights: Mapping[str, Sight]) -> None:
        for host, sight in sights.items():
            if sight.ledger["vault"] not in ("", self.vault.id):
                raise RunError(
                    f"{host} was set up with other secrets than those in {self.vault.path}; take that file from "
                    "where the cluster was applied (new secrets would lock everybody out of the old data)"
                )


async def _switch(site: Site, component: str, to_host: str) -> tuple[Member, ...]:
    roles = site.design.components[component].lead_roles
    before = await _leading(site, component)
    if not before:
        raise RunError(f"{component} has no {' or '.join(roles)} at present; nothing to switch over")
    if to_host and before[0].host == to_host:
        return before
    await converge.hand_over(site, before[0], to_host)
    return await _leading(site, component)


async def _leading(site: Site, component: str) -> tuple[Member, ...]:
    readings = await observe_only(site, site.design.of(component))
    return in_roles(readings, site.design.components[component].lead_roles)


def what_changed(planned: Plan, fresh: Plan) -> str:
    """Say in words how two plans differ."""
    old, new = set(planned.changes), set(fresh.changes)
    lines = [f"no longer needed: {_words(change)}" for change in planned.changes if change not in new]
    lines += [f"new: {_words(change)}" for change in fresh.changes if change not in old]
    if planned.digest != fresh.digest:
        lines.insert(0, f"the design is now {fresh.digest[:12]}, the plan was made for {planned.digest[:12]}")
    return "the plan is stale:\n" + "\n".join(f"  {line}" for line in lines)


def _words(change: Change) -> str:
    return f"{change.action} {change.member.name} {change.what}"
