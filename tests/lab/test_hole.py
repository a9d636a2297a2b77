"""The hole that the fence closes: provoked without it, acknowledged writes are lost; with it, none is."""

import time

import pytest

from holdfast.drills.record import Verdict
from lab.cluster import LabCluster
from lab.figures import Measured
from lab.hole import Parts, Seen, falsely_acknowledged, in_one_segment, parts_of, provoked, segment_kept, sql

pytestmark = pytest.mark.lab


def tell(measured: Measured, seen: Seen) -> None:
    measured("the winner was promoted after the cut (s)", seen.promoted_s)
    measured("acknowledged on the old leader's side after that", seen.acknowledged_after)
    measured("lost", f"{seen.lost}: {seen.verdict}")


def second_fault(cluster: LabCluster, parts: Parts, *, new_segment: bool) -> tuple[Seen, bool]:
    """Provoke the hole without a fence, and let the voter come back to the new leader before it is rewound."""
    told: list[bool] = []

    def returns() -> None:
        assert in_one_segment(cluster, parts) is not new_segment
        told.append(falsely_acknowledged(cluster, parts))

    seen = provoked(cluster, parts, fence=False, aftermath=returns)
    return seen, told[0]


def test_a_leader_deposed_without_a_fence_loses_what_a_voter_acknowledges(
    cluster: LabCluster, measured: Measured
) -> None:
    seen, false = second_fault(cluster, parts_of(cluster), new_segment=True)
    tell(measured, seen)
    measured("a replica ahead of the new leader acknowledges what it does not have", false)
    assert not false, "the new leader had begun a new segment of its log"
    assert seen.acknowledged_after > 0, "the voter did not acknowledge any more: nothing was provoked"
    assert seen.verdict is Verdict.BROKEN, seen.reason
    assert seen.lost == seen.acknowledged_after
    assert next(each for each in seen.findings if each.rule == "lost").verdict is Verdict.BROKEN


def test_a_leader_deposed_behind_a_fence_loses_nothing(cluster: LabCluster, measured: Measured) -> None:
    seen = provoked(cluster, parts_of(cluster), fence=True)
    tell(measured, seen)
    with measured.in_time():
        assert seen.promoted_s < 10.0, "it was deposed early, not at the end of its lease"
    assert seen.verdict is Verdict.KEPT, seen.reason
    assert seen.lost == 0


def test_without_a_new_segment_a_replica_that_is_ahead_acknowledges_what_it_does_not_have(
    cluster: LabCluster, measured: Measured
) -> None:
    with segment_kept(cluster):
        seen, false = second_fault(cluster, parts_of(cluster), new_segment=False)
    tell(measured, seen)
    measured("a replica ahead of the new leader acknowledges what it does not have", false)
    assert false


def fences(cluster: LabCluster, host: str) -> str:
    return cluster.inside(host, "nft", "list", "table", "inet", "holdfast_fence", check=False)


def begun_s(cluster: LabCluster, host: str, unit: str, what: str) -> float:
    """When a unit's process was started (seconds since the boot of this computer)."""
    told = cluster.inside(host, "systemctl", "show", f"--property={what}", "--value", unit)
    return int(told) / 1e6


def test_a_fence_outlives_a_reboot_and_is_there_before_the_database(cluster: LabCluster, measured: Measured) -> None:
    old = cluster.leader("postgres")
    address = f"ip daddr {cluster.design.spec.host(old).address} tcp dport"
    cluster.power("off", old)
    others = [host for host in cluster.hosts if host != old]
    until = time.monotonic() + 20
    while not all(address in fences(cluster, host) for host in others):
        assert time.monotonic() < until, "nobody fenced the dead leader"
        time.sleep(0.2)
    until = time.monotonic() + 20
    while (found := [host for host in others if in_recovery(cluster, host) == "f"]) == []:
        assert time.monotonic() < until, "nobody was promoted"
        time.sleep(0.2)
    (fenced,) = (host for host in others if host not in found)
    cluster.power("off", fenced)
    cluster.power("on", fenced)
    until = time.monotonic() + 60
    while begun_s(cluster, fenced, "patroni.service", "ExecMainStartTimestampMonotonic") == 0:
        assert time.monotonic() < until, "the database is not started again"
        time.sleep(0.5)
    assert address in fences(cluster, fenced)
    said = cluster.inside(fenced, "journalctl", "-b", "--no-pager", "-o", "cat", "-u", "holdfast-watch")
    assert f"the fence against {old} is in force again" in said
    earlier = [
        begun_s(cluster, fenced, "holdfast-watch.service", "ExecMainStartTimestampMonotonic"),
        begun_s(cluster, fenced, "patroni.service", "ExecMainStartTimestampMonotonic"),
    ]
    measured("the fence was in force so long before the database started (s)", earlier[1] - earlier[0])
    assert earlier[0] < earlier[1]
    cluster.power("on", old)
    measured("healthy again after (s)", cluster.ready(180.0))
    until = time.monotonic() + 30
    while any(fences(cluster, host) for host in cluster.hosts):
        assert time.monotonic() < until, "a fence stays although the old host is back as a replica"
        time.sleep(0.5)


def in_recovery(cluster: LabCluster, host: str) -> str:
    return sql(cluster, host, "SELECT pg_is_in_recovery()").strip()
