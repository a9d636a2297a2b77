"""edge-watch: who is in use and why, echoes, what is read and written, and the service with real servers."""

import asyncio
import json
import math
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.components.app.service.load import Looks, waited_us
from holdfast.components.nginx.service import echoes, standing
from holdfast.components.nginx.service.asking import get_json, parsed
from holdfast.components.nginx.service.edge import Edge
from holdfast.components.nginx.service.law import Weight
from holdfast.components.nginx.service.server import Server, pressure, queue
from holdfast.components.nginx.service.standing import BEAT_S, Health, Pulse, patience
from holdfast.components.nginx.service.views import metrics, weights

# Who is in use


@given(st.floats(0, 1))
def test_patience_makes_a_false_alarm_rare(loss: float) -> None:
    enough = patience(loss)
    assert standing.PATIENCE_MIN <= enough <= standing.PATIENCE_MAX
    assert enough == standing.PATIENCE_MAX or loss**enough <= standing.CHANCE * 1.001


def beats(pulse: Pulse, answered: Iterator[bool], start: float = 0.0) -> tuple[float, bool]:
    """Beat until the host counts as gone or nothing is left; return the time and whether it is gone."""
    now = start
    for yes in answered:
        if pulse.gone(now):
            return now, True
        pulse.sent += 1
        if yes:
            pulse.heard(pulse.sent, now)
        now += BEAT_S
    return now, pulse.gone(now)


def test_a_dead_host_is_noticed_in_a_third_of_a_second() -> None:
    pulse = Pulse()
    now, gone = beats(pulse, iter([True] * 100 + [False] * 40))
    assert gone
    assert now - pulse.heard_at <= 0.35  # type: ignore[operator]


def test_a_host_that_never_answered_an_echo_is_not_called_dead() -> None:
    assert not beats(Pulse(), iter([False] * 1000))[1]


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5])
def test_loss_alone_kills_nobody(loss: float) -> None:
    dice = random.Random(7)
    pulse = Pulse(loss=loss)
    assert not beats(pulse, (dice.random() >= loss for _ in range(72_000)))[1], "an hour"


def test_a_death_is_no_loss() -> None:
    pulse = Pulse()
    now, _ = beats(pulse, iter([True] * 100 + [False] * 40))
    pulse.sent += 600
    pulse.heard(pulse.sent, now + 30)
    assert pulse.loss < 0.001
    assert not pulse.gone(now + 30)


def test_a_late_loop_accuses_nobody() -> None:
    pulse = Pulse(sent=50, answered=40, heard_at=0.0)
    assert pulse.gone(0.5)
    pulse.forgive(0.45)
    assert not pulse.gone(0.5)


@pytest.mark.parametrize("number", [3, 9])
def test_old_and_strange_answers_are_no_sign_of_life(number: int) -> None:
    pulse = Pulse(sent=8, answered=5, heard_at=1.0)
    pulse.heard(number, 2.0)
    assert pulse.heard_at == 1.0


def test_one_refusal_is_enough_and_two_good_answers_bring_it_back() -> None:
    health = Health(0.0)
    health.answered("nothing listens", 1.0, refused=True)
    assert health.why == "nothing listens"
    health.answered("", 1.25)
    assert health.why
    health.answered("", 1.5)
    assert not health.why


def test_one_bad_answer_is_none_and_two_are() -> None:
    health = Health(0.0)
    for wrong, out in (("its health path answers 503", False), ("", False), ("x", False), ("y", True)):
        health.answered(wrong, 1.0)
        assert bool(health.why) == out


def test_silence_puts_a_server_out_within_a_second_but_slowness_does_not() -> None:
    health = Health(10.0)
    said = []
    for now in (10.85, 10.91):
        health.looked(now)
        said.append(health.why)
    assert said == ["", "no good answer for 0.9 s"]
    slow = Health(0.0)
    for n in range(40):
        slow.answered("", n * 0.25)
        slow.looked(n * 0.25 + 0.24)
        assert not slow.why, "each answer may take long, as long as they keep coming"


