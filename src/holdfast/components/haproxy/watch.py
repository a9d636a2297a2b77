"""Health of a router: whom it would send the next connection to."""

import csv
import io

from holdfast.components.haproxy.build import STATISTICS, UNIT
from holdfast.model.component import Context
from holdfast.model.watch import Output, Probe, Reading, State

_NAMES = {"sql_leader": "leader", "sql_replicas": "replicas", "cache_primary": "cache"}


def probes(_context: Context) -> tuple[Probe, ...]:
    """Ask the router's own statistics, over a socket that only root may open."""
    argv = ("curl", "-sS", "--max-time", "2", "--unix-socket", STATISTICS, "http://localhost/;csv")
    return (Probe("haproxy", argv, read_haproxy, units=(UNIT,)),)


def read_haproxy(output: Output) -> Reading:
    """Read the table of statistics: which servers of each farm are up."""
    if output.exit_code or not output.stdout.startswith("# pxname"):
        said = output.stderr.strip().splitlines()
        return Reading(State.DOWN, reason=f"does not answer: {said[0]}" if said else "does not answer")
    farms = _farms(output.stdout)
    up = {farm: sorted(name for name, is_up in servers.items() if is_up) for farm, servers in farms.items()}
    wrong = "; ".join(sentence for farm in up if (sentence := _complaint(farm, up[farm], len(farms[farm]))))
    facts = {_NAMES[farm]: ", ".join(servers) for farm, servers in up.items()}
    return Reading(State.DEGRADED if wrong else State.OK, reason=wrong, facts=facts)


def _farms(text: str) -> dict[str, dict[str, bool]]:
    """Return for every farm its servers (backups left out) and whether each is up."""
    found: dict[str, dict[str, bool]] = {}
    for row in csv.DictReader(io.StringIO(text.removeprefix("# "))):
        if row["pxname"] in _NAMES and row["svname"] not in ("FRONTEND", "BACKEND") and row["bck"] == "0":
            found.setdefault(row["pxname"], {})[row["svname"]] = row["status"].startswith("UP")
    return found


def _complaint(farm: str, up: list[str], total: int) -> str:
    if farm == "sql_replicas":
        # A single server is the leader and has no replica.
        return "" if up or total == 1 else "no database replica is reachable"
    what = "database leader" if farm == "sql_leader" else "cache primary"
    if not up:
        return f"no {what} is reachable"
    return "" if len(up) == 1 else f"{' and '.join(up)} both say they are the {what}"
