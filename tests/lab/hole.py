"""The hole of an early failover without a fence, provoked: a vote is a reading, and the voter acknowledges on.

The leader is cut off from everybody, the dcs included, but one voter still streams from it, and that voter's Patroni
does not learn of another leader. Ours would: each asks its own host's member of the dcs first. So this is made by
hand: the voter's Patroni knows the leader's member only, as a Patroni that chose its member at random may.
Clients on the leader's side hold a session from before, and write again as soon as another has been promoted: until
then the winner and the voter are level, else Patroni would see the voter ahead and promote nobody.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from holdfast.drills.catalogue import faults_of
from holdfast.drills.check.ledger import check_ledger
from holdfast.drills.check.values import PRIMARY, LedgerHistory, SetRead, Write
from holdfast.drills.check.verdict import overall
from holdfast.drills.history import Outcome
from holdfast.drills.record import Finding, Verdict
from holdfast.model.fault import Aim, Blow
from holdfast.model.watch import Output
from lab.cluster import LabCluster

WATCH = "holdfast-watch.service"
DROP_IN = "/run/systemd/system/patroni.service.d/zz-hole.conf"
GO = "/run/hole-go"
PROMOTED_WITHIN_S, LEVEL_WITHIN_S = 20.0, 60.0
WALDUMP = "/usr/lib/postgresql/17/bin/pg_waldump"
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--reset-env")
# One session from before the cut: 50 writes, then silence until told to go on, then as fast as it can until it fails.
# A warning is no acknowledgement: it says that the wait for a replica was broken off.
WRITER = """
import json, os, sys, time, psycopg2
go, begun = sys.argv[1], time.monotonic()
session = psycopg2.connect("dbname=postgres application_name=hole")
session.autocommit = True
ask = session.cursor()
def write(key):
    started = time.monotonic()
    try:
        ask.execute("INSERT INTO hole VALUES (%s)", (key,))
        outcome = "indeterminate" if session.notices else "ok"
    except psycopg2.Error:
        outcome = "indeterminate"
    print(json.dumps([key, started, time.monotonic(), outcome]), flush=True)
    return outcome == "ok"
for number in range(50):
    write(f"before-{number}")
print("null", flush=True)
while not os.path.exists(go):
    time.sleep(0.005)
number = 0
while time.monotonic() < begun + 60 and write(f"after-{number}"):
    number += 1
    time.sleep(0.002)
"""
# What a naive script does: it takes the leader's lease away, and asks nobody.
REVOKE = """
. /etc/profile.d/holdfast-etcd.sh
lease=$(etcdctl get "$1" -w json | sed -n 's/.*"lease":\\([0-9]*\\).*/\\1/p')
etcdctl lease revoke "$(printf '%x' "$lease")"
"""
PROMOTED = "/usr/local/lib/holdfast/postgres-promoted"
PASSWORDS = "/var/lib/postgresql/.pgpass-patroni"
FALSE_WITHIN_S = 15
# One commit that waits for a replica, broken off after a while; a warning says that its wait was broken off.
COMMIT = """
import sys, threading, psycopg2
session = psycopg2.connect("dbname=postgres application_name=hole")
session.autocommit = True
threading.Timer(float(sys.argv[1]), session.cancel).start()
try:
    session.cursor().execute("INSERT INTO hole VALUES ('second')")
    print("not acknowledged" if session.notices else "acknowledged", flush=True)
except psycopg2.Error:
    print("not acknowledged", flush=True)
"""
GET = '. /etc/profile.d/holdfast-etcd.sh; etcdctl get "$1" --print-value-only'


@dataclass(frozen=True)
class Parts:
    """Who is what in the hole."""

    leader: str
    winner: str
    voter: str


@dataclass(frozen=True)
class Seen:
    """What came of it: the checker's verdict, and when the winner was promoted (seconds after the cut)."""

    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...]
    promoted_s: float
    acknowledged_after: int
    lost: int


def parts_of(cluster: LabCluster) -> Parts:
    leader = cluster.leader("postgres")
    winner, voter = (host for host in cluster.hosts if host != leader)
    return Parts(leader, winner, voter)


