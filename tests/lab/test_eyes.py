"""What is watched during a drill, on real machines: a planned change, and an address that two hold for a while."""

import asyncio
import time
from dataclasses import replace

import pytest

from holdfast.cli.common import address_of
from holdfast.drills.eyes import ADDRESS_ROLE, Eyes, Seen
from holdfast.model.fault import UNDERNEATH
from holdfast.runner.vault import Vault
from holdfast.wire.base import Wire
from holdfast.wire.local import LocalWire
from holdfast.wire.ssh import connect
from lab.cluster import LabCluster
from lab.figures import Measured

pytestmark = pytest.mark.lab

PERIOD_S = 0.25
# A machine that stands still must find its connection as it was.
PATIENCE_S = 120.0
TWICE_S = 2.0
ROLES_COST = 0.05


def eyes_of(cluster: LabCluster) -> Eyes:
    async def open_wire(place: str) -> Wire:
        if place == UNDERNEATH:
            return LocalWire()
        return await connect(replace(address_of(cluster.file, cluster.design.spec, place), patience_s=PATIENCE_S))

    hidden = Vault.beside(cluster.file).hidden()
    return Eyes(cluster.design, open_wire, hidden=hidden, underneath=True, period_s=PERIOD_S)


def interface_of(cluster: LabCluster, host: str) -> str:
    address = cluster.design.spec.host(host).address
    return cluster.inside(host, "ip", "-oneline", "-4", "address", "show", "to", address).split()[1]


def hold_twice(cluster: LabCluster, host: str) -> tuple[float, float]:
    """Give the floating address to a second host for a while; return when it surely was there."""
    place = (f"{cluster.vip}/32", "dev", interface_of(cluster, host))
    cluster.inside(host, "ip", "address", "add", *place)
    begun_s = time.monotonic()
    try:
        time.sleep(TWICE_S)
    finally:
        ended_s = time.monotonic()
        cluster.inside(host, "ip", "address", "del", *place)
    return begun_s, ended_s


def texts(seen: Seen, word: str) -> list[str]:
    return [each.text for each in seen.moments if each.kind == "role" and word in each.text]


def test_a_switchover_is_seen_as_it_is_and_breaks_nothing(cluster: LabCluster, measured: Measured) -> None:
    before = cluster.leader("postgres")
    after = next(host for host in cluster.hosts if host != before)

    async def drill() -> tuple[Seen, float]:
        async with eyes_of(cluster) as eyes:
            begun_s = time.monotonic()
            await asyncio.to_thread(cluster.holdfast, "switchover", "--to", after, "-y")
            return await eyes.gather(fault_s=begun_s), begun_s

    seen, begun_s = asyncio.run(drill())
    led = [text.split()[0] for text in texts(seen, "leads the database")]
    assert led in ([before, after], [before, "nobody", after])
    assert [text.split()[0] for text in texts(seen, "cache")] == [cluster.leader("valkey")]
    held = [text.split()[0] for text in texts(seen, ADDRESS_ROLE)]
    assert held == [cluster.leader("keepalived")], texts(seen, ADDRESS_ROLE)
    assert [each.text for each in seen.violations] == []
    assert seen.blind == ()
    assert list(seen.phases_s.values()) == sorted(seen.phases_s.values())
    assert {"promote", "route"} <= seen.phases_s.keys()
    milestones = [each for each in seen.moments if each.kind == "milestone"]
    assert any(each.host == after and each.text.startswith("promote") and each.at_s > begun_s for each in milestones)
    assert seen.journals.keys() == {member.name for member in cluster.design.members}
    assert seen.journals[f"postgres@{after}"]
    cluster.refuse_secrets("\n".join(seen.journals.values()), "the journals")
    for phase, after_s in seen.phases_s.items():
        measured(f"{phase} after (s)", after_s)
    measured("clocks are known within (ms)", seen.clock_error_s * 1000)
    for place, cost in seen.costs.items():
        measured(f"{place}: CPU for roles and for status (% of a core)", f"{cost.roles:.1%} {cost.status:.1%}")
        with measured.in_time():
            assert cost.roles < ROLES_COST


def test_a_second_holder_of_the_address_is_seen_with_its_duration(cluster: LabCluster, measured: Measured) -> None:
    holder = cluster.leader("keepalived")
    second = next(host for host in cluster.hosts if host != holder)

    async def drill() -> tuple[Seen, float, float]:
        async with eyes_of(cluster) as eyes:
            begun_s, ended_s = await asyncio.to_thread(hold_twice, cluster, second)
            await asyncio.sleep(1.0)
            return await eyes.gather(), begun_s, ended_s

    seen, begun_s, ended_s = asyncio.run(drill())
    assert len(seen.violations) == 1, [each.text for each in seen.violations]
    (found,) = seen.violations
    assert found.text.startswith(f"{ADDRESS_ROLE}: {' and '.join(sorted((holder, second)))} at once")
    assert found.until_s is not None
    # It was there a little before the command had ended, and a little after the next one began.
    with measured.in_time():
        assert begun_s - 1.0 <= found.at_s <= begun_s + 2 * PERIOD_S + 0.5
        assert ended_s - 2 * PERIOD_S - 0.5 <= found.until_s <= ended_s + 1.0
    assert cluster.leader("keepalived") == holder
    measured("a second holder for (s)", ended_s - begun_s)
    measured("seen for (s)", found.until_s - found.at_s)
