"""A database that hangs: when it is taken for that, when it is left alone, and that nothing survives its end."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from holdfast.components.watcher.service import ending, hangs
from holdfast.components.watcher.service.protocol import post_of
from holdfast.components.watcher.service.upkeep import COLLECTED_S, Local, until_collected
from holdfast.components.watcher.service.words import Lead, Post, Self, Sync, View
from holdfast.components.watcher.watch import read_watch
from holdfast.model.watch import Output, State

NOW = 1000.0
LEADER = Post("a", leads=True, spare=True, at=NOW - 1)
KNOCK = bytes.fromhex("0000000804d2162f")
# Starts three children that wait for ever, one of them stopped, and says who they are.
FAMILY = """
import os, signal, sys, time
for number in range(3):
    if not (child := os.fork()):
        time.sleep(600)
    if not number:
        os.kill(child, signal.SIGSTOP)
    print(child, flush=True)
print("all", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("post", "why"),
    [
        (LEADER, ""),
        (replace(LEADER, leads=False), ""),
        (replace(LEADER, paused=True), "paused"),
        (replace(LEADER, spare=False), "no replica could take over"),
        (replace(LEADER, leads=False, spare=False), "commits wait for it"),
        (replace(LEADER, leader="", leads=False), "nobody leads"),
        (replace(LEADER, at=NOW - 7), "the dcs does not answer"),
        (Post(), "the dcs does not answer"),
    ],
)
def test_it_is_killed_only_when_somebody_can_take_over(post: Post, why: str) -> None:
    found = hangs.spared(post, NOW, 301.0)
    assert why in found
    assert bool(why) == bool(found)


def test_it_is_killed_at_most_once_in_five_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangs, "FILE", tmp_path / "killed.json")
    assert not hangs.spared(LEADER, NOW, hangs.killed_ago_s())
    (tmp_path / "killed.json").write_text(f'{{"at": {time.time() - 200}, "why": "it hung"}}')
    assert "at most once" in hangs.spared(LEADER, NOW, hangs.killed_ago_s()), "also by a service that was restarted"
    (tmp_path / "killed.json").write_text(f'{{"at": {time.time() - 301}, "why": "it hung"}}')
    assert not hangs.spared(LEADER, NOW, hangs.killed_ago_s())
    (tmp_path / "killed.json").write_text("{")
    assert not hangs.spared(LEADER, NOW, hangs.killed_ago_s())


@pytest.mark.parametrize(
    ("me", "voters", "quorum", "leads", "spare"),
    [
        ("a", ("b", "c"), 1, True, True),
        ("a", (), 0, True, False),
        ("b", ("b", "c"), 1, False, True),
        ("b", ("b",), 0, False, False),
        ("b", ("c",), 0, False, True),
    ],
)
def test_what_a_database_is_to_the_cluster(
    me: str, voters: tuple[str, ...], quorum: int, leads: bool, spare: bool
) -> None:
    view = View(Lead("a", 4), Sync("a", voters, quorum, 5))
    assert post_of(Self(me, ("a", "b", "c")), view, NOW) == Post("a", leads, spare, at=NOW)


# Greetings


def local_at(path: Path, pid: int = 1) -> Local:
    made = Local.__new__(Local)
    made.settings = {"database": {"socket": str(path), "knock": KNOCK.hex()}}
    made.pid = pid
    return made


