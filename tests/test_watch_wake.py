"""A database that dies: its manager is woken over a connection that was open before, or over a new one."""

import http.client
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from holdfast.components.watcher.service import upkeep
from holdfast.components.watcher.service.upkeep import Line, Local


class Manager(BaseHTTPRequestHandler):
    """What the manager's API does with a request that changes nothing; it remembers when its callers came in."""

    def do_PATCH(self) -> None:
        """Answer, and note the caller."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.client_address)  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@contextmanager
def a_manager() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Manager) as server:
        server.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def guarded(port: int, lines: list[Line]) -> tuple[Local, list[str]]:
    """What a guard knows of a database whose manager listens on a port; ``lines``: all that it opens."""
    said: list[str] = []
    local = Local({"database": {"wake_path": "/config", "unit": "none.service"}}, cast("Any", None), said.append)

    def line() -> Line:
        lines.append(http.client.HTTPConnection("127.0.0.1", port, timeout=5))
        return lines[-1]

    local.line = line  # type: ignore[method-assign]
    return local, said


def test_a_manager_is_woken_over_a_line_that_was_open_before_its_database_died() -> None:
    lines: list[Line] = []
    with a_manager() as server, subprocess.Popen(["sleep", "60"]) as child:
        local, said = guarded(server.server_port, lines)
        pidfd = os.pidfd_open(child.pid)
        threading.Timer(0.3, child.kill).start()
        line = upkeep._until_dead(local, pidfd)
        os.close(pidfd)
        assert line is lines[0]
        caller = line.sock.getsockname()
        upkeep._wake(local, child.pid, time.monotonic(), line)
        assert server.asked == [caller]  # type: ignore[attr-defined]
        assert "was woken after" in said[0]
        assert len(lines) == 1


def test_a_line_that_the_manager_closed_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "LINE_AGAIN_S", 0.01)
    monkeypatch.setattr(Manager, "timeout", 0.1)
    lines: list[Line] = []
    with a_manager() as server, subprocess.Popen(["sleep", "60"]) as child:
        local, _ = guarded(server.server_port, lines)
        pidfd = os.pidfd_open(child.pid)
        threading.Timer(0.5, child.kill).start()
        upkeep._until_dead(local, pidfd)
        os.close(pidfd)
        assert len(lines) > 1
        assert all(each.sock is None for each in lines[:-1]), "one at a time"
        lines[-1].close()


def test_without_a_line_and_without_a_manager_it_says_so_and_goes_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    lines: list[Line] = []
    with subprocess.Popen(["sleep", "60"]) as child:
        local, said = guarded(port, lines)
        pidfd = os.pidfd_open(child.pid)
        child.kill()
        line = upkeep._until_dead(local, pidfd)
        os.close(pidfd)
    assert line is None
    upkeep._wake(local, child.pid, time.monotonic(), line)
    assert "could not be woken: " in said[0]
    assert "refused" in said[0]


def test_who_tells_of_a_death_goes_before_others_where_the_kernel_knows_of_sessions(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "autogroup").write_text("/autogroup-12 nice 0\n")
    upkeep.put_first(7, tmp_path)
    upkeep.put_first(8, tmp_path)
    assert (tmp_path / "7" / "autogroup").read_text() == f"{upkeep.FIRST_NICE}\n"
    assert not (tmp_path / "8").exists()


def test_a_kernel_that_takes_one_change_at_a_time_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []

    def write_text(path: Path, _text: str) -> int:
        refused.append(str(path))
        if len(refused) < 3:
            raise BlockingIOError
        return 4

    monkeypatch.setattr(Path, "write_text", write_text)
    monkeypatch.setattr(upkeep, "NEW_PID_S", 0.001)
    upkeep.put_first(7)
    assert refused == ["/proc/7/autogroup"] * 3
