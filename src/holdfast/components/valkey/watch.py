"""Who leads the cache, who follows, and whether the sentinels could agree on another."""

from collections.abc import Mapping
from dataclasses import replace

from holdfast.components.valkey.build import PROBE, SENTINEL, SERVER, WATCH
from holdfast.components.valkey.spec import data_hosts, sentinel_hosts
from holdfast.model.component import Context
from holdfast.model.member import Member
from holdfast.model.watch import Held, Output, Probe, Reading, State, Watch

PRIMARY, REPLICA, WATCHER = "primary", "replica", "sentinel"


def probes(context: Context) -> tuple[Probe, ...]:
    """Ask the server where data is kept, and the sentinel where there is one."""
    here = context.host.name
    server = Probe("server", (PROBE, "server"), read_server, units=(SERVER,))
    keeps_data = here in data_hosts(context.spec)
    # On a host with data the server's role is the member's; alone, the sentinel's is.
    reader = read_sentinel if keeps_data else read_sentinel_only
    sentinel = Probe("sentinel", (PROBE, "sentinel"), reader, units=(SENTINEL,))
    return (*((server,) if keeps_data else ()), *((sentinel,) if here in sentinel_hosts(context.spec) else ()))


def read_server(output: Output) -> Reading:
    """Read ``INFO replication``."""
    facts = dict(line.strip().split(":", 1) for line in output.stdout.splitlines() if ":" in line)
    if "LOADING" in output.stdout:
        return Reading(State.STARTING, reason="it is loading its data from disk")
    if output.exit_code or "role" not in facts:
        return Reading(State.DOWN, reason=f"the server does not answer: {_last(output)}")
    return _read_primary(facts) if facts["role"] == "master" else _read_replica(facts)


def _read_primary(facts: dict[str, str]) -> Reading:
    # min_slaves_good_slaves appears only when writes depend on replicas.
    good = facts.get("min_slaves_good_slaves", "")
    kept = {"replicas": facts.get("connected_slaves", "0"), "offset": facts.get("master_repl_offset", "")}
    kept["accepts_writes"] = "no" if good == "0" else "yes"
    if good == "0":
        return Reading(State.DEGRADED, PRIMARY, "no replica follows: it refuses writes until one does", kept)
    return Reading(State.OK, PRIMARY, facts=kept)


def _read_replica(facts: dict[str, str]) -> Reading:
    primary = facts.get("master_host", "")
    kept = {"primary": primary, "offset": facts.get("slave_repl_offset", "")}
    if facts.get("master_sync_in_progress") == "1":
        return Reading(State.STARTING, REPLICA, f"it is copying the data of {primary}", kept)
    if facts.get("master_link_status") != "up":
        silent_s = facts.get("master_link_down_since_seconds", "?")
        return Reading(State.DEGRADED, REPLICA, f"no connection to the primary {primary} for {silent_s} s", kept)
    return Reading(State.OK, REPLICA, facts=kept)


def read_sentinel(output: Output) -> Reading:
    """Read ``SENTINEL CKQUORUM``."""
    answer = output.stdout.strip()
    if not output.exit_code and answer.startswith("OK "):
        return Reading(State.OK, facts={"sentinels": answer.split()[1]})
    if "NOQUORUM" in answer:
        return Reading(State.DEGRADED, reason="too few sentinels in reach: no failover is possible now")
    return Reading(State.DOWN, reason=f"the sentinel does not answer: {_last(output)}")


def read_sentinel_only(output: Output) -> Reading:
    """Read ``SENTINEL CKQUORUM`` on a host that only watches."""
    return replace(read_sentinel(output), role=WATCHER)


def _last(output: Output) -> str:
    lines = (output.stderr.strip() or output.stdout.strip()).splitlines()
    return lines[-1] if lines else "no answer"


def watches(context: Context) -> tuple[Watch, ...]:
    """Whether this host's server is a primary that accepts writes."""
    if context.host.name not in data_hosts(context.spec):
        return ()
    return (Watch("cache primary", "accepts the cache's writes", (WATCH,), "?", read_accepting),)


def read_accepting(answer: str) -> Held | None:
    """Read one answer: the role, and how many good replicas it has (0: it refuses writes; ``-``: it never does)."""
    role, _, good = answer.partition(" ")
    if role not in ("master", "slave") or not good:
        return None
    return Held(role == "master" and good != "0")


def violations(readings: Mapping[Member, Reading]) -> tuple[str, ...]:
    """Two primaries that both accept writes: what one of them accepts will be lost."""
    leading = [
        member.host
        for member, reading in sorted(readings.items())
        if reading.role == PRIMARY and reading.facts.get("accepts_writes") == "yes"
    ]
    return (f"the caches of {' and '.join(leading)} accept writes at once",) if len(leading) > 1 else ()
