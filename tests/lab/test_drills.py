"""Drills as an operator runs them: one that is kept, one that must be broken, and one that is broken off."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast.lab.lab import lab_obstacle
from lab.cluster import CLI, LabCluster
from lab.figures import Measured
from lab.traces import nft_tables
from patience import LossError

pytestmark = pytest.mark.lab
UNSAFE = 4
UNKNOWN = 5
INTERRUPTED = 130
# What the shop promises never to lose; a cache is none of it.
SAFE = ("write order", "sql write")
# The first fault of `lossy-leader` lasts 20 s, and its dead man's switch waits a minute longer.
SWITCHED_WITHIN_S = 85.0


def newest_run(cluster: LabCluster) -> Path:
    return max((cluster.folder / ".holdfast/runs").glob("*-drill-*"))


def test_a_drill_counts_and_keeps_everything(cluster: LabCluster, measured: Measured) -> None:
    record = played(cluster, measured, "leader-crash")
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


def wait_for_fault(drill: "subprocess.Popen[str]", before: set[str]) -> float:
    """Wait until a drill has made a table of its own on this computer; return when (s, monotonic)."""
    begun = time.monotonic()
    while set(nft_tables()) == before:
        assert drill.poll() is None, drill.stderr and drill.stderr.read()
        assert time.monotonic() - begun < 60, "nothing was cut"
        time.sleep(0.1)
    return time.monotonic()


def test_a_drill_that_is_broken_off_heals_first(cluster: LabCluster) -> None:
    before = set(nft_tables())
    with cluster.running("drill", "run", "leader-standby-cut", "-y") as drill:
        wait_for_fault(drill, before)
        time.sleep(1)
        drill.send_signal(signal.SIGINT)
        assert drill.wait(timeout=60) == INTERRUPTED
    assert set(nft_tables()) == before
    cluster.ready()


def test_a_drill_that_is_killed_is_healed_by_its_dead_mans_switch(cluster: LabCluster, measured: Measured) -> None:
    before = set(nft_tables())
    with cluster.running("drill", "run", "lossy-leader", "-y") as drill:
        struck = wait_for_fault(drill, before)
        time.sleep(1)
        drill.kill()
        drill.wait(timeout=10)
    assert set(nft_tables()) != before, "nothing was in force any more"
    while set(nft_tables()) != before:
        assert time.monotonic() - struck < SWITCHED_WITHIN_S, "the switch did not undo it"
        time.sleep(0.2)
    measured("a killed drill's fault was undone by its switch after (s)", time.monotonic() - struck)
    cluster.ready()
    played(cluster, measured, "app-kill")


def test_a_drill_stops_when_no_write_succeeds_for_too_long(cluster: LabCluster, measured: Measured) -> None:
    text = cluster.file.read_text()
    cluster.file.write_text(f"{text}\ndrills: {{stop_after: 3s}}\n")
    try:
        # Without a quorum the leader gives up: nobody writes until the faults are undone.
        record = played(cluster, measured, "dcs-quorum-lost-and-replica", expect=UNKNOWN)
    finally:
        cluster.file.write_text(text)
    assert "stopped: no write was acknowledged for 3 s" in [each["measured"] for each in record["promises"]]
    held_s = max(each["to_s"] - each["from_s"] for each in record["struck"])
    measured("stopped and healed after (s)", held_s)
    with measured.in_time():
        assert held_s < 35, "it was held for its 40 s although the drill was stopped"
    cluster.ready()


@pytest.mark.parametrize("name", ["bad-release", "leader-crash-during-apply"])
def test_a_drill_during_an_operation_leaves_the_cluster_as_it_was(
    cluster: LabCluster, measured: Measured, name: str
) -> None:
    folder = cluster.folder / ".holdfast"
    releases = (folder / "release").read_text(), sorted(path.name for path in (folder / "releases").iterdir())
    record = played(cluster, measured, name)
    (deed,) = [each["text"] for each in record["moments"] if each["kind"] == "deed"]
    assert " took " in deed, deed
    assert ("refused" in deed) == (name == "bad-release"), deed
    measured(name, deed)
    assert record["by_hand"] == ""
    assert cluster.data("plan")["changes"] == []
    assert cluster.drained() == ""
    after = (folder / "release").read_text(), sorted(path.name for path in (folder / "releases").iterdir())
    assert after == releases


def played(cluster: LabCluster, measured: Measured, name: str, expect: int = 0) -> dict[str, Any]:
    """Run a drill and return its record."""
    done = cluster.holdfast("drill", "run", name, "--seed", "7", "-o", "json", expect=None, timeout_s=400)
    assert done.returncode in (0, 4, 5), done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    if lost := {path["name"]: path["lost"] for path in record["paths"] if path["lost"] and path["name"] in SAFE}:
        raise LossError(lost)
    # A cache may lose what it was in the middle of, and on a computer without processors that is much.
    broken = {each["rule"]: each["text"] for each in record["findings"] if each["verdict"] == "broken"}
    if unsafe := {rule: text for rule, text in broken.items() if not rule.startswith("cache")}:
        raise LossError(unsafe)
    with measured.in_time():
        assert done.returncode == expect, (record["reason"], record["by_hand"], record["promises"], record["struck"])
    return record


def test_what_is_no_drill_is_refused(cluster: LabCluster) -> None:
    assert "known: " in cluster.holdfast("drill", "run", "flood", expect=2).stderr


def test_real_servers_are_left_alone_unless_the_file_allows_it(cluster: LabCluster, tmp_path: Path) -> None:
    assert lab_obstacle() is None
    other = LabCluster(tmp_path, cluster.spec.replace("name: proof", "name: elsewhere").replace("10.80.0", "10.81.0"))
    (tmp_path / "examples").symlink_to(cluster.folder / "examples")
    assert "does not allow drills" in other.holdfast("drill", "run", "leader-crash", "-y", expect=1).stderr


def test_real_servers_are_drilled_over_ssh_alone(cluster: LabCluster, tmp_path: Path) -> None:
    """From a computer that cannot make a lab: all that it has is the folder, and SSH."""
    folder = tmp_path / "copied"
    shutil.copytree(cluster.folder, folder, symlinks=True)
    file = folder / "cluster.yaml"
    file.write_text(f"{file.read_text()}\ndrills: {{allowed: true}}\n")
    assert "say --yes" in elsewhere(cluster, file, "leader-crash", expect=1).stderr
    refused = elsewhere(cluster, file, "leader-power-off", "-y", expect=1).stderr
    assert "needs what lies under the machines (power): only a lab has it" in refused
    done = elsewhere(cluster, file, "leader-crash", "-y", "--seed", "7", "-o", "json")
    record = json.loads(done.stdout)
    assert record["verdict"] == "kept", record["reason"]
    assert record["struck"][0]["bit"]
    schemas = ("runuser", "-u", "postgres", "--", "psql", "-Atc", "select nspname from pg_namespace", "app")
    assert "holdfast_drill" not in cluster.inside(cluster.leader("postgres"), *schemas)
    proof = json.loads(max((folder / ".holdfast/runs").glob("*-drill-*/proof.json")).read_text())
    assert "real servers" in proof["machine"]


def elsewhere(cluster: LabCluster, file: Path, *words: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run a drill of a cluster file on a computer without the programs that a lab needs."""
    argv = [*CLI, "drill", "run", *words, "--file", str(file)]
    environment = {**os.environ, "PATH": str(file.parent / "no-programs")}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=240, check=False)
    cluster.refuse_secrets(done.stdout + done.stderr, " ".join(words))
    assert done.returncode == expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
