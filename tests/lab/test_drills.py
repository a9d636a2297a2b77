"""Drills as an operator runs them: one that is kept, one that must be broken, and one that is broken off."""

import json
import signal
import time
from pathlib import Path

import pytest

from holdfast.lab.lab import lab_obstacle
from lab.cluster import LabCluster
from lab.figures import Measured
from lab.traces import nft_tables

pytestmark = pytest.mark.lab
UNSAFE = 4
INTERRUPTED = 130


def newest_run(cluster: LabCluster) -> Path:
    return max((cluster.folder / ".holdfast/runs").glob("*-drill-*"))


def test_a_drill_counts_and_keeps_everything(cluster: LabCluster, measured: Measured) -> None:
    record = json.loads(cluster.holdfast("drill", "run", "leader-crash", "--seed", "7", "-o", "json").stdout)
    assert record["verdict"] == "kept", record["reason"]
    assert record["struck"][0]["bit"]
    paths = {each["name"]: each for each in record["paths"]}
    assert paths["write order"]["lost"] == paths["sql write"]["lost"] == 0
    assert paths["sql write"]["acknowledged"] > 0
    measured("longest gap between acknowledged orders (s)", paths["write order"]["longest_gap_s"])
    measured("longest gap between SQL writes (s)", paths["sql write"]["longest_gap_s"])
    assert record["phases_s"].keys() >= {"detect", "promote"}
    run = newest_run(cluster)
    told = [path for path in run.rglob("*") if path.is_file()]
    assert {"report.md", "report.html", "junit.xml", "proof.json"} <= {path.name for path in told}
    assert {"record.json", "history.jsonl", "chaos-journal.json"} <= {path.name for path in told}
    for path in told:
        cluster.refuse_secrets(path.read_text(), path.name)


def test_a_cluster_that_replicates_without_waiting_is_caught(cluster: LabCluster, measured: Measured) -> None:
    cluster.edit("durability: availability", "durability: performance")
    cluster.holdfast("apply", "-y")
    try:
        done = cluster.holdfast(
            "drill", "run", "leader-isolated-with-clients", "--seed", "7", "-o", "json", expect=UNSAFE
        )
        record = json.loads(done.stdout)
        lost = next(each for each in record["findings"] if each["rule"] == "sql: lost")
        assert lost["verdict"] == "broken", lost
        measured("acknowledged and lost without waiting for a standby", lost["text"])
    finally:
        cluster.edit("durability: performance", "durability: availability")
        cluster.ready()
        cluster.holdfast("apply", "-y")


def test_a_drill_that_is_broken_off_heals_first(cluster: LabCluster) -> None:
    before = set(nft_tables())
    with cluster.running("drill", "run", "leader-standby-cut", "-y") as drill:
        begun = time.monotonic()
        while set(nft_tables()) == before:
            assert drill.poll() is None, drill.stderr and drill.stderr.read()
            assert time.monotonic() - begun < 60, "nothing was cut"
            time.sleep(0.1)
        time.sleep(1)
        drill.send_signal(signal.SIGINT)
        assert drill.wait(timeout=60) == INTERRUPTED
    assert set(nft_tables()) == before
    cluster.ready()


def test_what_is_no_drill_is_refused(cluster: LabCluster) -> None:
    assert "known: " in cluster.holdfast("drill", "run", "flood", expect=2).stderr


def test_real_servers_are_left_alone_unless_the_file_allows_it(cluster: LabCluster, tmp_path: Path) -> None:
    assert lab_obstacle() is None
    other = LabCluster(tmp_path, cluster.spec.replace("name: proof", "name: elsewhere").replace("10.80.0", "10.81.0"))
    (tmp_path / "examples").symlink_to(cluster.folder / "examples")
    assert "does not allow drills" in other.holdfast("drill", "run", "leader-crash", "-y", expect=1).stderr
