"""Where loads go in: read from a design, and reached again after a connection was lost."""

import asyncio
from pathlib import Path

import pytest

from holdfast.design.design import Design, make_design
from holdfast.design.load import load
from holdfast.drills.load.loads import Loads
from holdfast.drills.load.places import Server, Ways, cache_places, sql_places
from holdfast.model.watch import Output
from holdfast.wire.base import Wire, WireError
from holdfast.wire.fake import FakeWire

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def design() -> Design:
    return make_design(load(ROOT / "cluster.yaml"))


def test_the_routes_and_the_members_come_from_the_design(design: Design) -> None:
    found = sql_places(design)
    assert found is not None
    assert found.clients == ("a", "b", "c")
    assert (found.leader_port, found.replica_port) == (5000, 5001)
    assert found.servers[0] == Server("postgres@a", "a", "10.77.0.11", 5432)
    assert (found.database, found.user, found.secret) == ("app", "app", "database/app")
    assert found.node("10.77.0.12") == "b"
    cache = cache_places(design)
    assert cache is not None
    assert (cache.clients, cache.port, cache.user, cache.secret) == (("a", "b", "c"), 5002, "app", "cache/app")


def test_clients_may_sit_on_some_hosts_only(design: Design) -> None:
    found = sql_places(design, ("b", "unknown"))
    assert found is not None
    assert found.clients == ("b",)
    assert len(found.servers) == 3


def test_a_layer_that_is_not_there_has_no_load(tmp_path: Path) -> None:
    text = """
name: plain
hosts:
  a: {address: 10.9.0.11, zone: r1}
  b: {address: 10.9.0.12, zone: r2}
  c: {address: 10.9.0.13, zone: r3}
layers:
  edge: {hosts: [a, b, c], vip: 10.9.0.100}
  app: {hosts: [a, b, c], command: python3 -m http.server, package: python3}
"""
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    plain = make_design(load(file))
    assert sql_places(plain) is None
    assert cache_places(plain) is None
    loads = Loads.standard(plain, {}, no_wire, None, Path("ca.crt"), "run-1")
    assert loads.all == ()
    assert (loads.sql(), loads.orders(), loads.register(), loads.accounts(), loads.cached(1.0)) == (None,) * 5


def test_a_run_is_named_by_what_fits_into_keys(design: Design) -> None:
    with pytest.raises(ValueError, match="cannot name a run"):
        Loads.standard(design, {}, no_wire, None, Path("ca.crt"), "my run")


def test_passwords_are_not_in_what_is_printed(design: Design) -> None:
    secrets = {"database/app": "hush-sql", "cache/app": "hush-cache"}
    loads = Loads.standard(design, secrets, no_wire, None, Path("ca.crt"), "run-1")
    assert loads.ledger is not None
    assert loads.cache is not None
    assert "hush" not in f"{loads.ledger._door!r} {loads.cache._door!r}"


async def no_wire(host: str) -> Wire:
    raise WireError(f"{host}: no answer")


class Machine:
    """A host that counts how often it was connected to; it can die and come back."""

    def __init__(self) -> None:
        self.wires: list[FakeWire] = []
        self.dead = False

    async def connect(self, host: str) -> Wire:
        await asyncio.sleep(0.01)
        if self.dead:
            raise WireError(f"{host}: no answer")
        wire = FakeWire(host, lambda _argv, _stdin: Output(0))
        wire.ports = {5000: 40000 + len(self.wires)}
        self.wires.append(wire)
        return wire


def test_many_clients_share_one_connection() -> None:
    async def play() -> tuple[list[int], int]:
        machine = Machine()
        ways = Ways(machine.connect)
        ports = await asyncio.gather(*(ways.port("a", 5000) for _ in range(20)))
        await ways.close()
        return ports, len(machine.wires)

    assert asyncio.run(play()) == ([40000] * 20, 1)


def test_a_lost_connection_is_made_anew_and_a_dead_host_is_tried_again() -> None:
    async def play() -> list[object]:
        machine = Machine()
        ways = Ways(machine.connect)
        seen: list[object] = [await ways.port("a", 5000)]
        machine.wires[0].down = machine.dead = True
        with pytest.raises(WireError):
            await ways.port("a", 5000)
        with pytest.raises(WireError):
            await ways.port("a", 5000)
        machine.dead = False
        seen += await asyncio.gather(ways.port("a", 5000), ways.port("a", 5000))
        seen.append(len(machine.wires))
        await ways.close()
        return seen

    assert asyncio.run(play()) == [40000, 40001, 40001, 2]


def test_one_who_gives_up_does_not_take_the_way_from_the_others() -> None:
    async def play() -> int:
        machine = Machine()
        ways = Ways(machine.connect)
        impatient = asyncio.create_task(ways.port("a", 5000))
        patient = asyncio.create_task(ways.port("a", 5000))
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert asyncio.run(play()) == 40000
