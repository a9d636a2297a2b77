"""Watching machines: the helper for real, on this machine without a cluster; streams and findings by fakes."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.components import postgres, valkey
from holdfast.components.postgres.watch import read_leading
from holdfast.components.valkey.watch import read_accepting
from holdfast.design.design import Design, make_design
from holdfast.design.judge import Status, judge
from holdfast.design.load import load
from holdfast.drills import eyes
from holdfast.drills.clocks import tick
from holdfast.drills.eyes import Eyes, Seen
from holdfast.drills.findings import Found, finding_moments, found_in, healths, unreachable
from holdfast.drills.invariants import BRIDGE_S
from holdfast.drills.lookout import Log
from holdfast.drills.sight import Answers, Cost, blind_times, costs_of, samples_of
from holdfast.model.member import Member
from holdfast.model.watch import Held, Output, Probe, Reading, State, Watch
from holdfast.runner.onhost import neighbours
from holdfast.wire.base import Wire, WireError
from holdfast.wire.local import LocalWire
from house import ROOT
from toys import STORE, TOYS, read_store, spec

# Answers from a file, one line for every question: what the machine's engine would say.
ANSWERS = "import sys\nfor line in sys.stdin: print(open(sys.argv[1]).read().strip(), flush=True)\n"


def read_role(answer: str) -> Held | None:
    role, _, mark = answer.partition(" ")
    return Held(role == "leader", mark) if role in ("leader", "replica") else None


class Machines:
    """Three machines that are this computer; what their engines answer lies in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.down: set[str] = set()
        self.wires: dict[str, LocalWire] = {}
        for host in "abc":
            self.say(host, "replica")
            (folder / f"{host}.probe").write_text("replica")

    def say(self, host: str, answer: str) -> None:
        (self.folder / host).write_text(answer)

    def component(self, host: str) -> tuple[Watch, ...]:
        argv = ("python3", "-c", ANSWERS, str(self.folder / host))
        return (Watch("leader", "leads the store", argv, "?", read_role),)

    def design(self) -> Design:
        store = replace(
            STORE,
            watches=lambda context: self.component(context.host.name),
            probes=lambda context: (
                Probe("role", ("cat", str(self.folder / f"{context.host.name}.probe")), read_store),
            ),
        )
        return make_design(spec(), TOYS | {"store": store})

    async def connect(self, host: str) -> Wire:
        if host in self.down:
            raise WireError(f"{host}: no answer on port 22")
        return Quiet()


class Quiet(LocalWire):
    """This computer without its journal."""

    async def run(self, argv: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> Output:
        return Output(0)


def eyes_of(machines: Machines) -> Eyes:
    return Eyes(machines.design(), machines.connect, period_s=0.1, status_period_s=0.3)


async def until_health(eyes: Eyes, health: str) -> None:
    async with asyncio.timeout(30):
        while eyes.status is None or eyes.status.health != health:
            await asyncio.sleep(0.05)


def roles(seen: Seen) -> list[str]:
    # Where much else goes on, an answer may take longer than a second: then the reserve behind the comma is right.
    return [each.text.partition(", as far")[0] for each in seen.moments if each.kind == "role"]


def test_roles_are_followed_on_all_machines(tmp_path: Path) -> None:
    machines = Machines(tmp_path)
    machines.say("a", "leader 1")

    async def drill() -> Seen:
        async with eyes_of(machines) as eyes:
            await asyncio.sleep(0.5)
            machines.say("a", "replica")
            await asyncio.sleep(1.0)
            machines.say("b", "leader 2")
            await asyncio.sleep(0.5)
            return await eyes.gather()

    seen = asyncio.run(drill())
    assert roles(seen) == ["a leads the store (1)", "nobody leads the store", "b leads the store (2)"]
    assert seen.violations == ()
    assert seen.blind == ()
    assert 0 < seen.clock_error_s < 0.5
    assert seen.healths[-1][1] == "healthy"


def test_nobody_is_asked_for_health_while_the_eyes_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eyes, "REST_S", 1.0)
    machines = Machines(tmp_path)
    machines.say("a", "leader 1")

    async def drill() -> tuple[Status | None, float]:
        async with eyes_of(machines) as seeing:
            await until_health(seeing, "healthy")
            await seeing.rest()
            begun_s, before = time.monotonic(), seeing.status
            await asyncio.sleep(0.8)
            resting = seeing.status
            async with asyncio.timeout(30):
                while seeing.status is before:
                    await asyncio.sleep(0.02)
            assert resting is before
            return seeing.status, time.monotonic() - begun_s

    status, looked_after_s = asyncio.run(drill())
    assert status is not None
    assert looked_after_s >= 1.0


