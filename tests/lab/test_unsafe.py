"""Clusters that are unsafe on purpose: a drill that finds nothing wrong with them would be worth nothing.

Each is the shared cluster with one safety taken out of its files. On the cluster as it is, the same rules are kept by
the same drills: that is what `holdfast prove --full` shows (docs/proof).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab.cluster import LabCluster
from lab.figures import Measured

pytestmark = pytest.mark.lab

UNSAFE = 4
ROUTER = "/etc/haproxy/haproxy.cfg"
CACHE = "/etc/valkey/holdfast.conf"
Record = dict[str, Any]


def drill(cluster: LabCluster, name: str, expect: int) -> Record:
    """Run a drill and return its record."""
    done = cluster.holdfast("drill", "run", name, "--seed", "7", "-o", "json", expect=expect, timeout_s=400)
    record: Record = json.loads(done.stdout)
    return record


@contextmanager
def without(cluster: LabCluster, path: str, words: str, instead: str, *then: str) -> Iterator[None]:
    """Replace words of a file on every host and run a command there; apply brings the file back."""
    for host in cluster.hosts:
        assert words in cluster.inside(host, "cat", path), f"{path} on {host} does not say {words!r}"
    try:
        for host in cluster.hosts:
            cluster.inside(host, "sed", "--in-place", f"s/{words}/{instead}/", path)
            cluster.inside(host, *then)
            cluster.ready()
        yield
    finally:
        cluster.ready()
        cluster.holdfast("apply", "-y")
        assert cluster.data("plan")["changes"] == []


def broken_rules(record: Record) -> dict[str, str]:
    """Return what the checkers found broken: rule → text."""
    return {each["rule"]: each["text"] for each in record["findings"] if each["verdict"] == "broken"}


@contextmanager
def late_failover(cluster: LabCluster) -> Iterator[None]:
    """Take early failover out of the design: it closes a leader that was replaced by itself, whatever routers do."""
    cluster.edit("early_failover: true", "early_failover: false")
    try:
        cluster.holdfast("apply", "-y")
        yield
    finally:
        cluster.edit("early_failover: false", "early_failover: true")
        cluster.holdfast("apply", "-y")
        cluster.ready()


def test_sessions_left_on_a_leader_without_its_supervisor_are_caught(cluster: LabCluster, measured: Measured) -> None:
    """Its supervisor hangs, another leads: whoever still has a session with the old one is served by it.

    Writes wait there for a standby that follows another. Reads do not: what they see is old.
    """
    words = " on-marked-down shutdown-sessions"
    with late_failover(cluster), without(cluster, ROUTER, words, "", "systemctl", "reload", "haproxy.service"):
        record = drill(cluster, "postgres-patroni-hang", UNSAFE)
    rules = broken_rules(record)
    assert "sql: stale" in rules, (record["reason"], record["findings"])
    for rule, text in rules.items():
        measured(f"without shutdown-sessions, {rule}", text)


def test_a_cache_that_needs_no_replica_is_caught(cluster: LabCluster, measured: Measured) -> None:
    """Cut off with its clients, the old primary goes on; what it acknowledged then is thrown away."""
    words = "min-replicas-to-write "
    with without(cluster, CACHE, f"{words}1", f"{words}0", "systemctl", "restart", "valkey-server.service"):
        record = drill(cluster, "cache-primary-isolated", UNSAFE)
    assert "cache: cache lost" in broken_rules(record), (record["reason"], record["findings"])
    measured("without min-replicas-to-write", broken_rules(record)["cache: cache lost"])
    two = [
        each["text"] for each in record["moments"] if each["kind"] == "violation" and "cache primary" in each["text"]
    ]
    assert two, record["moments"]
    measured("without min-replicas-to-write", two[0])