def nothing() -> None:
    """Do nothing more while the leader is cut off."""


def provoked(cluster: LabCluster, parts: Parts, *, fence: bool, aftermath: Callable[[], None] = nothing) -> Seen:
    """Cut the leader off but for the voter's stream, depose it, write on its side, heal, and hold it to account.

    ``aftermath``: what is done before it is healed.
    """
    sql(cluster, parts.leader, "DROP TABLE IF EXISTS hole; CREATE TABLE hole (key text PRIMARY KEY)")
    # What is written after the cut shall fit into one segment, else no replica that is ahead can be in the winner's.
    sql(cluster, parts.leader, "SELECT pg_switch_wal()")
    prefix = f"/holdfast/{cluster.design.spec.name}/"
    (cut,) = blows(cluster, "inside-only-sql", parts.leader, parts.voter)
    # The leader's own service would close its database: what is tried is that nobody needs that.
    watching = (parts.winner, parts.voter) if fence else ()
    with services(cluster, watching), blind(cluster, parts):
        level(cluster, parts, f"{prefix}sync")
        strike(cluster, blows(cluster, "etcd-lead", parts.winner))
        with writer(cluster, parts.leader) as process:
            told = list(until_silent(process))
            settled(cluster, parts.leader)
            begun = time.monotonic()
            strike(cluster, (cut,))
            try:
                if not fence:
                    time.sleep(max(0.0, begun + 1.0 - time.monotonic()))
                    cluster.inside(parts.winner, "sh", "-c", REVOKE, "revoke", f"{prefix}leader")
                promoted_s = promotion(cluster, parts.winner) - begun
                cluster.inside(parts.leader, "touch", GO)
                told += [json.loads(line) for line in process.stdout or ()]
                evidence = cut.evidence[0]
                bit = evidence.read(Output(0, cluster.inside(parts.leader, *evidence.argv)))
                aftermath()
            finally:
                heal(cluster, (cut,))
    cluster.ready()
    return account(cluster, told, promoted_s, bit=bool(bit))


def account(cluster: LabCluster, told: Sequence[list[str]], promoted_s: float, *, bit: bool) -> Seen:
    """Read everything back from every member and ask the checker."""
    writes = tuple(
        Write("before the cut", key, float(began), float(ended), Outcome(how)) for key, began, ended, how in told
    )
    leader = cluster.leader("postgres")
    asked = time.monotonic()
    final = {host: tuple(sql(cluster, host, "SELECT key FROM hole").split()) for host in caught_up(cluster, leader)}
    read = SetRead("afterwards", PRIMARY, asked, time.monotonic(), final[leader])
    findings = check_ledger(LedgerHistory(writes, (read,), final))
    acknowledged = [each.key for each in writes if each.outcome is Outcome.OK]
    after = [key for key in acknowledged if key.startswith("after")]
    verdict, reason = overall(
        findings,
        acknowledged=len(acknowledged),
        reads=1,
        attempted_during_fault=sum(each.key.startswith("after") for each in writes),
        bit=bit,
        final_read=True,
    )
    sql(cluster, leader, "DROP TABLE hole")
    return Seen(verdict, reason, findings, promoted_s, len(after), len(set(acknowledged) - set(final[leader])))


def caught_up(cluster: LabCluster, leader: str) -> list[str]:
    """Return all hosts, once each has replayed what the leader has now."""
    position = sql(cluster, leader, "SELECT pg_current_wal_lsn()").strip()
    ask = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
    for host in cluster.hosts:
        until = time.monotonic() + LEVEL_WITHIN_S
        while host != leader and sql(cluster, host, ask).strip() != "t":
            assert time.monotonic() < until, f"{host} has not replayed {position}"
            time.sleep(0.2)
    return cluster.hosts


# The second fault: the voter, ahead of the new leader's fork, comes back to the new leader


