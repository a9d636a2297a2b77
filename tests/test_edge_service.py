"""edge-watch as a whole, with real servers and a kernel that can be silenced."""

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.components.nginx.service.asking import get_json
from holdfast.components.nginx.service.edge import Edge
from holdfast.components.nginx.service.endings import _said_no, connections, end, messages, packed
from holdfast.components.nginx.service.server import Server
from holdfast.components.nginx.service.standing import BEAT_S


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


def diagnosis() -> socket.socket:
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
    kernel.settimeout(5)
    return kernel


def test_the_kernel_tells_the_connections_to_one_server() -> None:
    with socket.create_server(("127.0.0.7", 0)) as door, diagnosis() as kernel:
        address, port = door.getsockname()
        clients = [socket.create_connection((address, port)) for _ in range(3)]
        assert len(connections(kernel, address, port)) == 3
        assert connections(kernel, "127.0.0.8", port) == []
        for client in clients:
            client.close()


def test_what_the_kernel_refuses_is_an_error() -> None:
    with diagnosis() as kernel:
        kernel.sendto(packed(99, 1 | 4, bytes(48)), (0, 0))
        with pytest.raises(OSError, match="Invalid argument"):
            list(map(_said_no, (body for _, body in messages(kernel.recv(4096)))))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may end connections")
def test_connections_to_a_dead_server_end_and_no_others() -> None:
    with socket.create_server(("127.0.0.7", 0)) as door, socket.create_server(("127.0.0.8", 0)) as other:
        clients = [socket.create_connection(door.getsockname()) for _ in range(2)]
        spared = socket.create_connection(other.getsockname())
        answer = other.accept()[0]
        assert end(*door.getsockname()) == 2
        for client in clients:
            with client, pytest.raises(ConnectionAbortedError):
                client.recv(1)
        with spared, answer:
            answer.sendall(b"x")
            assert spared.recv(1) == b"x"


def test_what_the_kernel_sends_is_taken_apart() -> None:
    head = struct.Struct("=IHHII")
    data = head.pack(18, 20, 0, 0, 0) + b"ab" + bytes(2) + head.pack(16, 3, 0, 0, 0)
    assert list(messages(data)) == [(20, b"ab"), (3, b"")]
    assert list(messages(bytes(40))) == [], "a size of nothing would never end"
    assert list(messages(b"short")) == []


class Letting(Edge):
    """Notes whose connections would be ended."""

    ended: list[str]

    def let_go(self, server: Server) -> None:
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
