"""Whether the front door answers on its public port, and how it shares requests out."""

import json
import re
from typing import Any

from holdfast.components.nginx.build import CERTIFICATE, DRAINED, LOCAL_NAME, RUN, UNIT, WATCH_UNIT
from holdfast.model.component import Context
from holdfast.model.watch import Output, Probe, Reading, State

_ACTIVE = re.compile(r"Active connections: (\d+)")
_TOTALS = re.compile(r"^ (\d+) (\d+) (\d+) $", re.MULTILINE)
# The service writes once a second; the front door itself forgets weights after 5 s.
OLD_S = 5.0
_WHY = {
    7: "nothing listens on port 443",
    28: "port 443 is open, but no answer came within 2 s: the workers hang",
    35: "the TLS handshake fails",
    124: "no answer within the probe's time",
}


def probes(_context: Context) -> tuple[Probe, ...]:
    """One request through the public port, to a name that only this host may ask for."""
    url = f"https://{LOCAL_NAME}/status"
    # The user's own certificate does not bear our name, so only the handshake is checked here.
    where = ("--insecure", "--resolve", f"{LOCAL_NAME}:443:127.0.0.1")
    argv = ("curl", "--silent", "--show-error", "--fail", "--max-time", "2", *where, url)
    return (
        Probe("front", argv, read_front, units=(UNIT,)),
        Probe("drained", ("sh", "-c", f"ls -A {DRAINED} 2>/dev/null; echo listed"), read_drained),
        Probe("servers", ("sh", "-c", f"date +%s && cat {RUN}/status.json"), read_servers, units=(WATCH_UNIT,)),
    )


def read_front(output: Output) -> Reading:
    """Read nginx's own counters."""
    if output.exit_code:
        return Reading(State.DOWN, reason=_WHY.get(output.exit_code, output.stderr.strip() or "no answer"))
    active, totals = _ACTIVE.search(output.stdout), _TOTALS.search(output.stdout)
    if not active or not totals:
        return Reading(State.UNKNOWN, reason=f"another server answers on port 443 (not what {CERTIFICATE} is for)")
    return Reading(State.OK, facts={"connections": active.group(1), "requests": totals.group(3)})


def read_drained(output: Output) -> Reading:
    """Read which servers an operator or an apply has taken out of use."""
    *out, last = output.stdout.split() or [""]
    if last != "listed":
        return Reading(State.UNKNOWN, reason=output.stderr.strip() or "the servers out of use cannot be listed")
    if out:
        names = ", ".join(out)
        return Reading(State.DEGRADED, reason=f"taken out of use: {names}", facts={"drained": names})
    return Reading(State.OK)


def read_servers(output: Output) -> Reading:
    """Read the host's time in the first line, and below it what edge-watch thinks of every server.

    A server out of use is no illness of the front door: the application says itself what ails it.
    """
    if output.exit_code:
        why = "edge-watch does not run: servers are found dead by failing requests only, and all weigh the same"
        return Reading(State.DEGRADED, reason=f"{why} ({output.stderr.strip() or 'no answer'})")
    first, _, rest = output.stdout.partition("\n")
    status: dict[str, Any] = json.loads(rest)
    servers, age_s = status["servers"], float(first) - status["at"]
    facts = _facts(servers)
    if age_s > OLD_S:
        return Reading(State.DEGRADED, reason=f"edge-watch hangs: its weights are {age_s:.0f} s old", facts=facts)
    return Reading(State.OK, reason=f"out of use: {facts['out']}" if "out" in facts else "", facts=facts)


def _facts(servers: dict[str, Any]) -> dict[str, str]:
    weights = {name: 0.0 if each["out"] else each["weight"] for name, each in servers.items()}
    facts = {"weights": ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())}
    if out := ", ".join(f"{name}: {each['out']}" for name, each in servers.items() if each["out"]):
        facts["out"] = out
    return facts
