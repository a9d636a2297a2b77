"""Health of a member as Patroni tells it: role, timeline, lag, what is wrong in one sentence."""

import json
from collections.abc import Mapping
from typing import Any

from holdfast.components.postgres.build import API_PORT, TLS, UNIT, programs
from holdfast.model.component import Context
from holdfast.model.member import Member
from holdfast.model.watch import Held, Output, Probe, Reading, State, Watch

_LAG_LIMIT_BYTES = 64 * 1024 * 1024
# One session over the local socket, kept open; it ends with its server (ON_ERROR_STOP: also with a refused question).
_AS_SUPERUSER = (
    "setpriv",
    "--reuid=postgres",
    "--regid=postgres",
    "--init-groups",
    "env",
    "PGAPPNAME=holdfast-watch",
)
_SESSION = ("-XqAt", "-v", "ON_ERROR_STOP=1", "-d", "postgres")
# The timeline is the beginning of the name of the file that is being written.
_QUESTION = """select case when pg_is_in_recovery() then 'replica'
    else 'leader ' || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end;"""
_STARTING = frozenset(
    {"starting", "restarting", "creating replica", "initializing new cluster", "running custom bootstrap script"}
)


def probes(context: Context) -> tuple[Probe, ...]:
    """One process asks this member for its own state and for its view of the cluster."""
    url = f"https://{context.host.address}:{API_PORT}"
    tls = ("--cacert", f"{TLS}/ca.crt", "--cert", f"{TLS}/host.crt", "--key", f"{TLS}/host.key")
    argv = ("curl", "-sS", "--max-time", "2", *tls, "-w", "\\n", f"{url}/patroni", f"{url}/cluster")
    return (Probe("postgres", argv, read_postgres, units=(UNIT,)),)


def read_postgres(output: Output) -> Reading:
    """Read the two answers, one JSON object a line."""
    answers = [_object(line) for line in output.stdout.splitlines() if line.strip()]
    if not answers or "state" not in answers[0]:
        return Reading(State.DOWN, reason=_silence(output))
    own, cluster = answers[0], answers[1] if len(answers) > 1 else {}
    state, reason = _judge(own, cluster)
    return Reading(state, _role(own), reason, _facts(own, cluster))


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _silence(output: Output) -> str:
    if output.exit_code in (28, 124):
        return "Patroni does not answer within 2 s"
    said = output.stderr.strip().splitlines()
    return f"Patroni does not answer: {said[0]}" if said else "Patroni does not answer"


def _role(own: Mapping[str, Any]) -> str:
    if own["state"] not in ("running", "streaming", "in archive recovery"):
        return ""
    if own.get("role") in ("primary", "master"):
        return "leader"
    return "sync standby" if own.get("sync_standby") or own.get("quorum_standby") else "replica"


def _judge(own: Mapping[str, Any], cluster: Mapping[str, Any]) -> tuple[State, str]:
    if own["state"] in _STARTING:
        return State.STARTING, f"PostgreSQL is {own['state']}"
    if not _role(own):
        return State.DOWN, f"PostgreSQL: {own['state']}"
    wrong = [sentence for sentence in _complaints(own, cluster) if sentence]
    return (State.DEGRADED, "; ".join(wrong)) if wrong else (State.OK, "")


def _complaints(own: Mapping[str, Any], cluster: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        "paused: automatic failover is switched off (patronictl resume)" if own.get("pause") else "",
        "the cluster has no leader" if own.get("cluster_unlocked") else "",
        "the dcs is lost, the leader goes on by failsafe" if own.get("failsafe_mode_is_active") else "",
        "" if _role(own) == "leader" else _following(own, cluster),
        f"waits for a restart: {_restart_reason(own)}" if own.get("pending_restart") else "",
    )


def _following(own: Mapping[str, Any], cluster: Mapping[str, Any]) -> str:
    state = own.get("replication_state")
    if state != "streaming":
        return f"does not stream from the leader: {state or 'no connection'}"
    lag = _lag(own, cluster)
    return f"{lag // 1048576} MiB behind the leader" if lag is not None and lag > _LAG_LIMIT_BYTES else ""


def _restart_reason(own: Mapping[str, Any]) -> str:
    reason = own.get("pending_restart_reason")
    return ", ".join(sorted(reason)) if isinstance(reason, dict) and reason else "changed parameters"


def _own_entry(own: Mapping[str, Any], cluster: Mapping[str, Any]) -> Mapping[str, Any]:
    name = own.get("patroni", {}).get("name")
    return next((each for each in cluster.get("members", ()) if each.get("name") == name), {})


def _lag(own: Mapping[str, Any], cluster: Mapping[str, Any]) -> int | None:
    found = _own_entry(own, cluster).get("lag")
    return found if isinstance(found, int) else None


def _facts(own: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, str]:
    leader = next((each["name"] for each in cluster.get("members", ()) if each.get("role") == "leader"), None)
    found = {
        "timeline": own.get("timeline"),
        "lag_bytes": _lag(own, cluster),
        "server_version": own.get("server_version"),
        "postgres_started": own.get("postmaster_start_time"),
        "follows": leader if _role(own) != "leader" else None,
        "streaming_replicas": _streaming(own) if _role(own) == "leader" else None,
    }
    return {key: str(each) for key, each in found.items() if each is not None}


def _streaming(own: Mapping[str, Any]) -> int:
    return sum(each.get("state") == "streaming" for each in own.get("replication", ()))


def watches(context: Context) -> tuple[Watch, ...]:
    """Whether this member writes, as the server itself says: Patroni may be of another opinion, or hang."""
    question = " ".join(_QUESTION.split())
    # Not by Debian's wrapper in Perl: a session is opened again and again while a server is down, and others start.
    argv = (*_AS_SUPERUSER, f"{programs(context)}/psql", *_SESSION)
    return (Watch("database leader", "leads the database", argv, question, read_leading),)


def read_leading(answer: str) -> Held | None:
    """Read one answer: ``leader`` with its timeline, or ``replica``."""
    role, _, timeline = answer.partition(" ")
    if role == "leader" and timeline.isdigit():
        return Held(True, f"timeline {timeline}")
    return Held(False) if answer == "replica" else None


def violations(readings: Mapping[Member, Reading]) -> tuple[str, ...]:
    """Two members that accept writes: acknowledged data of one of them will be lost."""
    leaders = [(member, reading) for member, reading in sorted(readings.items()) if reading.role == "leader"]
    if len(leaders) < 2:
        return ()
    names = " and ".join(
        f"{member.name} (timeline {reading.facts.get('timeline', '?')})" for member, reading in leaders
    )
    return (f"two database leaders: {names}",)