def falsely_acknowledged(cluster: LabCluster, parts: Parts) -> bool:
    """Let the voter stream from the winner as it is, before it is rewound: does that acknowledge a new commit?

    Here Patroni is told by hand what it does by itself: the winner waits for the voter, the voter follows the winner.
    """
    old, new = (f"host={cluster.design.spec.host(host).address}" for host in (parts.leader, parts.winner))
    conninfo = sql(cluster, parts.voter, "SHOW primary_conninfo").strip()
    assert old in conninfo
    # Patroni writes the password down for the leader that it knows.
    cluster.inside(parts.voter, "sed", "-i", "s/^[^:]*:/*:/", PASSWORDS)
    settings = (
        # Each visit of the voter is one race of its acknowledgement with the end of its stream: let it come often.
        (parts.voter, "wal_retrieve_retry_interval", "500ms"),
        (parts.voter, "primary_conninfo", conninfo.replace(old, new)),
        (parts.winner, "synchronous_standby_names", f'ANY 1 ("{parts.voter}")'),
    )
    try:
        for host, name, value in settings:
            text = value.replace("'", "''")
            sql(cluster, host, f"ALTER SYSTEM SET {name} = '{text}'")
            sql(cluster, host, "SELECT pg_reload_conf()")
        argv = (*AS_POSTGRES, "python3", "-c", COMMIT, str(FALSE_WITHIN_S))
        told = cluster.inside(parts.winner, *argv).strip()
        assert sql(cluster, parts.voter, "SELECT count(*) FROM hole WHERE key = 'second'").strip() == "0"
        assert spoke(cluster, parts), "the voter never reached the winner: nothing was tried"
    finally:
        for host, name, _ in settings:
            sql(cluster, host, f"ALTER SYSTEM RESET {name}")
            sql(cluster, host, "SELECT pg_reload_conf()")
        sql(cluster, parts.winner, "SET synchronous_commit = local; DELETE FROM hole WHERE key = 'second'")
    return told == "acknowledged"


def spoke(cluster: LabCluster, parts: Parts) -> bool:
    """Return whether the voter reached the winner and learned that it is ahead of its fork."""
    journal = ("journalctl", "--quiet", "--no-pager", "--output=cat", "--since=-30s", "--unit=patroni.service")
    told = cluster.inside(parts.voter, *journal)
    fork = "forked off current database system timeline" in told or "before current recovery point" in told
    return fork or "is not in this server's history" in told


