"""PostgreSQL is promoted at once, even where it would go to sleep first."""

import pytest

from lab.cluster import LabCluster
from lab.figures import Measured

pytestmark = pytest.mark.lab

# What PostgreSQL would sleep for, and what the promotion may take: it starts with a psql, and is woken each 0.1 s.
RETRY_S = 30
PROMOTED_WITHIN_S = 5.0
# The moment is a race between two processes, which PostgreSQL loses in most tries.
TRIES = 8

# A replica of its own. Its postmaster stands still while the replica is woken and told to be promoted: both
# reach it at once, the request for a walreceiver and the promotion. That is the moment in which PostgreSQL sleeps.
PROMOTE = f"""
set -eu
cd /
folder=/var/tmp/holdfast-promotion bin=/usr/lib/postgresql/17/bin
as() {{ setpriv --reuid=postgres --regid=postgres --init-groups env PGHOST=$folder PGPORT=5999 "$@"; }}
ask() {{ as $bin/psql -XqAt -d postgres -c "$1"; }}
now_ms() {{ date +%s%3N; }}
rm -rf $folder
install -d -o postgres -g postgres -m 700 $folder
as $bin/initdb -D $folder/data -A trust > /dev/null
as touch $folder/data/standby.signal
cat >> $folder/data/postgresql.conf << settings
port = 5999
listen_addresses = ''
unix_socket_directories = '$folder'
fsync = off
wal_retrieve_retry_interval = '{RETRY_S}s'
primary_conninfo = 'host=127.0.0.1 port=5998'
settings
trap 'as $bin/pg_ctl -D $folder/data stop -m immediate > /dev/null; rm -rf $folder' EXIT
as $bin/pg_ctl -D $folder/data -l $folder/log -w start > /dev/null
until grep -q "waiting for WAL" $folder/log; do sleep 0.1; done
postmaster=$(head -1 $folder/data/postmaster.pid)
startup=$(ask "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'")
kill -STOP $postmaster
kill -HUP $startup
sleep 0.5
as $bin/pg_ctl -D $folder/data promote -W > /dev/null
kill -CONT $postmaster
sleep 2
ask "SELECT pg_is_in_recovery()"
begun_ms=$(now_ms)
as /usr/local/lib/holdfast/postgres-promoted on_role_change primary scratch > /dev/null
echo $(($(now_ms) - begun_ms))
ask "SELECT pg_is_in_recovery()"
"""


def provoked(cluster: LabCluster, host: str) -> tuple[bool, float, bool]:
    """Return whether PostgreSQL slept, how long its waking took (s), and whether it is a replica still."""
    slept, took_ms, still = cluster.inside(host, "bash", "-c", PROMOTE, timeout_s=90.0).split()
    return slept == "t", int(took_ms) / 1000, still == "t"


def test_who_is_promoted_while_it_dials_the_dead_leader_is_woken(cluster: LabCluster, measured: Measured) -> None:
    host = cluster.leader("postgres")
    tries = (provoked(cluster, host) for _ in range(TRIES))
    slept = next((each for each in tries if each[0]), None)
    assert slept, "PostgreSQL never slept: is the mend still needed?"
    _, took_s, still_replica = slept
    measured("promoted after its waking (s)", took_s)
    assert not still_replica
    assert took_s < PROMOTED_WITHIN_S
