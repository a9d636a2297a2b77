"""The HTTP door tells requests that were never sent from those that nobody answered."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.model.parts import Certificate
from holdfast.runner.authority import Pair, issue, new_authority
from holdfast.wire.base import NotSentError, UnansweredError
from holdfast.wire.http import Answer, HttpDoor

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
    async with listening:
        yield f"http{'s' if tls else ''}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while (await reader.readuntil(b"\r\n\r\n")) and not reader.at_eof():
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Served-By: a\r\n\r\n{}")


async def ask(url: str, timeout_s: float = 2.0, ca: Path | None = None) -> Answer:
    door = HttpDoor(url, ca)
    try:
        return await door.ask("GET", "/", timeout_s=timeout_s)
    finally:
        await door.close()


def test_a_closed_port_is_not_sent() -> None:
    async def gone() -> None:
        async with server(one_answer) as url:
            pass
        await ask(url)

    with pytest.raises(NotSentError):
        asyncio.run(gone())


def test_a_hang_up_and_a_silence_are_unanswered() -> None:
    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readline()

    async def silence(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)

    async def try_both() -> None:
        async with server(hang_up) as url:
            with pytest.raises(UnansweredError):
                await ask(url)
        async with server(silence) as url:
            with pytest.raises(UnansweredError, match=r"within 0\.1 s"):
                await ask(url, timeout_s=0.1)

    asyncio.run(try_both())


def test_connections_are_kept_until_one_fails_and_then_all_are_new() -> None:
    connections: list[int] = []

    async def third_hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        while not reader.at_eof():
            await reader.readuntil(b"\r\n\r\n")
            connections[-1] += 1
            if len(connections) == 1 and connections[0] == 3:
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def four_requests() -> None:
        async with server(third_hangs_up) as url:
            door = HttpDoor(url)
            for number in range(4):
                if number == 2:
                    with pytest.raises(UnansweredError):
                        await door.ask("GET", "/", timeout_s=1)
                else:
                    assert (await door.ask("GET", "/", timeout_s=1)).status == 200
            await door.close()

    asyncio.run(four_requests())
    assert connections == [3, 1]


def test_a_ca_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HttpDoor("https://127.0.0.1", tmp_path / "none.crt")


def tls_server(folder: Path, authority: Pair) -> ssl.SSLContext:
    pair = issue(authority, Certificate("edge", "edge", ("localhost",), ("127.0.0.1",)), datetime.now(UTC))
    (folder / "edge.pem").write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "edge.pem")
    return context


def test_only_the_own_ca_is_trusted(tmp_path: Path) -> None:
    own, other = (new_authority(name, datetime.now(UTC)) for name in ("own", "other"))
    (tmp_path / "own.crt").write_text(own.certificate)
    (tmp_path / "other.crt").write_text(other.certificate)

    async def try_both() -> None:
        async with server(one_answer, tls_server(tmp_path, own)) as url:
            assert (await ask(url, ca=tmp_path / "own.crt")).status == 200
            with pytest.raises(NotSentError, match="certificate"):
                await ask(url, ca=tmp_path / "other.crt")

    asyncio.run(try_both())