def test_two_leaders_are_seen(tmp_path: Path) -> None:
    machines = Machines(tmp_path)
    machines.say("a", "leader 1")

    async def drill() -> tuple[Seen, float, float]:
        async with eyes_of(machines) as eyes:
            await asyncio.sleep(0.4)
            machines.say("c", "leader 2")
            begun_s = time.monotonic()
            await asyncio.sleep(1.2)
            machines.say("a", "replica")
            ended_s = time.monotonic()
            await asyncio.sleep(0.5)
            return await eyes.gather(), begun_s, ended_s

    seen, begun_s, ended_s = asyncio.run(drill())
    (found,) = seen.violations
    assert found.until_s is not None
    assert begun_s - seen.clock_error_s <= found.at_s <= begun_s + 0.6
    assert ended_s - 0.6 <= found.until_s <= ended_s + 0.3
    assert "a (1) and c (2) at once" in found.text


def test_a_machine_that_does_not_answer_is_a_finding_and_watched_as_soon_as_it_does(tmp_path: Path) -> None:
    machines = Machines(tmp_path)
    machines.down = {"b"}
    machines.say("b", "leader 7")

    async def drill() -> Seen:
        async with eyes_of(machines) as eyes:
            await until_health(eyes, "degraded")
            await asyncio.sleep(1.2)
            machines.down = set()
            await until_health(eyes, "healthy")
            await asyncio.sleep(1.5)
            return await eyes.gather()

    seen = asyncio.run(drill())
    # Where much else goes on, others may be late, too, and later b once more.
    finding = next(each for each in seen.moments if each.kind == "finding" and each.host == "b")
    assert finding.text == "b does not answer"
    assert finding.until_s is not None
    assert "b" in {each.host for each in seen.blind}
    assert "b leads the store (7)" in roles(seen)


def test_an_unreadable_answer_is_no_answer(tmp_path: Path) -> None:
    machines = Machines(tmp_path)
    machines.say("a", "mumble")

    async def drill() -> Seen:
        async with eyes_of(machines) as eyes:
            await asyncio.sleep(2 * BRIDGE_S)
            return await eyes.gather()

    seen = asyncio.run(drill())
    (nobody,) = [each.text for each in seen.moments if each.kind == "role"]
    # Where much else goes on, others may be late, too.
    assert nobody.startswith("nobody leads the store, as far as could be seen (a"), nobody


def test_all_of_it_ends_when_the_block_fails(tmp_path: Path) -> None:
    machines = Machines(tmp_path)

    async def drill() -> None:
        async with eyes_of(machines):
            raise ValueError("the drill broke off")

    with pytest.raises(ValueError, match="broke off"):
        asyncio.run(drill())
    marks = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in cmdline(path)]
    assert marks == []


