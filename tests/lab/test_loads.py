"""All loads on a healthy cluster: what every client saw fits together, and nothing of them stays."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

import pytest

from holdfast.cli.common import cluster_of
from holdfast.drills.check.bank import check_bank
from holdfast.drills.check.cache import check_cache
from holdfast.drills.check.ledger import check_ledger
from holdfast.drills.check.register import check_register
from holdfast.drills.check.values import LedgerHistory
from holdfast.drills.history import Kind
from holdfast.drills.load.loads import Loads
from holdfast.drills.load.sql import at_leader
from holdfast.drills.record import Finding, Verdict
from holdfast.runner import authority
from holdfast.wire.base import UnansweredError
from holdfast.wire.http import HttpDoor
from holdfast.wire.sql import SqlSession
from lab.cluster import LabCluster
from lab.figures import Measured

pytestmark = pytest.mark.lab

LENGTH_S = 8.0
PATHS = {"read page", "read static", "write order", "sql write", "sql read", "sql read replica"}
PATHS |= {"sql read in a kept session", "cache write"}
LEFT = "SELECT count(*) FROM pg_namespace WHERE nspname = 'holdfast_drill'"
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(5)'"


@dataclass(frozen=True)
class Left:
    """What is still in the cluster after the loads were cleared away."""

    schemas: int
    keys: frozenset[str]


def loads_of(cluster: LabCluster, door: HttpDoor | None) -> Loads:
    made = cluster_of(cluster.file, cluster.design)
    values = made.vault.values_for(made.design, authority.now())
    return Loads.standard(made.design, values, made.connect, door, cluster.authority, "test")


async def number(session: SqlSession, statement: str) -> int:
    return int((await session.ask(statement, timeout_s=5.0)).rows[0][0])


async def left_behind(loads: Loads) -> Left:
    assert loads.ledger is not None
    assert loads.cache is not None
    schemas = await at_leader(loads.ledger._door, lambda session: number(session, LEFT), 10.0)
    await loads.cache.read_back()
    return Left(schemas, loads.present["cache write"] or frozenset())


async def worked(cluster: LabCluster) -> tuple[Loads, Left]:
    door = HttpDoor(f"https://{cluster.vip}", cluster.authority)
    try:
        async with loads_of(cluster, door) as loads:
            await asyncio.sleep(LENGTH_S)
            await loads.stop()
            assert await loads.read_back() == {}
            found = findings(loads)
            numbers = {each.name: each for each in loads.numbers(None)}
            assert {name: each.lost for name, each in numbers.items() if each.lost} == {}
            assert not_kept(found) == []
            await loads.clear()
            return loads, await left_behind(loads)
    finally:
        await door.close()


def findings(loads: Loads) -> tuple[Finding, ...]:
    orders, sql, register, bank = loads.orders(), loads.sql(), loads.register(), loads.accounts()
    cache = loads.cached(bound_s=1.0)
    assert orders
    assert sql
    assert register
    assert bank
    assert cache
    # Nobody tells customers at the front door which leader or member it was: these two say so, and nothing more.
    told = tuple(each for each in check_ledger(orders) if each.rule not in ("dual primary", "members differ"))
    return (*told, *check_ledger(sql), *check_register(register), *check_bank(bank), *check_cache(cache))


def not_kept(found: tuple[Finding, ...]) -> list[Finding]:
    return [each for each in found if each.verdict is not Verdict.KEPT]


def same_everywhere(history: LedgerHistory, members: set[str]) -> bool:
    return set(history.final) == members and len({tuple(sorted(keys)) for keys in history.final.values()}) == 1


def test_what_all_clients_saw_fits_together(cluster: LabCluster, measured: Measured) -> None:
    loads, left = asyncio.run(worked(cluster))
    sql, use = loads.sql(), loads.use()
    assert sql is not None
    assert set(loads.operations) >= PATHS
    assert same_everywhere(sql, {member.name for member in cluster.design.of("postgres")})
    acknowledged = [each for each in sql.writes if each.timeline is not None]
    assert {each.node for each in acknowledged} == {cluster.leader("postgres")}
    assert len({each.timeline for each in acknowledged}) == 1
    assert {each.session[0] for each in sql.writes} == set(cluster.hosts)
    assert {each.node for each in sql.reads if each.endpoint == "replica"} <= set(cluster.hosts)
    assert left == Left(0, frozenset())
    failed = [each for history in loads.operations.values() for each in history if not each.ok]
    with measured.in_time():
        # Of many only the reasons: what fails on a full computer fails in hundreds.
        assert Counter(each.reason for each in failed if each.reason != "another value was there") == {}
    writes = [each for history in loads.operations.values() for each in history if each.kind is Kind.WRITE]
    measured("operations", use.operations)
    measured("of these writes", len(writes))
    measured("cores used by the clients", use.cores)
    measured("refused by the limit of sessions", sum(use.refused.values()))


async def given_up(cluster: LabCluster) -> tuple[float, int, int]:
    """Give a statement up; return how long that took (s), and how often it runs on the server, at once and later."""
    loads = loads_of(cluster, None)
    assert loads.ledger is not None
    door = loads.ledger._door
    try:
        session = await door.leader(cluster.hosts[0])
        begun_s = time.monotonic()
        with pytest.raises(UnansweredError):
            await session.ask("SELECT pg_sleep(5)", timeout_s=0.3)
        took_s = time.monotonic() - begun_s
        await session.close()
        still = await at_leader(door, lambda session: number(session, ASLEEP), 10.0)
        await asyncio.sleep(6.0)
        return took_s, still, await at_leader(door, lambda session: number(session, ASLEEP), 10.0)
    finally:
        await loads.close()


def test_a_client_that_gives_up_cancels_nothing_on_the_server(cluster: LabCluster, measured: Measured) -> None:
    # A cancelled commit becomes visible before it is safe: a client that cancels makes the loss it looks for.
    took_s, at_once, later = asyncio.run(given_up(cluster))
    assert (at_once, later) == (1, 0)
    with measured.in_time():
        assert took_s < 3.0
