"""Faults under and on real machines: they bite in the right direction, they are undone, and nothing stays behind."""

import asyncio
import contextlib
import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

import asyncssh
import pytest

from holdfast.drills.hands import Hands
from holdfast.lab import brake, pump
from holdfast.lab.host import PRIVATE_MOUNTS, run
from holdfast.lab.lab import Lab, LabPlan, MachinePlan
from holdfast.lab.plan import link_name
from holdfast.model.fault import UNDERNEATH
from holdfast.wire.base import WireError
from lab.figures import Measured
from lab.site import (
    FLOATING,
    NETWORK,
    WITHIN_S,
    Site,
    address,
    arrives,
    eventually,
    hung,
    on,
    prepare,
    prepared,
    visit,
)
from lab.traces import traces

pytestmark = pytest.mark.lab

T = TypeVar("T")

# Strikes three faults, says what shows that they bite, and dies by SIGKILL.
KILLED_STRIKER = """
import asyncio, os, signal, sys
from lab.site import Site
async def story():
    site = Site.restored(*sys.argv[1:])
    async with site.hands() as hands:
        for name, blow in site.three_blows().items():
            await hands.strike(blow, name, undo_after_s=8.0)
        for blow in site.three_blows().values():
            print(await hands.evidence(blow), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(story())
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    path = tmp_path_factory.mktemp("key") / "id"
    path.touch(mode=0o600)
    path.write_bytes(key.export_private_key("openssh"))
    plan = LabPlan(
        name="faults-test",
        network=f"{NETWORK}.0/24",
        machines=tuple(MachinePlan(host, address(host)) for host in "ab"),
        packages=(),
        units_off=(),
        authorized_key=key.export_public_key().decode().strip(),
        reserved=(FLOATING,),
    )
    made = Site(Lab(plan, print), path)
    made.lab.down()
    made.lab.up()
    asyncio.run(prepared(made))
    yield made
    made.lab.down()
    assert traces(made.lab) == []


def with_hands(site: Site, story: Callable[[Hands], Coroutine[None, None, T]]) -> T:
    async def told() -> T:
        async with site.hands() as hands:
            return await story(hands)

    return asyncio.run(told())


def test_a_cut_has_one_direction(site: Site) -> None:
    blow = site.ground.cut((("a", "b"),))

    async def story(hands: Hands) -> None:
        assert await arrives(hands, "a", "b")
        await hands.strike(blow, "test-oneway", 60)
        assert await hands.evidence(blow) == ()
        assert not await arrives(hands, "a", "b")
        assert await arrives(hands, "b", "a")
        assert await arrives(hands, UNDERNEATH, "b")
        (sentence,) = await hands.evidence(blow)
        assert int(sentence.split()[0]) >= 12
        assert not (await hands.heal(blow, "test-oneway")).by_switch
        assert await arrives(hands, "a", "b")
        assert await hands.evidence(blow) == ()

    with_hands(site, story)


def test_a_machine_cut_off_from_all_loses_its_clients_but_not_our_hand(site: Site) -> None:
    blow = site.ground.cut((("a", ""), ("", "a")))

    async def story(hands: Hands) -> None:
        await on(hands, "a", "ip", "address", "add", f"{FLOATING}/32", "dev", "host0")
        assert (await visit(hands, UNDERNEATH, FLOATING))[1] == 3_000_000
        await hands.strike(blow, "test-island", 60)
        assert (await visit(hands, UNDERNEATH, FLOATING))[1] == 0
        assert (await visit(hands, UNDERNEATH, address("a")))[1] == 0
        assert (await visit(hands, "b", FLOATING))[1] == 0
        assert not await arrives(hands, "b", "a")
        # A new connection, after everybody had time to forget where the machine is.
        subprocess.run(["ip", "neigh", "flush", "to", address("a")], check=True)
        fresh = await site.connect("a")
        assert (await fresh.run(("hostname",))).stdout.strip() == "a"
        await fresh.close()
        assert await hands.evidence(blow)
        await hands.heal(blow, "test-island")
        assert (await visit(hands, "b", FLOATING))[1] == 3_000_000
        await on(hands, "a", "ip", "address", "del", f"{FLOATING}/32", "dev", "host0")

    with_hands(site, story)


def test_loss_is_a_share(site: Site) -> None:
    blow = site.ground.lose(("a", "b"), 50)

    async def story(hands: Hands) -> None:
        before = int((await on(hands, "b", "sh", "-c", "wc -l </run/heard")).stdout)
        await hands.strike(blow, "test-loss", 60)
        for _ in range(5):
            await arrives(hands, "a", "b")
        assert await hands.evidence(blow)
        await hands.heal(blow, "test-loss")
        heard = int((await on(hands, "b", "sh", "-c", "wc -l </run/heard")).stdout) - before
        # Of 60 datagrams; outside of these bounds once in a million runs.
        assert 10 < heard < 50

    with_hands(site, story)


def test_a_frozen_machine_is_silent_and_goes_on_where_it_was(site: Site, measured: Measured) -> None:
    blow = site.ground.freeze("b")

    async def story(hands: Hands) -> None:
        process = (await on(hands, "b", "systemctl", "show", "-P", "MainPID", "listener")).stdout
        struck = await hands.strike(blow, "test-freeze", 60)
        with measured.in_time():
            assert struck.took_s < WITHIN_S
        assert await hands.evidence(blow) == ("all processes of b are frozen",)
        assert (await visit(hands, "a", address("b")))[1] == 0
        await hands.heal(blow, "test-freeze")
        assert (await visit(hands, "a", address("b")))[1] == 3_000_000
        assert (await on(hands, "b", "systemctl", "show", "-P", "MainPID", "listener")).stdout == process

    with_hands(site, story)


def test_delayed_frames_are_whole_and_late(site: Site, measured: Measured) -> None:
    blow = site.ground.delay("b", 60, 5)

    async def story(hands: Hands) -> None:
        with measured.in_time():
            assert min([(await visit(hands, "a", address("b")))[0] for _ in range(3)]) < 0.11
        await hands.strike(blow, "test-delay", 60)
        took_s, size = await visit(hands, "a", address("b"))
        assert took_s >= 0.11
        assert size == 3_000_000
        (sentence,) = await hands.evidence(blow)
        assert sentence.endswith("frames delayed")
        await hands.heal(blow, "test-delay")
        with measured.in_time():
            assert min([(await visit(hands, "a", address("b")))[0] for _ in range(3)]) < 0.11

    with_hands(site, story)


def test_a_slow_cable_whose_process_is_killed_is_taken_out(site: Site) -> None:
    blow, name = site.ground.delay("b", 60, 0), site.lab.plan.name

    async def story(hands: Hands) -> None:
        for which in (min, max):
            await hands.strike(blow, "test-pump", 60)
            found = pump.carriers(name, "b")
            assert len(found) == 2
            os.kill(which(found), signal.SIGKILL)
            assert await eventually(lambda: gone(name))
            assert pump.master_of(link_name(name, "b"))
            assert await arrives(hands, "a", "b")
            await hands.heal(blow, "test-pump")

    with_hands(site, story)


async def gone(name: str) -> bool:
    return not pump.carriers(name, "b")


def test_power_is_cut_and_given_back(site: Site) -> None:
    blow = site.ground.power_off("b")

    async def story(hands: Hands) -> None:
        await hands.open(["b"])
        await hands.strike(blow, "test-power", 60)
        assert await hands.evidence(blow) == ("b has no process and no cable",)
        await hands.heal(blow, "test-power")
        with contextlib.suppress(WireError):
            # The connection of before has not been told that its machine is gone.
            await on(hands, "b", "true")
        assert (await on(hands, "b", "hostname")).stdout.strip() == "b"
        await prepare(site, "b")

    with_hands(site, story)


def test_a_full_disk_is_the_machines_own(site: Site) -> None:
    assert site.ground.lacks("full_disk") == ""
    free_bytes = shutil.disk_usage("/var/lib/holdfast").free

    async def story(hands: Hands) -> None:
        blocks = (await on(hands, "b", "stat", "--file-system", "--format=%a %S", "/")).stdout
        room = math.prod(map(int, blocks.split()))
        assert (await on(hands, "b", "fallocate", "--length", str(room - 4_000_000), "/ballast")).exit_code == 0
        full = await on(hands, "b", "dd", "if=/dev/zero", "of=/more", "bs=1M", "count=16")
        assert "No space left on device" in full.stderr
        assert free_bytes - shutil.disk_usage("/var/lib/holdfast").free < room / 2
        assert (await on(hands, "b", "rm", "/ballast", "/more")).exit_code == 0
        assert (await on(hands, "b", "dd", "if=/dev/zero", "of=/more", "bs=1M", "count=16")).exit_code == 0

    with_hands(site, story)


def test_a_slow_disk_is_slow_for_one_machine_and_until_it_is_healed(site: Site) -> None:
    blow, name = site.ground.slow_disk("b"), site.lab.plan.name
    if why := site.ground.lacks("slow_disk"):
        pytest.skip(why)
    before = limits()

    async def story(hands: Hands) -> None:
        await hands.strike(blow, "test-slow", 60)
        (sentence,) = await hands.evidence(blow)
        assert sentence.startswith("100 writes a second reach the disk of b")
        begun_s = time.monotonic()
        await on(hands, "b", "dd", "if=/dev/zero", "of=/synced", "bs=4096", "count=100", "oflag=dsync")
        assert time.monotonic() - begun_s > 0.8
        assert brake.show(name, "a").split()[0] == "0"
        site.lab.power_off("b")
        site.lab.power_on("b")
        await hands.heal(blow, "test-slow")
        assert [brake.show(name, host).split()[0] for host in "ab"] == ["0", "0"]
        assert limits() == before
        await prepare(site, "b")

    with_hands(site, story)


def limits() -> str:
    """All limits on writing to a device of this computer."""
    return run([*PRIVATE_MOUNTS, "sh", "-c", brake.LIST])


def test_faults_of_a_killed_drill_are_undone_by_their_switches(site: Site) -> None:
    plan = json.dumps(dataclasses.asdict(site.lab.plan))
    argv = [sys.executable, "-c", KILLED_STRIKER, plan, str(site.key)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == -9, done.stderr
    shown = done.stdout.splitlines()
    assert "all processes of b are frozen" in shown[1]
    assert "the process is stopped" in shown[2]

    async def story(hands: Hands) -> None:
        blows = site.three_blows()
        assert await eventually(lambda: all_fired(hands))
        assert [await hands.evidence(blow) for blow in blows.values()] == [(), (), ()]
        assert await arrives(hands, "a", "b")
        assert (await visit(hands, "b", address("a")))[1] == 3_000_000
        for name, blow in blows.items():
            assert (await hands.heal(blow, name)).by_switch
        assert [
            left for place in (UNDERNEATH, "a") for left in await hands.pending(place) if "test-" in left.id
        ] == []

    with_hands(site, story)


async def all_fired(hands: Hands) -> bool:
    told = [*await hands.pending(UNDERNEATH), *await hands.pending("a")]
    return {each.id for each in told if each.fired} >= {"test-cut", "test-ice", "test-hang"}


def test_the_switch_on_a_machine_is_a_unit_of_its_own(site: Site) -> None:
    async def story(hands: Hands) -> None:
        await hands.strike(hung("a"), "test-unit", 60)
        assert await hands.evidence(hung("a")) == ("the process is stopped",)
        unit = await on(hands, "a", "systemctl", "is-active", "holdfast-undo-test-unit")
        assert unit.stdout.strip() == "active"
        await hands.heal(hung("a"), "test-unit")
        assert (await on(hands, "a", "systemctl", "is-active", "holdfast-undo-test-unit")).exit_code

    with_hands(site, story)


def test_heal_removes_what_nobody_else_will(site: Site) -> None:
    ground, name = site.ground, site.lab.plan.name
    for blow in (ground.cut((("a", "b"),)), ground.lose(("a",), 30), ground.freeze("a"), ground.delay("b", 60, 0)):
        for argv in blow.inject:
            subprocess.run(argv, check=True, timeout=30)
    for pid in pump.carriers(name, "b"):
        os.kill(pid, signal.SIGKILL)
    said: list[str] = []
    Lab(site.lab.plan, said.append).heal()
    assert [word in said[0] for word in ("slow cable of b", "frozen a", "dropped frames")] == [True] * 3
    Lab(site.lab.plan, said.append).heal()
    assert len(said) == 1
    listing = subprocess.run(["nft", "list", "tables", "bridge"], capture_output=True, text=True, check=True).stdout
    assert "holdfast" not in listing
    with_hands(site, lambda hands: arrives(hands, "a", "b"))


def test_down_takes_faults_in_force_with_it(site: Site) -> None:
    ground = site.ground
    for blow in (ground.cut((("a", "b"),)), ground.freeze("a"), ground.delay("b", 60, 0)):
        for argv in blow.inject:
            subprocess.run(argv, check=True, timeout=30)
    site.lab.down()
    assert traces(site.lab) == []