def cmdline(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


# The helper's neighbours


def test_a_probe_asks_everybody_and_names_no_sender() -> None:
    frame = neighbours.probe(b"\x02\0\0\0\0\x01", bytes([10, 9, 0, 100]))
    assert frame[:6] == b"\xff" * 6
    assert frame[12:14] == b"\x08\x06"
    assert frame[28:32] == bytes(4)
    assert frame[-4:] == bytes([10, 9, 0, 100])


def test_only_a_reply_to_us_for_the_address_counts() -> None:
    ours, other, address = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02", bytes([10, 9, 0, 100])
    reply = neighbours._FORM.pack(ours, other, 0x0806, 1, 0x0800, 6, 4, 2, other, address, ours, bytes(4))
    assert neighbours.replier(reply, ours, address) == other
    assert neighbours.replier(reply + bytes(18), ours, address) == other
    assert neighbours.replier(reply, other, address) == b""
    assert neighbours.replier(reply, ours, bytes([10, 9, 0, 101])) == b""
    assert neighbours.replier(neighbours.probe(other, address), ours, address) == b""
    assert neighbours.replier(reply[:20], ours, address) == b""


def test_a_local_address_is_known_by_the_routing_table() -> None:
    assert neighbours.is_here("127.0.0.1")
    assert not neighbours.is_here("127.0.0.255")
    assert not neighbours.is_here("198.51.100.7")


# From what was told to what was seen


def a_log(*events: dict[str, Any]) -> Log:
    log = Log("a", 10.0, ticks=[tick(10.0, 10.002, 1.001, 0.0), tick(20.0, 20.002, 11.001, 10.0)])
    log.seen += events
    log.cost = {"own_cpu_s": 0.1, "kept_cpu_s": 0.2, "ended_cpu_s": 1.0}
    return log


def heard(mono_s: float, *answers: list[object], arp: list[object] | None = None) -> dict[str, Any]:
    return {"event": "seen", "mono_s": mono_s, "answers": list(answers), "arp": arp}


def test_answers_become_samples_on_the_clock_of_the_drill() -> None:
    watch = Watch("leader", "leads", (), "?", read_role)
    answers = Answers({"w": watch}, "address", {"02:00:00:00:00:02": "b"})
    arp = [2.0, 2.1, ["02:00:00:00:00:02", "02:00:00:00:00:99"]]
    log = a_log(heard(2.25, ["w", 2.0, 2.1, "leader 4"], ["w", 2.2, 2.3, "mumble"], arp=arp))
    first, second = samples_of(log, "a", answers)
    assert (first.asked_s, first.answered_s) == pytest.approx((11.0, 11.1))
    assert (first.role, first.by, first.holders, first.mark) == ("leader", "a", ("a",), "4")
    assert second.holders == ("b", "02:00:00:00:00:99")
    assert samples_of(Log("a", 10.0, seen=log.seen), "a", answers) == ()


def test_times_without_events_are_blind() -> None:
    log = a_log(*(heard(float(each)) for each in (2, 2.5, 3, 6, 6.5)))
    (blind,) = blind_times("a", [log], 11.0, 15.7)
    assert blind.until_s is not None
    assert (blind.at_s, blind.until_s) == pytest.approx((12.0, 15.0))
    (whole,) = blind_times("a", [], 11.0, 15.7)
    assert (whole.at_s, whole.until_s) == (11.0, 15.7)


def test_the_cost_is_a_share_of_the_time_that_was_watched() -> None:
    cost = costs_of([a_log()])
    assert (cost.roles, cost.status) == pytest.approx((0.03, 0.1), rel=0.01)
    assert costs_of([]) == Cost(0.0, 0.0)


# Findings


def found(at_s: float, **reasons: str) -> Found:
    design = make_design(spec(), TOYS)
    readings = {each: Reading(State.OK) for each in design.members}
    for host, reason in reasons.items():
        readings[Member("store", host)] = Reading(State.DEGRADED, reason=reason)
    return found_in(judge(design, readings), at_s)


def test_a_finding_has_a_begin_and_an_end_though_its_figures_change() -> None:
    history = [found(1), found(3, a="4 MiB behind"), found(5, a="5 MiB behind", b="slow"), found(7, b="slow")]
    first, second = finding_moments(history)
    assert (first.text, first.at_s, first.until_s, first.host) == ("store@a: 4 MiB behind", 3, 7, "a")
    assert (second.text, second.at_s, second.until_s) == ("store@b: slow", 5, None)
    assert healths(history) == ((1, "healthy"), (3, "degraded"))


def test_a_host_that_does_not_answer_is_one_finding() -> None:
    design = make_design(spec(), TOYS)
    readings = {each: Reading(State.OK) for each in design.members} | dict(unreachable(design.on("a"), "no answer"))
    assert [each.text for each in found_in(judge(design, readings), 1).findings] == ["a does not answer"]


# What engines answer


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        ("leader 4", Held(True, "timeline 4")),
        ("replica", Held(False)),
        ("leader", None),
        ("leader x", None),
        ("", None),
        ("FATAL: the database system is starting up", None),
    ],
)
def test_a_database_says_whether_it_writes(answer: str, held: Held | None) -> None:
    assert read_leading(answer) == held


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        ("master 2", Held(True)),
        ("master -", Held(True)),
        ("master 0", Held(False)),
        ("slave 0", Held(False)),
        ("slave -", Held(False)),
        ("master", None),
        ("silent: TimeoutError", None),
        ("", None),
    ],
)
def test_a_cache_says_whether_it_accepts_writes(answer: str, held: Held | None) -> None:
    assert read_accepting(answer) == held


def test_a_question_is_one_line() -> None:
    made = make_design(load(ROOT / "cluster.yaml"))
    (database,) = postgres.component.watches(made.contexts[Member("postgres", "a")])
    assert "\n" not in database.question
    assert any(word.endswith("/17/bin/psql") for word in database.argv)
    assert valkey.component.watches is not None
    json.dumps(database.argv)
