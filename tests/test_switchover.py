"""How the leader of the database gives its role away: when its replicas may elect, and how it is stopped."""

import io
import json
import signal
import subprocess
import threading
import time
import urllib.error
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from sqlkit import script


def cluster_of(**standbys: dict[str, Any]) -> dict[str, Any]:
    """What Patroni answers when a leads; every standby streams and is a voter if nothing else is said."""
    well = {"role": "quorum_standby", "state": "streaming", "lag": 0}
    others = [well | {"name": name} | said for name, said in standbys.items()]
    return {"members": [{"name": "a", "role": "leader", "state": "running"}, *others]}


QUORUM = {"synchronous_mode": "quorum", "primary_start_timeout": 0}


@pytest.mark.parametrize(
    ("cluster", "config", "candidate", "words"),
    [
        (cluster_of(b={}, c={}), QUORUM, None, ""),
        (cluster_of(b={}), QUORUM, "b", ""),
        (cluster_of(b={}, c={"role": "replica"}), QUORUM, None, ""),
        (cluster_of(b={"role": "replica"}), QUORUM | {"synchronous_mode": False}, None, ""),
        (cluster_of(b={}, c={}) | {"pause": True}, QUORUM, None, "paused"),
        (cluster_of(b={}, c={}), QUORUM | {"primary_start_timeout": 300}, None, "started again"),
        (cluster_of(b={}, c={"state": "running"}), QUORUM, None, "not all replicas"),
        (cluster_of(b={"role": "replica"}), QUORUM, None, "not all replicas"),
        (cluster_of(), QUORUM, None, "not all replicas"),
        (cluster_of(b={}, c={"lag": 2**30}), QUORUM, None, "far behind"),
        (cluster_of(b={}, c={"lag": "unknown"}), QUORUM, None, "far behind"),
        (cluster_of(b={}, c={}), QUORUM, "b", ""),
        (cluster_of(b={}, c={"role": "replica"}), QUORUM, "c", "c has no vote"),
    ],
)
def test_replicas_elect_only_when_each_has_all(
    cluster: dict[str, Any], config: dict[str, Any], candidate: str | None, words: str
) -> None:
    why = script("postgres", "member")["why_not_elect"](cluster, config, "a", candidate)
    assert words in why
    assert bool(why) is bool(words)


def stop_and(rules: list[str]) -> Callable[..., float]:
    """Return the script's `stop`, with packet rules that are noted instead of loaded."""
    stop = script("postgres", "member")["stop"]
    stop.__globals__["rules"] = rules.append
    found: Callable[..., float] = stop
    return found


def notes(pid: int, folder: Path) -> str:
    """What a postmaster writes down about itself: its number, its folder, when it started, its port."""
    return f"{pid}\n{folder}\n1795302497\n5433\n"


def test_a_leader_is_stopped_by_its_own_number_only(tmp_path: Path) -> None:
    rules: list[str] = []
    stop = stop_and(rules)
    file = tmp_path / "postmaster.pid"
    with subprocess.Popen(("sleep", "60"), cwd=tmp_path) as postmaster, subprocess.Popen(("sleep", "60")) as other:
        file.write_text(notes(other.pid, tmp_path))
        with pytest.raises(SystemExit, match="is none of the database"):
            stop(str(tmp_path))
        assert other.poll() is None
        assert rules == []
        other.kill()
        file.write_text(notes(postmaster.pid, tmp_path))
        assert stop(str(tmp_path)) < 5
        assert postmaster.wait(5) == -signal.SIGINT
        assert "{ 5433 timeout 15s }" in rules[0]
        assert rules[1:] == ["delete table inet holdfast_handover"]
    # It is gone, with or without its file.
    assert stop(str(tmp_path)) < 5
    file.unlink()
    assert stop(str(tmp_path)) < 5


def test_a_leader_that_stopped_is_gone_only_when_it_was_collected(tmp_path: Path) -> None:
    with subprocess.Popen(("sleep", "60"), cwd=tmp_path) as postmaster:
        (tmp_path / "postmaster.pid").write_text(notes(postmaster.pid, tmp_path))
        collector = threading.Timer(0.1, postmaster.wait)
        collector.start()
        stop_and([])(str(tmp_path))
        assert not Path(f"/proc/{postmaster.pid}").exists()
        collector.join()