# Echoes


def ip(payload: bytes) -> bytes:
    return bytes([0x45]) + bytes(19) + payload


def test_an_echo_is_as_the_protocol_wants_it() -> None:
    packet = echoes.packet(0x1234, 0x20005)
    assert packet[:2] == b"\x08\x00"
    assert echoes.checksum(packet) == 0, "with its checksum in it the sum is nothing"
    answer = ip(b"\x00\x00" + packet[2:])
    assert echoes.read(answer, 0x1234) == 5
    assert echoes.read(answer, 0x4321) is None, "somebody else's"
    assert echoes.read(ip(packet), 0x1234) is None, "a question"
    assert echoes.read(b"", 0x1234) is None
    assert echoes.read(ip(b"\x00"), 0x1234) is None


@given(st.integers(1, 10**7), st.integers(0, 60_000))
def test_sixteen_bits_are_enough_to_know_which_echo_was_answered(sent: int, ago: int) -> None:
    number = max(0, sent - ago)
    assert echoes.whole(number & 0xFFFF, sent) == number


# What is read and written


def test_two_looks_make_a_load() -> None:
    first = {"waited_at_us": 1_000_000, "waited_us": 500, "queue_sum": 10, "queue_looks": 5, "processors": 4}
    second = first | {"waited_at_us": 2_000_000, "waited_us": 250_500, "queue_sum": 70, "queue_looks": 15}
    assert (pressure(first, second), queue(first, second)) == (0.25, 1.5)
    for before, now in ((second, second), ({}, second), (first, {}), (second, first)):
        assert (pressure(before, now), queue(before, now)) == (None, None)
    assert pressure(second, second, 0.25) == 0.25, "the kernel has not counted anew"


def test_a_missed_question_is_no_news_and_five_are() -> None:
    server = Server("a", "10.0.0.1", 80, "/", 81)
    told = {"waited_at_us": 0, "waited_us": 0, "queue_sum": 0, "queue_looks": 0, "processors": 2}
    server.note_load(told)
    server.note_load(told | {"waited_at_us": 1000, "waited_us": 300, "queue_sum": 4, "queue_looks": 1})
    for missed in range(1, 6):
        assert (server.load.pressure, server.load.queue) == (0.3, 2.0), missed
        server.note_load({})
    assert (server.load.pressure, server.load.queue) == (None, None)


@pytest.mark.parametrize("strange", [math.nan, math.inf, "many", None, [1]])
def test_a_strange_load_is_no_load(strange: Any) -> None:
    first = {"waited_at_us": 1, "waited_us": 0, "queue_sum": 0, "queue_looks": 0, "processors": 4}
    second = {"waited_at_us": 2, "waited_us": strange, "queue_sum": strange, "queue_looks": 1, "processors": 4}
    assert (pressure(first, second), queue(first, second)) == (None, None)


def test_answers_make_a_latency_until_the_front_door_starts_anew() -> None:
    server = Server("a", "10.0.0.1", 80, "/", 81)
    for count, seconds in ((100, 1.0), (150, 2.0)):
        server.note_answers(count, seconds)
    assert server.load.answers == 50
    assert server.load.latency_s == pytest.approx(0.02)
    server.note_answers(3, 0.1)
    assert (server.load.answers, server.load.latency_s) == (0, None)


def test_weights_are_lines_with_their_time() -> None:
    server = Server("a", "10.0.0.1", 80, "/", 81, weight=Weight(math.log(0.5)))
    sick = left_out(Server("b", "10.0.0.2", 80, "/", 81), "its host is silent")
    view = {"a": server.view(), "b": sick.view()}
    assert weights(view, 1763712000.7) == "at 1763712001\na 0.5\nb 0\n"
    assert 'holdfast_edge_weight{server="b"} 0.0\n' in metrics(view)
    assert "None" not in metrics(view)


def left_out(server: Server, out: str) -> Server:
    server.out = out
    return server


