"""Converging real machines: nothing twice, drift, stale plans, the lock, and applies that are cut off."""

import json
import re
import signal
import subprocess
import time

import pytest

from lab.cluster import LabCluster
from lab.figures import Measured

pytestmark = pytest.mark.lab

EDGE = "/etc/nginx/nginx.conf"
APP_UNIT = "/etc/systemd/system/app.service"
LEDGER = "/var/lib/holdfast/ledger.json"


def plan(cluster: LabCluster) -> list[dict[str, str]]:
    """Return the changes that are planned."""
    return list(cluster.data("plan")["changes"])


def scribble(cluster: LabCluster, host: str, path: str) -> None:
    """Change a file as a person does who thinks that nobody will mind."""
    cluster.inside(host, "tee", "--append", path, stdin="# by hand\n")


def give_app(cluster: LabCluster, value: str) -> None:
    """Change the environment of the application: each of its hosts must be restarted for that."""
    text = re.sub(r" environment: \{TRIED: \w+\},", "", cluster.file.read_text())
    cluster.file.write_text(text.replace("-m shop,", f"-m shop, environment: {{TRIED: {value}}},"))


def since(cluster: LabCluster) -> dict[str, str]:
    """Return since when every unit of the design runs, by host."""
    argv = ("systemctl", "show", "--property=Id,ActiveEnterTimestampMonotonic", *cluster.design.units())
    return {host: cluster.inside(host, *argv) for host in cluster.hosts}


def wait_for_line(process: "subprocess.Popen[str]", pattern: str) -> str:
    """Read what a verb says until a line fits; return the line."""
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if re.search(pattern, line):
            return line
    raise AssertionError(f"{pattern!r} never came:\n{''.join(said)}")


def test_a_second_apply_changes_nothing(cluster: LabCluster) -> None:
    before = since(cluster)
    assert plan(cluster) == []
    cluster.holdfast("apply", "-y")
    assert since(cluster) == before
    assert cluster.holdfast("diff").stdout.count("nginx") == 0


def test_drift_is_shown_and_repaired(cluster: LabCluster) -> None:
    scribble(cluster, "b", EDGE)
    cluster.inside("c", "systemctl", "stop", "haproxy.service")
    shown = cluster.data("diff", expect=6)["changes"]
    assert {(each["member"], each["key"]) for each in shown} == {
        ("nginx@b", f"file:{EDGE}"),
        ("haproxy@c", "unit:haproxy.service"),
    }
    assert "-# by hand" in cluster.holdfast("diff", expect=6).stdout
    cluster.holdfast("apply", "-y")
    assert "by hand" not in cluster.inside("b", "cat", EDGE)
    assert cluster.inside("c", "systemctl", "is-active", "haproxy.service") == "active\n"
    cluster.holdfast("diff")
    assert plan(cluster) == []


def test_a_stale_plan_is_refused_and_says_what_changed(cluster: LabCluster) -> None:
    saved = str(cluster.folder / "saved-plan.json")
    scribble(cluster, "a", EDGE)
    cluster.holdfast("plan", "--out", saved)
    scribble(cluster, "b", EDGE)
    refused = cluster.holdfast("apply", saved, expect=1)
    assert "stale" in refused.stderr
    assert re.search(rf"new: ~ nginx@b .*{EDGE}", refused.stderr)
    assert "by hand" in cluster.inside("a", "cat", EDGE)
    cluster.holdfast("plan", "--out", saved)
    cluster.holdfast("apply", saved)
    assert plan(cluster) == []


def test_two_operators_do_not_meet(cluster: LabCluster) -> None:
    give_app(cluster, "locked")
    with cluster.running("apply", "-y") as first:
        wait_for_line(first, r"draining app@")
        second = cluster.holdfast("apply", "-y", expect=75)
        assert re.search(r"locked: \w+ on \S+ runs 'holdfast apply' since \d{4}-", second.stderr)
        first.communicate(timeout=120)
        assert first.returncode == 0
    assert plan(cluster) == []


