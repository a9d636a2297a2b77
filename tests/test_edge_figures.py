"""What the benchmark of the edge makes of a log, and what a host tells of its load over a socket."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from benchmarks.edge import head, shares

from holdfast.components.app.service import load


def log(until_s: float, back: float = 1000.0) -> list[tuple[float, str]]:
    """Ten answers a second; a server that came back has every third one after its first 3 s."""
    moments = [back + tenths / 10 for tenths in range(-50, int(until_s * 10) + 1)]
    return [(at, "b:80" if at >= back + 3 and round(at * 10) % 3 == 0 else "a:80") for at in moments]


@pytest.mark.parametrize(("until_s", "pieces"), [(2.0, 0), (3.0, 1), (8.9, 2), (9.0, 3), (40.0, 6)])
def test_a_piece_that_the_end_cuts_off_is_no_share(until_s: float, pieces: int) -> None:
    found = shares(log(until_s), "b", 1000.0)
    assert len(found) == pieces
    assert found[:1] == [0.0][:pieces]
    assert all(0.3 <= share <= 0.37 for share in found[1:])


def test_without_answers_there_are_no_shares() -> None:
    assert shares([], "b", 1000.0) == []


def test_a_server_may_end_its_connection() -> None:
    assert head(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n") == (200, 7, True)
    assert head(b"HTTP/1.1 503 No\r\nConnection: close\r\n\r\n") == (503, 0, False)


def asked(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while piece := client.recv(4096):
            answer += piece
        return answer


@pytest.fixture
def port() -> Iterator[int]:
    """Where a program for servers tells the load of this computer."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        number: int = unused.getsockname()[1]
    with subprocess.Popen((sys.executable, load.__file__, "127.0.0.1", str(number))) as program:
        try:
            yield number
        finally:
            program.terminate()


def test_a_host_tells_its_load_also_when_somebody_says_nothing(port: int) -> None:
    began = time.monotonic()
    while True:
        try:
            silent = socket.create_connection(("127.0.0.1", port), 5)
            break
        except ConnectionRefusedError:
            assert time.monotonic() - began < 10, "it never came up"
            time.sleep(0.05)
    with silent:
        head, _, body = asked(port).partition(b"\r\n\r\n")
        told, more = json.loads(body), json.loads(asked(port).partition(b"\r\n\r\n")[2])
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert f"Content-Length: {len(body)}".encode() in head
    assert more["queue_looks"] >= told["queue_looks"] >= 1
