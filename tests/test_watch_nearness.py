"""The database's manager is turned back to its own host's dcs member: when, by what, and when not."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.components.watcher.service import nearness
from holdfast.components.watcher.service.fencing import FenceError
from holdfast.components.watcher.service.nearness import connected, rules, sent_to, turn_back
from holdfast.components.watcher.service.upkeep import Local
from holdfast.components.watcher.service.words import Post

B, C = ("10.78.3.12", 2379), ("10.78.3.13", 2379)
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
# As the kernel of a machine with the lower byte first writes them.
TO_B = "   0: 0B034E0A:C1B2 0C034E0A:094B {state} 00000000:00000000 00:00000000 00000000  {uid}        0 4711 1"
OTHER_PORT = "   1: 0B034E0A:C1B4 0C034E0A:1538 01 00000000:00000000 00:00000000 00000000   105        0 4712 1"
LISTENS = "   2: 00000000:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 4713 1"


def listed(folder: Path, *lines: str) -> Path:
    (folder / "tcp").write_text("\n".join((HEAD, *lines)) + "\n")
    return folder / "tcp"


@pytest.mark.skipif(sys.byteorder != "little", reason="the kernel writes addresses the other way round")
def test_a_manager_has_strayed_when_its_own_user_is_connected_to_a_member_far_away(tmp_path: Path) -> None:
    far = frozenset({B, C})
    away = listed(tmp_path, TO_B.format(state="01", uid="105"), OTHER_PORT, LISTENS)
    assert connected(away, 105, far) == {B}
    # Connections of others, and of this service, are nobody's business; one that is being opened or closed is none.
    assert connected(away, 0, far) == frozenset()
    assert connected(listed(tmp_path, TO_B.format(state="06", uid="105"), OTHER_PORT), 105, far) == frozenset()
    assert connected(tmp_path / "none", 105, far) == frozenset()


def test_a_connection_that_was_left_open_and_is_not_used_does_not_count() -> None:
    line = "0 0 10.78.3.12:51674 10.78.3.1{to}:2379 timer:(keepalive,1.5sec,0) uid:{uid} ino:1 <-> ts {last} rtt:5/10"
    used, left = line.format(to=3, uid=104, last="lastsnd:320"), line.format(to=1, uid=104, last="lastsnd:9100")
    other, this_moment = line.format(to=4, uid=103, last="lastsnd:10"), line.format(to=5, uid=104, last="")
    assert sent_to("\n".join((used, left, other, this_moment)), 104) == {C, ("10.78.3.15", 2379)}
    assert sent_to("", 104) == frozenset()


def test_what_is_refused_is_one_user_two_addresses_and_a_moment() -> None:
    text = rules(frozenset({B, C}), 105)
    assert "elements = { 10.78.3.12 . 2379 timeout 2s, 10.78.3.13 . 2379 timeout 2s }" in text
    assert "meta skuid 105 " in text
    assert "reject with tcp reset" in text
    assert text.startswith("add table inet holdfast_nearness\ndelete table inet holdfast_nearness\n")


class Host:
    """A host whose manager is connected to ``away``; it turns back when the rules say so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.away, self.well, self.loaded, self.said = frozenset({B}), True, list[str](), list[str]()
        self.looks, self.slept, self.stubborn, self.strays_at = 0, list[float](), False, set[int]()
        store = {"near": "https://127.0.0.1:2379", "far": ["https://10.78.3.12:2379", "https://10.78.3.13:2379"]}
        settings = {"store": store, "database": {"pid_file": str(tmp_path / "postmaster.pid")}}
        self.local = Local(settings, cast("Any", None), self.said.append)
        self.local.post = Post(at=time.monotonic(), leader="c")
        monkeypatch.setattr(nearness, "asked", lambda *_: self.away)
        monkeypatch.setattr(nearness, "_is_well", lambda *_: self.well)
        monkeypatch.setattr(nearness, "load_rules", self.load)
        # Its own clock only: threads of other tests in this process sleep, too.
        monkeypatch.setattr(nearness, "time", SimpleNamespace(sleep=self.sleep, monotonic=time.monotonic))

    def load(self, text: str) -> None:
        self.loaded.append(text)
        self.away = self.away if self.stubborn else frozenset()

    def sleep(self, length_s: float) -> None:
        """A quarter of a minute is enough to see."""
        self.slept.append(length_s)
        self.looks += 1
        if self.looks in self.strays_at:
            self.away = frozenset({B})
        if self.looks > 8:
            raise KeyboardInterrupt

    def watched(self) -> "Host":
        with pytest.raises(KeyboardInterrupt):
            nearness.keep_manager_near(self.local)
        return self


def test_it_is_turned_back_once_and_the_rules_are_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = Host(monkeypatch, tmp_path).watched()
    assert [text.count("reject") for text in host.loaded] == [1, 0]
    assert len(host.said) == 1
    assert "asks the dcs of 10.78.3.12, though this host's is well" in host.said[0]
    assert host.local.turns == 1


def test_one_that_strays_again_is_turned_back_again_and_one_that_cannot_be_is_left_alone_for_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = Host(monkeypatch, tmp_path)
    # After two looks and the refusal it has come back; then its own member fails once more.
    host.strays_at = {4}
    assert host.watched().local.turns == 2
    assert nearness.REST_S not in host.slept
    host = Host(monkeypatch, tmp_path)
    host.stubborn = True
    host.watched()
    assert host.slept[3] == nearness.REST_S


def test_it_is_left_alone_in_an_election_and_while_its_own_member_is_not_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = Host(monkeypatch, tmp_path)
    host.well = False
    assert host.watched().loaded == []
    for post in (Post(at=time.monotonic(), leader=""), Post(at=time.monotonic() - 60, leader="c")):
        host = Host(monkeypatch, tmp_path)
        host.local.post = post
        assert host.watched().loaded == []


def test_a_host_without_a_member_of_its_own_has_nowhere_to_turn_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = Host(monkeypatch, tmp_path)
    host.local.settings["store"]["near"] = ""
    nearness.keep_manager_near(host.local)
    assert host.loaded == []


def test_rules_that_cannot_be_loaded_are_told_and_end_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(_text: str) -> None:
        raise FenceError("no such table")

    host = Host(monkeypatch, tmp_path)
    monkeypatch.setattr(nearness, "load_rules", fails)
    turn_back(host.local, frozenset({B}))
    assert host.said[1:] == ["the database's manager could not be turned back: no such table"]
