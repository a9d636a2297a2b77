"""What an operator sees: status, pictures, history; and what nobody may see: secrets."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lab.cluster import KEPT_LAB, LabCluster, describe
from lab.figures import Measured

pytestmark = pytest.mark.lab

READABLE = ("-xdev", "-type", "f", "-perm", "-o=r", "-exec", "cat", "{}", "+")
# Runs in a machine: the places where a secret could have slipped to.
TALK = {
    "process list": ("ps", "auxww"),
    "journal": ("journalctl", "--no-pager", "--output=cat"),
    "log files": ("find", "/var/log", "-type", "f", "-name", "*.log*", "-exec", "cat", "{}", "+"),
    "world-readable files": ("find", "/etc", "/run", "/var/lib/holdfast", *READABLE),
}


def test_status_has_the_promised_keys(cluster: LabCluster) -> None:
    status = cluster.data("status")
    assert status["cluster"] == "proof"
    assert status["digest"] == cluster.design.digest
    assert status["health"] == "healthy"
    assert status["vip_holder"] in cluster.hosts
    assert {each["name"] for each in status["members"]} == {member.name for member in cluster.design.members}
    for each in status["members"]:
        assert {"name", "host", "component", "role", "state", "reason"} <= set(each)
        assert each["state"] == "ok"
    text = cluster.holdfast("status").stdout
    assert "HEALTHY" in text
    assert "\x1b" not in text


def test_a_machine_without_power_is_told_with_the_reason(cluster: LabCluster, measured: Measured) -> None:
    host = next(host for host in cluster.hosts if host != cluster.leader("postgres"))
    cluster.power("off", host)
    try:
        status = cluster.data("status", expect=3)
        assert cluster.data("lab", "status")["machines"][cluster.hosts.index(host)]["power"] == "off"
        refused = cluster.holdfast("apply", "-y", expect=1)
    finally:
        cluster.power("on", host)
    assert status["health"] == "degraded", describe(status)
    down = {each["name"]: each["reason"] for each in status["members"] if each["state"] == "down"}
    assert set(down) == {member.name for member in cluster.design.on(host)}
    assert all("unreachable" in reason for reason in down.values())
    assert host in refused.stderr
    assert "nothing was changed" in refused.stderr
    measured("a machine that was off is healthy again after (s)", cluster.ready())


def test_pictures_and_history(cluster: LabCluster) -> None:
    picture = cluster.folder / "picture.svg"
    cluster.holdfast("topology", "--svg", str(picture), "--live")
    drawn = ElementTree.fromstring(picture.read_text())
    words = " ".join(drawn.itertext())
    assert all(host.address in words for host in cluster.design.spec.hosts)
    assert cluster.vip in words
    assert "postgres" in cluster.holdfast("topology").stdout
    runs = cluster.data("history")["runs"]
    assert runs[0]["verb"] == "apply"
    assert runs[0]["result"] == "done"


def test_secrets_are_nowhere_to_be_seen(cluster: LabCluster, tmp_path: Path, measured: Measured) -> None:
    """All output of all verbs is searched by `LabCluster.holdfast`; here is what lies on disks and in machines."""
    secrets = cluster.secrets()
    assert len(secrets) > 10
    private = cluster.folder / ".holdfast"
    assert (private / "vault.json").stat().st_mode & 0o077 == 0
    for verb in (("render", str(tmp_path / "plain")), ("check", "--explain"), ("plan",), ("topology",)):
        cluster.holdfast(*verb)
    kept = [*(private / "runs").rglob("*.json*"), *(path for path in tmp_path.rglob("*") if path.is_file())]
    for path in kept:
        cluster.refuse_secrets(path.read_text(), str(path))
    cluster.refuse_secrets(json.dumps(cluster.design.as_json()), "the design")
    assert cluster.command_lines or KEPT_LAB
    cluster.refuse_secrets("\n".join(cluster.command_lines), "a process list during the first apply")
    for host in cluster.hosts:
        for place, argv in TALK.items():
            cluster.refuse_secrets(cluster.inside(host, *argv, check=False), f"{place} of {host}")
    measured(
        "places searched for secrets", f"{len(kept)} files, {len(cluster.hosts)} machines, {len(secrets)} secrets"
    )