@pytest.fixture
def door(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind(str(tmp_path / "door"))
        made.listen(1)
        yield made


def test_a_process_that_answers_late_is_alive(tmp_path: Path, door: socket.socket) -> None:
    slow = (
        "import socket, sys, time; door = socket.socket(fileno=int(sys.argv[1])); time.sleep(0.8);"
        "call, _ = door.accept(); assert call.recv(8).hex() == sys.argv[2]; call.send(b'N')"
    )
    argv = (sys.executable, "-c", slow, str(door.fileno()), KNOCK.hex())
    with subprocess.Popen(argv, pass_fds=(door.fileno(),)) as answering:
        assert hangs.greets(local_at(tmp_path / "door"), 1, 20.0)
        assert answering.wait(5) == 0


def test_a_process_that_takes_connections_and_says_nothing_hangs(tmp_path: Path, door: socket.socket) -> None:
    begun = time.monotonic()
    assert not hangs.greets(local_at(tmp_path / "door"), 1, 0.75)
    assert time.monotonic() - begun >= 0.75
    waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(3)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(str(tmp_path / "door"))
    begun = time.monotonic()
    assert not hangs.greets(local_at(tmp_path / "door"), 1, 0.75), "so many wait that no further one may"
    assert time.monotonic() - begun >= 0.7
    for each in waiting:
        each.close()


def test_a_process_that_is_gone_does_not_hang(tmp_path: Path, door: socket.socket) -> None:
    assert hangs.greets(local_at(tmp_path / "nowhere"), 1, 5.0)
    assert hangs.greets(local_at(tmp_path / "door", pid=2), 1, 5.0), "another process by now"
    door.close()
    assert hangs.greets(local_at(tmp_path / "door"), 1, 5.0), "nobody listens"


class Bench:
    """A local database as the guards see it, that notes what is said."""

    def __init__(self, folder: Path) -> None:
        self.settings = {"database": {"pid_file": str(folder / "pid")}}
        self.post = replace(LEADER, at=time.monotonic())
        self.unanswered: dict[str, tuple[float, str]] = {}
        self.kills = 0
        self.said: list[str] = []
        self.say = self.said.append


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(hangs, "FOLDER", tmp_path)
    monkeypatch.setattr(hangs, "FILE", tmp_path / "killed.json")
    return Bench(tmp_path)


def test_a_database_that_is_left_alone_is_spoken_of_once_and_shown(bench: Bench) -> None:
    local = cast(Local, bench)
    bench.post = replace(bench.post, paused=True)
    for _ in range(2):
        hangs.kill(local, 1, "greeting", "has greeted nobody for 6 s")
    (sentence,) = bench.said
    assert sentence.endswith("but is left alone: an operator has paused automatic failover")
    assert hangs.hang_status(local)["hang"]["why"] == sentence
    hangs.well(local, "login")
    assert bench.unanswered, "it serves logins, but greets nobody"
    hangs.well(local, "greeting")
    assert hangs.hang_status(local) == {"hang": None, "killed": None}


def test_a_slow_host_is_no_reason_to_kill(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangs, "SLOW_S", 0.0)
    hangs.kill(cast(Local, bench), 1, "greeting", "has greeted nobody for 6 s")
    assert "this host has no time" in bench.said[0]
    assert bench.kills == 0


# The end


@pytest.fixture
def family(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    argv = (sys.executable, "-c", FAMILY)
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as chief:
        assert chief.stdout
        children = [int(line) for line in iter(chief.stdout.readline, "all\n")]
        yield chief, children
        for pid in (chief.pid, *children):
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    return ending._field(pid, "State:") not in ("", "Z")


def test_nothing_of_a_stopped_database_survives(
    bench: Bench, family: tuple[subprocess.Popen[str], list[int]], tmp_path: Path
) -> None:
    chief, children = family
    os.kill(chief.pid, signal.SIGSTOP)
    assert all(alive(pid) for pid in (chief.pid, *children))
    hangs.kill(cast(Local, bench), chief.pid, "greeting", "has greeted nobody for 6 s")
    assert chief.wait(5) == -signal.SIGKILL
    assert not any(alive(pid) for pid in children)
    assert bench.said == [
        f"the database (process {chief.pid}) has greeted nobody for 6 s: killing it, so that a replica takes over",
        f"process {chief.pid} and 3 that it had started were killed",
    ]
    assert bench.kills == 1
    assert hangs.hang_status(cast(Local, bench))["killed"]["why"] == bench.said[0]


def test_a_process_that_is_not_the_databases_is_not_killed(
    family: tuple[subprocess.Popen[str], list[int]], tmp_path: Path
) -> None:
    chief, _ = family
    (tmp_path / "elsewhere").mkdir()
    assert "nothing was killed" in ending.end(chief.pid, tmp_path / "elsewhere" / "pid")
    assert alive(chief.pid)
    chief.kill()
    chief.wait()
    assert "had ended by itself" in ending.end(chief.pid, tmp_path / "pid")


def test_nobody_holds_a_process_without_a_debugger() -> None:
    assert ending.held(os.getpid()) == ""


# What is told


def status(more: str) -> Output:
    fields = '"at": 99, "name": "a", "leader": "a", "acts": true, "silent": [], "mute_s": 0, "why": "", "fence": null'
    fields += ', "secluded_s": 0'
    return Output(0, f"100\n{{{fields}{more}}}", "")


def test_a_hang_that_is_left_alone_degrades_and_a_kill_is_remembered() -> None:
    hung = read_watch(status(', "hang": {"since": "today", "why": "it greets nobody"}, "killed": null'))
    assert (hung.state, hung.reason) == (State.DEGRADED, "since today: it greets nobody")
    killed = read_watch(status(', "hang": null, "killed": {"at": 90, "since": "today", "why": "it hung"}'))
    assert (killed.state, killed.reason) == (State.OK, "at today: it hung")
    assert killed.facts["killed"] == "today"
    old = read_watch(status(', "hang": null, "killed": {"at": -9000, "since": "long ago", "why": "it hung"}'))
    assert old.reason == ""


def test_a_dead_process_that_nobody_has_collected_is_waited_for() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    collected: list[float] = []

    def collect() -> None:
        time.sleep(COLLECTED_S / 5)
        collected.append(time.monotonic())
        child.wait()

    parent = threading.Thread(target=collect)
    parent.start()
    until_collected(child.pid)
    assert collected, "it was not waited for"
    assert time.monotonic() - collected[0] < COLLECTED_S / 2
    parent.join()


def test_a_dead_process_that_is_never_collected_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    begun = time.monotonic()
    until_collected(7, tmp_path)
    assert time.monotonic() - begun >= COLLECTED_S
