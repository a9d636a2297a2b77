"""How the leader of the database gives its role away: when its replicas may elect, and how it is stopped."""

import signal
import subprocess
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


def test_a_leader_is_stopped_by_its_own_number_only(tmp_path: Path) -> None:
    stop = script("postgres", "member")["stop"]
    file = tmp_path / "postmaster.pid"
    with subprocess.Popen(("sleep", "60"), cwd=tmp_path) as postmaster, subprocess.Popen(("sleep", "60")) as other:
        file.write_text(f"{other.pid}\n{tmp_path}\n")
        with pytest.raises(SystemExit, match="is no postmaster of"):
            stop(str(tmp_path))
        assert other.poll() is None
        other.kill()
        file.write_text(f"{postmaster.pid}\n{tmp_path}\n")
        assert stop(str(tmp_path)) < 5
        assert postmaster.wait(5) == -signal.SIGINT
