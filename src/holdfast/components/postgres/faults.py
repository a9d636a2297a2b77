"""What only this engine can suffer: its postmaster, one session, its supervisor, its slots, pages, certificates."""

from collections.abc import Callable

from holdfast.components.postgres.build import API_PORT, PORT, TLS, UNIT, data_folder
from holdfast.components.postgres.spec import PostgresOptions
from holdfast.model.blows import (
    expire_certificate,
    hang_unit,
    kill_unit,
    python,
    reload_unit,
    run_beside,
    said,
    shell,
    swap_file,
)
from holdfast.model.component import Context
from holdfast.model.fault import Aim, Blow, Evidence, Fault, Ground, Milestone
from holdfast.model.watch import Output

_AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
_SQL = (*_AS_POSTGRES, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1")
_HOG_UNIT = "holdfast-drill-sessions.service"
_SAFE = "writes are back within the promised time, and nothing acknowledged is lost"
_UNTOUCHED = "writes go on: the leader is not concerned"

# The postmaster of a data folder, if one runs. Arguments: signal, data folder.
_SIGNAL = """
pid=$(head -n 1 "$2/postmaster.pid" 2> /dev/null)
[ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = postgres ] || exit "$3"
kill -s "$1" "$pid"
"""
_STATE = """
pid=$(head -n 1 "$1/postmaster.pid") && sed -n 's/^State:[[:space:]]*//p' "/proc/$pid/status"
"""
_JOURNAL = ("journalctl", "--quiet", "--no-pager", "--output=cat", "--since=-20s", f"--unit={UNIT}")
# The oldest session of an application, killed as the kernel kills when memory runs out.
_KILL_BACKEND = """
pid=$("$@") || exit 1
[ -n "$pid" ] || { echo "no application is connected here" >&2; exit 1; }
kill -s KILL "$pid"
"""
_ONE_BACKEND = """select pid from pg_stat_activity where backend_type = 'client backend' and usename = 'app'
    order by backend_start limit 1"""
# Sessions until only those reserved for administrators are left, as a leak in an application would open them.
_HOG = """
import time, psycopg2
connect = lambda: psycopg2.connect("dbname=postgres application_name=holdfast-drill")
first = connect()
first.autocommit = True
ask = first.cursor()
ask.execute("select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
            " - current_setting('reserved_connections')::int")
(limit,) = ask.fetchone()
kept = []
while True:
    ask.execute("select count(*) from pg_stat_activity where backend_type in ('client backend')")
    (used,) = ask.fetchone()
    try:
        kept.extend(connect() for _ in range(limit - used))
    except psycopg2.OperationalError:
        pass
    time.sleep(0.5)
"""
_SESSIONS = """select count(*) filter (where application_name = 'holdfast-drill') || ' of '
    || current_setting('max_connections') from pg_stat_activity"""
_MAKE_SLOT = "select pg_create_physical_replication_slot('holdfast_drill', true)"
_DROP_SLOT = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'holdfast_drill'"
_SHOW_SLOT = """select coalesce(wal_status, 'unknown') || ' ' || pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)
    from pg_replication_slots where slot_name = 'holdfast_drill'"""
# Patroni drops a slot that it does not know within a second: then the journal says so.
_SHOW_OR_TOLD = '"$@"; journalctl --quiet --no-pager --output=cat --since=-20s --unit=patroni.service'
# The largest table of the application: 8 bytes in the middle of its first page are turned round. The page as it was
# stays beside the data for whoever looks into it; it is not put back, as the server may have written since.
_CORRUPT = """
import os, subprocess, sys
data, kept = sys.argv[1:3]
query = ("select pg_relation_filepath(relid) from pg_stat_user_tables where pg_relation_size(relid) >= 8192"
         " order by pg_relation_size(relid) desc limit 1")
path = subprocess.run([*sys.argv[3:], "-d", "app", "-c", query], capture_output=True, text=True, check=True).stdout
if not path.strip():
    sys.exit("the application has no table with data yet")
with open(os.path.join(data, path.strip()), "r+b") as file:
    page = file.read(8192)
    with open(kept, "wb") as copy:
        copy.write(path.strip().encode() + b"\\n" + page)
    file.seek(4096)
    file.write(bytes(byte ^ 255 for byte in page[4096:4104]))
    os.fsync(file.fileno())
"""
_COMPARE = """
import os, sys
data, kept = sys.argv[1:3]
name, page = open(kept, "rb").read().split(b"\\n", 1)
now = open(os.path.join(data, name.decode()), "rb").read(8192)
print(sum(a != b for a, b in zip(page, now)), "bytes differ in page 0 of", name.decode())
"""
# Answers what it is asked before it is used, and fails when it is used.
_FAILING = """
set -eu
real="$1.before-drill"
printf '#!/bin/sh\\ncase "$1" in --help | --version) exec %s "$1" ;; esac\\n' "$real" > "$1"
printf 'echo "a drill: this pg_rewind fails" >&2\\nexit 1\\n' >> "$1"
"""
# Copy the data anew from the leader, as one does with a damaged replica. Nothing to do when nothing was damaged.
_REBUILD = """
import json, os, ssl, sys, time, urllib.request
kept, url, tls = sys.argv[1:4]
if not os.path.exists(kept):
    sys.exit(0)
context = ssl.create_default_context(cafile=f"{tls}/ca.crt")
context.load_cert_chain(f"{tls}/host.crt", f"{tls}/host.key")
def ask(path, data=None):
    with urllib.request.urlopen(urllib.request.Request(url + path, data), timeout=10, context=context) as answer:
        return answer.read()
if json.loads(ask("/patroni"))["role"] in ("primary", "master"):
    sys.exit("this member leads now: hand its lead over, then rebuild it")
before = json.loads(ask("/patroni")).get("postmaster_start_time")
ask("/reinitialize", b'{"force": true}')
end = time.monotonic() + 90
while time.monotonic() < end:
    time.sleep(0.5)
    try:
        state = json.loads(ask("/patroni"))
    except OSError:
        continue
    if state.get("replication_state") == "streaming" and state.get("postmaster_start_time") != before:
        os.unlink(kept)
        sys.exit(0)
sys.exit("the copy from the leader did not come to an end within 90 s")
"""

MILESTONES = (
    # The key of the leader has run out and this member asks the others how far they are, or its own server is gone.
    Milestone("detect", UNIT, r"Got response from \S+ https?://|Primary crashed"),
    Milestone("elect", UNIT, r"promoted self to leader by acquiring session lock"),
    # A replica that starts says "read-only connections".
    Milestone("promote", UNIT, r"database system is ready to accept connections"),
)


def faults(contexts: tuple[Context, ...]) -> tuple[Fault, ...]:
    """Return the faults of this engine."""
    known = {context.host.name: context for context in contexts}
    return (*_processes(known), *_sessions(known), *_data(known))


def _each(
    known: dict[str, Context], blow: Callable[[Context], Blow]
) -> Callable[[Aim, Ground | None], tuple[Blow, ...]]:
    return lambda aim, _ground: tuple(blow(known[host]) for host in aim.hosts if host in known)


def _processes(known: dict[str, Context]) -> tuple[Fault, ...]:
    return (
        Fault(
            "postgres-postmaster-kill",
            "kill the postmaster on {hosts}; Patroni lives on",
            "leader",
            _SAFE,
            "PostgreSQL on {hosts} was killed by signal 9; Patroni noticed at once",
            _each(known, _postmaster_kill),
            ("A1",),
        ),
        Fault(
            "postgres-backend-kill",
            "kill one session of an application on {hosts}",
            "leader",
            _SAFE,
            "one session on {hosts} died by signal 9, so PostgreSQL reset all: look for memory or an operator",
            _each(known, _backend_kill),
            ("A2",),
        ),
        Fault(
            "postgres-postmaster-hang",
            "stop the postmaster on {hosts}: old sessions work, new ones hang",
            "leader",
            _SAFE if _early(known) else "old sessions go on; new ones hang, for Patroni does not fail over for that",
            "PostgreSQL on {hosts} takes connections and never begins a session, but its leader key is renewed",
            _each(known, _postmaster_hang),
            ("A3",),
        ),
        Fault(
            "postgres-patroni-kill",
            "kill Patroni on {hosts}; PostgreSQL lives on",
            "leader",
            "Patroni comes back and finds its PostgreSQL; nothing acknowledged is lost",
            "Patroni on {hosts} was killed by signal 9 while its PostgreSQL stayed up",
            _each(known, lambda context: kill_unit(context.host.name, UNIT, whom="main")),
            ("A4",),
        ),
        Fault(
            "postgres-patroni-hang",
            "stop Patroni on {hosts}: PostgreSQL goes on without its supervisor",
            "leader",
            _SAFE,
            "Patroni on {hosts} stopped renewing the leader key while its PostgreSQL stayed up; another leads since",
            _each(known, lambda context: hang_unit(context.host.name, UNIT, whom="main")),
            ("A4",),
            hold_s=40.0,
        ),
    )


def _early(known: dict[str, Context]) -> bool:
    """Return whether somebody notices a postmaster that hangs."""
    return any(isinstance(each.options, PostgresOptions) and each.options.early_failover for each in known.values())


def _postmaster_kill(context: Context) -> Blow:
    inject = shell(_SIGNAL, "KILL", data_folder(context), "1")
    # Its children notice the loss, and Patroni says what it makes of it.
    return Blow(context.host.name, (inject,), (), (Evidence(_JOURNAL, read_crash),))


def read_crash(output: Output) -> str:
    """Read the journal after the postmaster was killed."""
    words = ("postgres not running", "doesn't seem to be running", "crashed", "not accepting connections")
    lines = [line for line in output.stdout.splitlines() if any(word in line for word in words)]
    return f"the journal says: {lines[0]}" if lines and not output.exit_code else ""


def _backend_kill(context: Context) -> Blow:
    inject = shell(_KILL_BACKEND, *_SQL, "-d", "postgres", "-c", " ".join(_ONE_BACKEND.split()))
    shown = Evidence(_JOURNAL, said("was terminated by signal 9", "a session was terminated by signal 9"))
    return Blow(context.host.name, (inject,), (), (shown,))


def _postmaster_hang(context: Context) -> Blow:
    data = data_folder(context)
    shown = Evidence(shell(_STATE, data), _stopped)
    inject, heal = shell(_SIGNAL, "STOP", data, "1"), shell(_SIGNAL, "CONT", data, "0")
    return Blow(context.host.name, (inject,), (heal,), (shown,))


def _stopped(output: Output) -> str:
    return "the postmaster is stopped (state T)" if output.exit_code == 0 and output.stdout.startswith("T") else ""


def _sessions(known: dict[str, Context]) -> tuple[Fault, ...]:
    return (
        Fault(
            "postgres-sessions",
            "open sessions on {hosts} until only the administrators' own are left",
            "leader",
            "open sessions go on; new ones are refused with the reason, and no role changes",
            "the connections of {hosts} are used up by idle sessions of one client",
            _each(known, _use_up),
            ("B8",),
        ),
        Fault(
            "postgres-slot",
            "make a replication slot on {hosts} that nobody reads",
            "leader",
            "the slot does not fill the disk: Patroni drops what it does not know, and a limit holds for the rest",
            "a replication slot on {hosts} keeps WAL that nobody reads",
            _each(known, _make_slot),
            ("B9",),
        ),
    )


def _use_up(context: Context) -> Blow:
    shown = Evidence((*_SQL, "-d", "postgres", "-c", " ".join(_SESSIONS.split())), read_sessions)
    argv = ("python3", "-c", _HOG)
    return run_beside(context.host.name, _HOG_UNIT, ("--uid=postgres",), argv, shown)


def read_sessions(output: Output) -> str:
    """Read how many of all sessions are ours: it bites when nine of ten are used up."""
    used, _, limit = output.stdout.strip().partition(" of ")
    full = output.exit_code == 0 and used.isdigit() and limit.isdigit() and 10 * int(used) >= 5 * int(limit)
    return f"{used} of {limit} connections are idle sessions of the drill" if full else ""


def _make_slot(context: Context) -> Blow:
    make, drop = (*_SQL, "-d", "postgres", "-c", _MAKE_SLOT), (*_SQL, "-d", "postgres", "-c", _DROP_SLOT)
    question = (*_SQL, "-d", "postgres", "-c", " ".join(_SHOW_SLOT.split()))
    shown = Evidence(shell(_SHOW_OR_TOLD, *question), read_slot)
    return Blow(context.host.name, (make,), (drop,), (shown,))


def read_slot(output: Output) -> str:
    """Read the slot, or in the journal that Patroni has dropped it already."""
    first = output.stdout.splitlines()[0] if output.stdout else ""
    status, _, kept = first.partition(" ")
    if kept.isdigit():
        return f"the slot is {status} and keeps {int(kept):,} bytes of WAL"
    return "Patroni dropped the slot" if "slot 'holdfast_drill'" in output.stdout and not output.exit_code else ""


def _data(known: dict[str, Context]) -> tuple[Fault, ...]:
    return (
        Fault(
            "postgres-page",
            "turn 8 bytes round in a page of the application's largest table on {hosts}",
            "replica",
            _UNTOUCHED,
            "page 0 of one table is damaged on {hosts} only: rebuild that replica from the leader",
            _each(known, _corrupt),
            ("D7",),
        ),
        Fault(
            "postgres-rewind",
            "let pg_rewind fail on {hosts}",
            "everyone",
            "an old leader that cannot be rewound is copied anew by itself, and follows",
            "pg_rewind failed on {hosts}, so its data were copied anew from the leader",
            _each(known, _break_rewind),
            ("D9",),
            hold_s=150.0,
        ),
        Fault(
            "postgres-certificate",
            "let {hosts} show a certificate that has expired",
            "replica",
            _UNTOUCHED,
            "the certificate of PostgreSQL and Patroni on {hosts} has expired",
            _each(known, _expire),
            ("E6",),
        ),
    )


def _break_rewind(context: Context) -> Blow:
    version = context.options.version if isinstance(context.options, PostgresOptions) else PostgresOptions().version
    path = f"/usr/lib/postgresql/{version}/bin/pg_rewind"
    shown = Evidence((path, "--dry-run"), read_rewind)
    return swap_file(context.host.name, path, (shell(_FAILING, path),), (), shown)


def read_rewind(output: Output) -> str:
    """Read what the program says when it is used."""
    return "pg_rewind fails whenever it is used" if output.exit_code == 1 and "a drill:" in output.stderr else ""


def _corrupt(context: Context) -> Blow:
    data = data_folder(context)
    kept = f"{data}.page-before-drill"
    url = f"https://{context.host.address}:{API_PORT}"
    inject = python(_CORRUPT, data, kept, *_SQL)
    shown = Evidence(python(_COMPARE, data, kept), read_damage)
    return Blow(context.host.name, (inject,), (python(_REBUILD, kept, url, TLS),), (shown,))


def read_damage(output: Output) -> str:
    """Read how many bytes of the page differ."""
    count = output.stdout.split(" ", 1)[0]
    return output.stdout.strip() if output.exit_code == 0 and count.isdigit() and int(count) else ""


def _expire(context: Context) -> Blow:
    address = f"{context.host.address}:{PORT}"
    files = f"{TLS}/host.crt", f"{TLS}/host.key"
    return expire_certificate(context.host.name, *files, (reload_unit(UNIT),), address, "-starttls", "postgres")