def in_one_segment(cluster: LabCluster, parts: Parts) -> bool:
    """Return whether the voter is in the segment of the log in which the winner is."""
    size = int(sql(cluster, parts.winner, "SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'"))
    places = {parts.winner: "pg_current_wal_lsn()", parts.voter: "pg_last_wal_receive_lsn()"}
    ask = "SELECT pg_wal_lsn_diff({}, '0/0')"
    return len({int(sql(cluster, host, ask.format(place))) // size for host, place in places.items()}) == 1


@contextmanager
def segment_kept(cluster: LabCluster) -> Iterator[None]:
    """Let new leaders go on in the segment of the log in which they were promoted."""
    for host in cluster.hosts:
        cluster.inside(host, "chmod", "a-x", PROMOTED)
    try:
        yield
    finally:
        for host in cluster.hosts:
            cluster.inside(host, "chmod", "a+x", PROMOTED)


# The pieces


@contextmanager
def services(cluster: LabCluster, watching: tuple[str, ...]) -> Iterator[None]:
    """Let holdfast-watch run on some hosts only; afterwards it runs on all."""
    for host in cluster.hosts:
        cluster.inside(host, "systemctl", "start" if host in watching else "stop", WATCH)
    try:
        yield
    finally:
        for host in cluster.hosts:
            cluster.inside(host, "systemctl", "start", WATCH)


@contextmanager
def blind(cluster: LabCluster, parts: Parts) -> Iterator[None]:
    """Let the voter's Patroni know no member of the dcs but the leader's."""
    address = cluster.design.spec.host(parts.leader).address
    before = cluster.inside(parts.voter, "systemctl", "cat", "patroni.service")
    (line,) = [each for each in before.splitlines() if each.startswith("ExecStartPre=")]
    begin = [word for word in line.split() if not word.endswith(":2379")]
    drop_in = f"[Service]\nExecStartPre=\n{' '.join(begin)} {address}:2379\n"
    cluster.inside(parts.voter, "sh", "-c", 'mkdir -p "${1%/*}" && cat > "$1"', "write", DROP_IN, stdin=drop_in)
    restart(cluster, parts.voter)
    try:
        yield
    finally:
        cluster.inside(parts.voter, "rm", DROP_IN)
        restart(cluster, parts.voter)


def restart(cluster: LabCluster, host: str) -> None:
    cluster.inside(host, "systemctl", "daemon-reload")
    cluster.inside(host, "systemctl", "restart", "patroni.service")


def level(cluster: LabCluster, parts: Parts, key: str) -> None:
    """Wait until commits wait for any one of both replicas."""
    until = time.monotonic() + LEVEL_WITHIN_S
    while True:
        found = json.loads(cluster.inside(parts.winner, "sh", "-c", GET, "get", key))
        streaming = sql(cluster, parts.leader, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
        if (
            set((found.get("sync_standby") or "").split(",")) == {parts.winner, parts.voter}
            and streaming.strip() == "2"
        ):
            return
        assert time.monotonic() < until, f"not both replicas are voters: {found}"
        time.sleep(0.5)


@contextmanager
def writer(cluster: LabCluster, host: str) -> Iterator["subprocess.Popen[str]"]:
    cluster.inside(host, "rm", "-f", GO)
    argv = cluster.lab.shell_argv(host, (*AS_POSTGRES, "python3", "-c", WRITER, GO))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until_silent(process: "subprocess.Popen[str]") -> Iterator[list[str]]:
    """Yield what is written at first."""
    assert process.stdout
    for line in process.stdout:
        if (one := json.loads(line)) is None:
            return
        yield one
    raise AssertionError("the writer ended at once")


def settled(cluster: LabCluster, leader: str) -> None:
    """Wait until the background writer has logged a snapshot and both replicas have it.

    It alone writes without being asked, and 15 s later at the earliest again (LOG_SNAPSHOT_INTERVAL_MS). A snapshot
    that only the voter got would be a voter ahead of the winner, and nobody would be promoted.
    """
    begin = sql(cluster, leader, "SELECT pg_logical_emit_message(false, 'hole', '')").strip()
    name = "SELECT current_setting('data_directory') || '/pg_wal/' || pg_walfile_name(pg_current_wal_lsn())"
    dump = (*AS_POSTGRES, WALDUMP, f"--start={begin}", "--rmgr=Standby", sql(cluster, leader, name).strip())
    behind = "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn < pg_current_wal_insert_lsn()"
    until = time.monotonic() + LEVEL_WITHIN_S
    # The dump ends with an error, where the log ends.
    while "RUNNING_XACTS" not in cluster.inside(leader, *dump, check=False) or int(sql(cluster, leader, behind)):
        assert time.monotonic() < until, "the background writer logged no snapshot"
        time.sleep(0.2)


def promotion(cluster: LabCluster, host: str) -> float:
    """Wait until a host accepts writes; return when."""
    until = time.monotonic() + PROMOTED_WITHIN_S
    while sql(cluster, host, "SELECT pg_is_in_recovery()").strip() != "f":
        assert time.monotonic() < until, f"{host} was not promoted within {PROMOTED_WITHIN_S:g} s"
        time.sleep(0.05)
    return time.monotonic()


def sql(cluster: LabCluster, host: str, statement: str) -> str:
    return cluster.inside(host, *AS_POSTGRES, "psql", "-XqAt", "-d", "postgres", "-c", statement)


def blows(cluster: LabCluster, name: str, *hosts: str) -> tuple[Blow, ...]:
    fault = next(each for each in faults_of(cluster.design) if each.name == name)
    return fault.strike(Aim(hosts, tuple(cluster.hosts)), None)


def strike(cluster: LabCluster, found: tuple[Blow, ...]) -> None:
    for blow in found:
        for argv in blow.inject:
            cluster.inside(blow.place, *argv)


def heal(cluster: LabCluster, found: tuple[Blow, ...]) -> None:
    for blow in found:
        for argv in blow.heal:
            cluster.inside(blow.place, *argv)