@pytest.mark.parametrize("answer", [b"", b"\0\1", b"SSH-2.0-x\r\n", b"HTTP/1.1", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"no HTTP|invalid literal"):
        parsed(answer)
    assert parsed(b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\nbody") == (204, b"body")


def total(us: int) -> str:
    return f"some avg10=0.00 avg60=0.00 avg300=0.00 total={us}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def test_a_host_tells_its_load(tmp_path: Path) -> None:
    kernel, group, average = tmp_path / "kernel", tmp_path / "group", tmp_path / "loadavg"
    found = Looks((group, kernel), average)
    for running in (4, 1, 7):
        average.write_text(f"0.10 0.20 0.30 {running}/300 1234\n")
        found.look(1)
    told = found.told()
    assert (told["queue_sum"], told["queue_looks"]) == (9, 3)
    assert "waited_us" not in told, "a kernel without pressures"
    kernel.write_text(total(77))
    found.look(2)
    assert found.told()["waited_us"] == 77
    group.write_text(total(5))
    found.look(3)
    assert found.told()["waited_us"] == 5, "a control group that is the machine comes first"


def test_a_pressure_has_the_time_at_which_the_kernel_counted(tmp_path: Path) -> None:
    kernel, average = tmp_path / "kernel", tmp_path / "loadavg"
    average.write_text("0.10 0.20 0.30 1/300 1234\n")
    found = Looks((kernel,), average)
    times = []
    for at_s, us in ((1.0, 10), (1.1, 10), (2.0, 20), (3.0, 20), (4.4, 20), (4.6, 20)):
        kernel.write_text(total(us))
        found.look(int(at_s * 1_000_000))
        times.append(found.told()["waited_at_us"] / 1_000_000)
    assert times == [1, 1, 2, 2, 2, 4.6]
    with pytest.raises(ValueError, match="no pressure"):
        waited_us("full avg10=0.00 total=0\n")


# The service, with real servers and a kernel that can be silenced


class Kernel:
    """Answers every echo but those to silent hosts."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.waiting: list[tuple[str, int]] = []

    def ask(self, address: str, number: int) -> None:
        if address not in self.silent:
            self.waiting.append((address, number & 0xFFFF))

    def answers(self) -> list[tuple[str, int]]:
        found, self.waiting = self.waiting, []
        return found


class App:
    """A server whose health can be switched; "" never answers."""

    def __init__(self) -> None:
        self.status = "200 OK"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if self.status:
            writer.write(f"HTTP/1.0 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            await reader.read()
        writer.close()


@asynccontextmanager
async def an_edge(tmp_path: Path) -> AsyncIterator[tuple[Edge, dict[str, App], Kernel, list[str]]]:
    apps, kernel, said = {name: App() for name in "ab"}, Kernel(), list[str]()
    at = {name: f"127.0.0.{number}" for number, name in enumerate(apps, 2)}
    doors = [await asyncio.start_server(app.serve, at[name], 0) for name, app in apps.items()]
    ports = dict(zip(apps, (door.sockets[0].getsockname()[1] for door in doors), strict=True))
    unused = socket.create_server(("127.0.0.1", 0))
    closed = unused.getsockname()[1]
    unused.close()
    server = {name: {"address": at[name], "port": ports[name], "path": "/up", "load_port": closed} for name in apps}
    facts: dict[str, Any] = {"servers": server, "status_port": closed, "run": tmp_path, "drained": tmp_path / "out"}
    edge = Edge(facts, kernel, said.append)  # type: ignore[arg-type]
    work = asyncio.create_task(edge.work())
    try:
        yield edge, apps, kernel, said
    finally:
        for task in (work, *edge.tasks):
            task.cancel()
        await asyncio.gather(work, *edge.tasks, return_exceptions=True)
        for door in doors:
            door.close()
        # What was closed is gone a moment later.
        await asyncio.sleep(0.05)


async def until(holds: Callable[[], bool], limit_s: float = 5.0) -> float:
    """Wait for a condition; return how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not holds():
        assert loop.time() - began < limit_s, "it never came about"
        await asyncio.sleep(0.01)
    return loop.time() - began


def written(tmp_path: Path) -> dict[str, float]:
    path = tmp_path / "weights"
    lines = path.read_text().splitlines()[1:] if path.exists() else []
    return {name: float(weight) for name, weight in (line.split() for line in lines)}


def test_a_silent_host_goes_out_and_comes_back_slowly(tmp_path: Path) -> None:
    async def story() -> None:
        async with an_edge(tmp_path) as (_, _, kernel, said):
            await until(lambda: written(tmp_path) == {"a": 1, "b": 1})
            await asyncio.sleep(0.3)
            kernel.silent.add("127.0.0.3")
            assert await until(lambda: written(tmp_path)["b"] == 0) < 0.9
            assert "b is out of use: its host is silent" in said
            kernel.silent.clear()
            await until(lambda: 0 < written(tmp_path)["b"] < 0.5)
            assert "b is in use again, with few requests at first" in said
            assert json.loads((tmp_path / "status.json").read_text())["servers"]["b"]["out"] == ""

    asyncio.run(story())


def test_a_load_that_comes_in_pieces_is_read_whole() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in (b"HTTP/1.0 200 OK\r\n\r\n", b'{"queue_sum": ', b"5}"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.close()

    async def story() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as door:
            port = door.sockets[0].getsockname()[1]
            assert await get_json("127.0.0.1", port, "/", 2) == {"queue_sum": 5}
        assert await get_json("127.0.0.1", port, "/", 2) == {}, "nobody there"

    asyncio.run(story())


class Letting(Edge):
    """Notes whose connections would be ended."""

    ended: list[str]

    async def let_go(self, server: Server) -> None:
        self.ended.append(server.name)


@pytest.mark.parametrize(("silent", "ended"), [("b", ["b"]), ("ab", [])])
def test_connections_are_ended_unless_everybody_is_silent(tmp_path: Path, silent: str, ended: list[str]) -> None:
    where = {"port": 1, "path": "/", "load_port": 1}
    facts = {"servers": {name: where | {"address": name} for name in "ab"}, "status_port": 1}
    edge = Letting(facts | {"run": tmp_path, "drained": tmp_path / "out"}, Kernel(), list[str]().append)  # type: ignore[arg-type]
    edge.ended = []

    async def story() -> None:
        for beat in range(60):
            now = 1000 + beat * BEAT_S
            for server in edge.servers:
                server.health.good_at = now
                server.pulse.sent += 1
                if beat < 20 or server.name not in silent:
                    server.pulse.heard(server.pulse.sent, now)
            edge.settle(now)
        await asyncio.gather(*edge.tasks)

    asyncio.run(story())
    assert edge.ended == ended
    assert [server.name for server in edge.servers if server.out] == list(silent)


@pytest.mark.parametrize(
    ("status", "why"), [("503 No", "its health path answers 503"), ("", "no good answer for 0.9 s")]
)
def test_a_sick_or_hanging_server_goes_out_within_a_second_and_back(tmp_path: Path, status: str, why: str) -> None:
    async def story() -> None:
        async with an_edge(tmp_path) as (_, apps, _, said):
            await until(lambda: written(tmp_path) == {"a": 1, "b": 1})
            apps["a"].status = status
            assert await until(lambda: written(tmp_path)["a"] == 0) < 2, "one second, and one for a busy computer"
            assert f"a is out of use: {why}" in said
            apps["a"].status = "204 No Content"
            await until(lambda: written(tmp_path)["a"] > 0)

    asyncio.run(story())


def test_a_drained_server_goes_out_and_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with an_edge(tmp_path):
            await until(lambda: written(tmp_path) == {"a": 1, "b": 1})
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "a").touch()
            await until(lambda: written(tmp_path)["a"] == 0)
            (tmp_path / "out" / "a").unlink()
            await until(lambda: written(tmp_path)["a"] > 0)

    asyncio.run(story())


def test_the_internet_checksum_of_known_bytes() -> None:
    # The example of RFC 1071, section 3.
    assert echoes.checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF
    assert struct.calcsize("!BBHHH") == 8
