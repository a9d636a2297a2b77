"""Health of a member: a linearizable read, its role, its alarms."""

import json
from collections.abc import Mapping
from typing import Any

from holdfast.components.etcd.build import CLIENT_PORT, TLS, UNIT
from holdfast.model.component import Context
from holdfast.model.member import Member
from holdfast.model.watch import Output, Probe, Reading, State

_QUOTA_BYTES = 2147483648
# Both the engine's own tool and curl call them so.
TLS_OPTIONS = ("--cacert", f"{TLS}/ca.crt", "--cert", f"{TLS}/host.crt", "--key", f"{TLS}/host.key")


def probes(context: Context) -> tuple[Probe, ...]:
    """One process asks two things: /health makes a read that needs the quorum, status names the leader."""
    url = f"https://{context.host.address}:{CLIENT_PORT}"
    argv = (
        "curl",
        *curl_options(),
        f"{url}/health",
        "--next",
        *curl_options(),
        "-d",
        "{}",
        f"{url}/v3/maintenance/status",
    )
    return (Probe("etcd", argv, read_etcd, units=(UNIT,)),)


def curl_options() -> tuple[str, ...]:
    """Return the options with which a member is asked on its own host."""
    return ("-sS", "--max-time", "2", *TLS_OPTIONS, "-w", "\\n")


def read_etcd(output: Output) -> Reading:
    """Read the two answers, one JSON object a line."""
    answers = [_object(line) for line in output.stdout.splitlines() if line.strip()]
    if not answers:
        return Reading(State.DOWN, reason=_silence(output))
    health, status = answers[0], answers[1] if len(answers) > 1 else {}
    role = _role(status)
    facts = _facts(status)
    if health.get("health") != "true":
        return Reading(State.DOWN, role, f"no quorum: {health.get('reason') or 'no leader answers'}", facts)
    if errors := status.get("errors"):
        return Reading(State.DEGRADED, role, f"alarm: {', '.join(errors)}", facts)
    if int(facts.get("db_bytes", "0")) > 0.8 * _QUOTA_BYTES:
        return Reading(State.DEGRADED, role, "the store is over 80 % of its quota; compact and defragment it", facts)
    return Reading(State.OK, role, facts=facts)


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _silence(output: Output) -> str:
    if output.exit_code in (28, 124):
        return "does not answer within 2 s: it waits for a quorum, or its disk hangs"
    return f"does not answer: {output.stderr.strip().splitlines()[0]}" if output.stderr.strip() else "does not answer"


def _role(status: Mapping[str, Any]) -> str:
    own = status.get("header", {}).get("member_id")
    if own is None or status.get("leader", "0") == "0":
        return ""
    return "leader" if status["leader"] == own else "follower"


def _facts(status: Mapping[str, Any]) -> dict[str, str]:
    wanted = {"version": "server_version", "raftTerm": "raft_term", "dbSize": "db_bytes", "raftIndex": "raft_index"}
    return {name: str(status[key]) for key, name in wanted.items() if key in status}


def violations(readings: Mapping[Member, Reading]) -> tuple[str, ...]:
    """Two leaders of one term must never be: Raft forbids it, so the data of one is damaged."""
    leaders: dict[str, list[str]] = {}
    for member, reading in sorted(readings.items()):
        if reading.role == "leader":
            leaders.setdefault(reading.facts.get("raft_term", ""), []).append(member.name)
    return tuple(
        f"two leaders in Raft term {term}: {' and '.join(names)}" for term, names in leaders.items() if len(names) > 1
    )
