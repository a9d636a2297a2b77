"""Draining: clients stop using a member before it is touched, and use it again afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from holdfast.model.component import Drain
from holdfast.model.member import Member
from holdfast.runner.site import RunError, Site


def drains(site: Site, member: Member) -> tuple[tuple[str, Drain], ...]:
    """Return host and commands for every reachable client that can take a member out of use."""
    found: list[tuple[str, Drain]] = []
    for tie in site.design.ties:
        power = site.design.components[tie.client.component].drain
        if tie.server == member and power is not None and tie.client.host in site.fleet.wires:
            found.append((tie.client.host, power(site.design.contexts[tie.client], member.host)))
    return tuple(dict.fromkeys(found))


@asynccontextmanager
async def drained(site: Site, member: Member) -> AsyncIterator[None]:
    """Keep a member out of use for a while; it stays out when it did not become healthy. Raises RunError."""
    found = drains(site, member)
    if found:
        site.say(f"draining {member.name}")
        await asyncio.gather(*(_run(site, host, each.out) for host, each in found))
        await asyncio.sleep(max(each.settle_s for _, each in found))
    yield
    await asyncio.gather(*(_run(site, host, each.back) for host, each in found))


async def _run(site: Site, host: str, argv: tuple[str, ...]) -> None:
    done = await site.fleet.wires[host].run(argv, timeout_s=30)
    if done.exit_code:
        raise RunError(f"{host}: {' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