def test_a_leader_is_stopped_without_packet_rules_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nft = tmp_path / "nft"
    with subprocess.Popen(("sleep", "60"), cwd=tmp_path) as postmaster:
        (tmp_path / "postmaster.pid").write_text(notes(postmaster.pid, tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        assert script("postgres", "member")["stop"](str(tmp_path)) < 5
        assert postmaster.wait(5) == -signal.SIGINT
    assert "No such file or directory: 'nft'" in capsys.readouterr().out
    nft.write_text("#!/bin/sh\necho not permitted >&2\nexit 1\n")
    nft.chmod(0o755)
    script("postgres", "member")["rules"]("")
    assert "not permitted" in capsys.readouterr().out


def test_other_replicas_are_hung_up_on_when_no_new_connection_is_taken(tmp_path: Path) -> None:
    stop = stop_and([])
    file, ended = tmp_path / "postmaster.pid", tmp_path / "ended"
    # A postmaster that notes 0.2 s after the signal that it stops, and ends when its child has ended.
    child = f"trap 'cp {file} {ended}; exit' TERM; while :; do sleep 0.01; done"
    chief = f"trap 'sleep 0.2; echo stopping >> {file}; wait; exit' INT; (trap '' INT; {child}) & echo $! >&2; wait"
    with subprocess.Popen(("bash", "-c", chief), cwd=tmp_path, stderr=subprocess.PIPE, text=True) as postmaster:
        assert postmaster.stderr
        sender = int(postmaster.stderr.readline())
        file.write_text(notes(postmaster.pid, tmp_path))
        took_s = stop(str(tmp_path), [sender, 2**22 - 7])
    assert "stopping" in ended.read_text()
    assert 0.2 <= took_s < 8


class Patroni:
    """Patroni's API where a leads, b and c vote, and `heir` leads from the second PATCH (or the POST) on."""

    def __init__(self, heir: str, **cluster: Any) -> None:
        self.heir, self.extra = heir, cluster
        self.deeds: list[str] = []

    def ask(self, path: str, method: str = "GET", body: Any = None, timeout: float = 5) -> Any:
        if method != "GET":
            self.deeds.append(f"{method} {path}")
        answers = {"/patroni": {"patroni": {"name": "a"}}, "/config": QUORUM, "/cluster": self.cluster()}
        return answers.get(path)

    def try_to_ask(self, path: str) -> Any:
        return self.ask(path)

    def cluster(self) -> dict[str, Any]:
        found = cluster_of(b={}, c={}) | self.extra
        if "POST /switchover" in self.deeds or self.deeds.count("PATCH /config") == 2:
            a = {"name": "a", "role": "replica", "state": "streaming"}
            found["members"] = [a, {"name": self.heir, "role": "leader", "state": "running"}]
        return found


def switch(patroni: Patroni, candidate: str | None = None) -> list[str]:
    """Run the script's switchover with a database made of words; return what it did, in order."""
    main = script("postgres", "member")["switchover"]

    def sql(text: str, **values: str) -> str:
        if "CHECKPOINT" in text:
            patroni.deeds.append("checkpoint")
            return ""
        # One process sends to each replica.
        return "".join(f"{number}\n" for number, name in ((71, "b"), (72, "c")) if name != values["heir"])

    def stop(data: str, others: list[int]) -> float:
        patroni.deeds.append(f"stop {data}" + "".join(f", hang up {pid}" for pid in others))
        return 0.1

    main.__globals__.update(sql=sql, stop=stop, LOOK_S=0.0)
    main(patroni, "/data", candidate)
    return patroni.deeds


def test_the_leader_is_stopped_between_two_looks_of_its_manager() -> None:
    assert switch(Patroni("b")) == ["checkpoint", "PATCH /config", "stop /data", "PATCH /config"]


def test_a_wanted_heir_alone_gets_the_last_of_the_log() -> None:
    deeds = ["checkpoint", "PATCH /config", "stop /data, hang up 71", "PATCH /config"]
    assert switch(Patroni("c"), "c") == deeds
    with pytest.raises(SystemExit, match="b was elected, not c"):
        switch(Patroni("b"), "c")


def test_nobody_is_stopped_while_nobody_may_be_elected() -> None:
    assert switch(Patroni("b", pause=True)) == ["checkpoint", "POST /switchover"]


def test_a_member_that_does_not_lead_changes_nothing() -> None:
    patroni = Patroni("b")
    patroni.deeds.append("POST /switchover")
    assert switch(patroni) == ["POST /switchover"]


class Dcs:
    """A Patroni whose dcs refuses the first writes with a code."""

    url = "https://10.5.0.1:8008"

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.config: dict[str, Any] = {"ttl": 30, "pause": True}

    def ask(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> dict[str, Any]:
        assert path == "/config"
        if method == "PUT" and self.codes:
            raise urllib.error.HTTPError(path, self.codes.pop(0), "refused", Message(), io.BytesIO())
        self.config = self.config if body is None else body
        return self.config

    def try_to_ask(self, path: str) -> dict[str, Any]:
        well = {"role": "leader", "state": "running"}
        return {"members": [well]} if path == "/cluster" else well


def test_a_dcs_without_a_leader_is_waited_for_by_who_configures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dynamic.json").write_text(json.dumps({"ttl": 20}))
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    api = Dcs(502, 503)
    script("postgres", "member")["configure"](api, str(tmp_path / "dynamic.json"))
    assert api.config == {"ttl": 20, "pause": True}, "and the operator's pause stays"
    assert slept == [0.25, 0.25, 3]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        script("postgres", "member")["configure"](Dcs(400), str(tmp_path / "dynamic.json"))
