"""Draining: clients stop using a member before it is touched, and use it again afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from holdfast.model.component import Drain
from holdfast.model.member import Member
from holdfast.runner.site import RunError, Site


@dataclass(frozen=True, slots=True)
class Power:
    """A client that can take a member out of use and put it back."""

    client: Member
    drain: Drain


def powers(site: Site, member: Member) -> tuple[Power, ...]:
    """Return every reachable client that can take a member out of use."""
    found: list[Power] = []
    for tie in site.design.ties:
        drain = site.design.components[tie.client.component].drain
        if tie.server == member and drain is not None and tie.client.host in site.fleet.wires:
            found.append(Power(tie.client, drain(site.design.contexts[tie.client], member.host)))
    return tuple(dict.fromkeys(found))


@asynccontextmanager
async def drained(site: Site, member: Member) -> AsyncIterator[None]:
    """Keep a member out of use for a while; it stays out when it did not become healthy. Raises RunError."""
    found = powers(site, member)
    if found:
        site.say(f"draining {member.name}")
        await asyncio.gather(*(_run(site, each.client, each.drain.out) for each in found))
        await asyncio.sleep(max(each.drain.settle_s for each in found))
    yield
    await asyncio.gather(*(_run(site, each.client, each.drain.back) for each in found))


async def _run(site: Site, client: Member, argv: tuple[str, ...]) -> None:
    done = await site.fleet.wires[client.host].run(argv, timeout_s=30)
    if done.exit_code:
        raise RunError(f"{client.host}: {' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
