"""What vip-watch finds out for keepalived, by real connections on this computer, and what it writes down."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.components.keepalived.service.vip_watch import (
    FRONT_FALL,
    FRONT_RISE,
    Streak,
    front_answers,
    hears,
    holds,
    is_here,
    listen,
    verdicts,
)

HERE, NOWHERE = "127.0.0.1", "127.0.0.2"
WITHIN_S = 5.0


@contextmanager
def door(answer: bytes | None = None) -> Iterator[int]:
    """A server that gives one answer to everybody, or, without one, accepts connections and says nothing."""
    with socket.create_server((HERE, 0)) as server:
        server.settimeout(WITHIN_S)

        def serve() -> None:
            guest, _ = server.accept()
            with guest:
                guest.recv(4096)
                guest.sendall(answer or b"")

        if answer is not None:
            threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def closed_port() -> int:
    with door() as port:
        return port


@pytest.mark.parametrize(
    ("answer", "well"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\n\r\nlive", True),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", False),
        (b"SSH-2.0-200\r\n", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_front_door_is_well_when_it_answers_a_request(answer: bytes | None, well: bool) -> None:
    with door(answer) as port:
        assert front_answers(port, "edge.test", "/live") is well


def test_a_closed_front_door_does_not_answer() -> None:
    assert not front_answers(closed_port(), "edge.test", "/live")


def test_one_other_host_that_can_be_reached_is_enough() -> None:
    with door() as port:
        assert hears([NOWHERE, HERE], port, within_s=0.01)


def test_a_refusal_is_heard() -> None:
    assert hears([HERE], closed_port(), within_s=0.01)


def test_a_host_that_nobody_answers_hears_nothing() -> None:
    # Its queue is full: connections are neither taken nor refused.
    with socket.create_server((HERE, 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        assert not hears([HERE, HERE], full.getsockname()[1], within_s=0.01)


def test_a_verdict_takes_several_results_in_a_row() -> None:
    streak = Streak(FRONT_FALL, FRONT_RISE)
    changes = [streak.take(well) for well in (False, True, False, False, False, True, True, True, False)]
    assert changes == [False, False, False, True, False, False, False, False, False]
    assert not streak.well
    assert [streak.take(True) for _ in range(FRONT_RISE)] == [False, False, False, True]
    assert streak.well


def test_only_what_keepalived_says_of_states_counts() -> None:
    assert holds('INSTANCE "vip" MASTER 190\n') is True
    assert [holds(f'INSTANCE "vip" {word} 90\n') for word in ("BACKUP", "FAULT", "STOP")] == [False] * 3
    assert holds('INSTANCE "vip" MASTER_RX_LOWER_PRI 190\n') is None
    assert holds('GROUP "all" MASTER 0\n') is None
    assert holds("\n") is None


def test_an_address_is_here_when_the_kernel_says_so(tmp_path: Path) -> None:
    routes = tmp_path / "fib_trie"
    routes.write_text("Main:\n  |-- 10.5.0.1\n     /32 host LOCAL\n  |-- 10.5.0.100\n     /24 link UNICAST\n")
    assert is_here("10.5.0.1", routes)
    assert not is_here("10.5.0.100", routes)
    assert not is_here("10.5.0.10", routes)
    assert is_here(HERE)


def test_who_holds_is_written_down_at_first_and_with_every_word(tmp_path: Path) -> None:
    pipe, holder = tmp_path / "news", tmp_path / "holder"
    os.mkfifo(pipe)
    threading.Thread(target=listen, args=(pipe, holder, HERE), daemon=True).start()

    def written(text: str) -> None:
        begun = time.monotonic()
        while not (holder.exists() and holder.read_text() == text):
            assert time.monotonic() - begun < WITHIN_S, holder.exists() and holder.read_text()
            time.sleep(0.01)

    written("1\n")
    for _ in range(2):
        # Whoever writes comes and goes: keepalived is restarted.
        pipe.write_text('INSTANCE "vip" MASTER 220\nINSTANCE "vip" BACKUP 220\n')
        written("0\n")
        pipe.write_text('INSTANCE "vip" MASTER 220\n')
        written("1\n")


def test_a_verdict_is_written_and_said_when_it_is_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "front"
    told = verdicts(path, "well", "ill")
    told(True)
    assert (path.read_text(), capsys.readouterr().out) == ("0\n", "")
    told(False)
    assert (path.read_text(), capsys.readouterr().out) == ("1\n", "ill\n")
    told(True)
    assert (path.read_text(), capsys.readouterr().out) == ("0\n", "well\n")