def test_a_killed_apply_is_resumed(cluster: LabCluster, measured: Measured) -> None:
    give_app(cluster, "killed")
    with cluster.customers() as shop:
        shop.shop_calmly(for_s=1)
        with cluster.running("apply", "-y") as process:
            wait_for_line(process, r"restart app\.service")
            process.send_signal(signal.SIGKILL)
        begun = time.monotonic()
        assert plan(cluster) != []
        cluster.holdfast("apply", "-y")
        measured("resumed and done after (s)", time.monotonic() - begun)
        shop.shop_calmly(for_s=1)
    shop.assert_nothing_lost()
    with measured.in_time():
        assert shop.failed_requests() == {}
    assert plan(cluster) == []
    environments = [cluster.inside(host, "cat", "/etc/holdfast/app.env") for host in cluster.hosts]
    assert all("killed" in each for each in environments)
    assert [run["result"] for run in cluster.data("history")["runs"]][-2:] == ["", "done"]
    # Whoever was out of use when the apply was killed is in use again.
    assert cluster.drained() == ""


def test_what_the_design_gives_up_is_removed_if_it_is_ours_and_unchanged(cluster: LabCluster) -> None:
    scribble(cluster, "c", APP_UNIT)
    cluster.edit("app: {hosts: [a, b, c]", "app: {hosts: [a, b]")
    told = cluster.holdfast("apply", "-y").stdout
    assert re.search(rf"c: {APP_UNIT} is no longer in the design but was changed by hand", told)
    assert cluster.inside("c", "systemctl", "is-active", "app.service", check=False) == "inactive\n"
    assert cluster.inside("c", "find", "/etc/holdfast/app.env", check=False) == ""
    assert "# by hand" in cluster.inside("c", "cat", APP_UNIT)
    cluster.ready()
    assert plan(cluster) == []
    cluster.edit("app: {hosts: [a, b]", "app: {hosts: [a, b, c]")
    cluster.holdfast("apply", "-y")
    cluster.ready()
    assert plan(cluster) == []
    assert "# by hand" not in cluster.inside("c", "cat", APP_UNIT)


@pytest.mark.parametrize(("connections", "switches"), [(230, True), (170, False)], ids=["more", "less"])
def test_a_restart_of_the_database_rolls_under_load(
    cluster: LabCluster, measured: Measured, connections: int, *, switches: bool
) -> None:
    """For more, the leader restarts last, after a switchover; for less it has to be first, where it is: one pause."""
    words = f"early_failover: true, parameters: {{max_connections: {connections}}}}}"
    cluster.file.write_text(cluster.spec.replace("early_failover: true}", words))
    with cluster.customers() as shop:
        shop.shop_calmly()
        done = cluster.holdfast("apply", "-y")
        shop.shop_calmly()
    assert "interrupts nothing" not in done.stdout
    assert ("switchover: postgres@" in done.stderr) is switches
    pauses = shop.write_pauses_s(longer_than_s=1.0)
    measured("pauses of orders over 1 s (s)", ", ".join(f"{each:.2f}" for each in pauses) or "none")
    measured("longest gap between reads (s)", shop.reads_gap_s())
    measured("longest gap between acknowledged orders (s)", shop.writes_gap_s())
    measured("failed requests", shop.failures())
    measured("acknowledged orders, none lost", shop.assert_nothing_lost())
    ask = ("runuser", "-u", "postgres", "--", "psql", "-Atc", "show max_connections")
    assert [cluster.inside(host, *ask) for host in cluster.hosts] == [f"{connections}\n"] * 3
    assert plan(cluster) == []
    with measured.in_time():
        assert len(pauses) <= 1
        shop.assert_gaps(reads_s=2.0, writes_s=5.0)


def test_a_configuration_that_the_engine_refuses_never_arrives(cluster: LabCluster) -> None:
    path = "/etc/keepalived/keepalived.conf"
    before = [cluster.inside(host, "sha256sum", path) for host in cluster.hosts]
    holder = cluster.status()["vip_holder"]
    cluster.edit("vip: 10.80.0.100", "vip: 10.80.0.100, interface: eth9")
    refused = cluster.holdfast("apply", "-y", expect=1)
    assert "refuses its new configuration (the old files are back)" in refused.stderr
    assert "eth9" in refused.stderr
    assert [cluster.inside(host, "sha256sum", path) for host in cluster.hosts] == before
    assert cluster.status()["vip_holder"] == holder
    cluster.ready()
    cluster.edit("vip: 10.80.0.100, interface: eth9", "vip: 10.80.0.100")
    cluster.holdfast("apply", "-y")
    assert plan(cluster) == []
    # The files that were put back are still known as ours: their drift shows, and they can be removed.
    for host in cluster.hosts:
        assert path in json.loads(cluster.inside(host, "cat", LEDGER))["files"]
