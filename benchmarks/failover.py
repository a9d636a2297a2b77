"""What a failure costs clients: the same drill several times, and the longest gaps as a table.

Every run is a whole drill with its evidence and its checker. A run whose drill is not kept is counted, not left out.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.plan import HOLDFAST, PATIENCE_S, CommandError, cluster, say
from holdfast.lab.lab import lab_obstacle

DRILLS = ("leader-crash", "switchover", "vip-holder-power-off", "leader-power-off")
COLUMNS = {"writes": "write order", "sql": "sql write", "reads": "read page", "cache": "cache write"}
MACHINES = 3
# Exit codes of a drill that ran: kept, broken, unknown.
RAN = (0, 4, 5)


@dataclass(frozen=True, slots=True)
class Row:
    """One drill, run after run: longest gaps in seconds by path, what was lost, and the verdicts."""

    drill: str
    gaps_s: dict[str, tuple[float, ...]]
    lost: int
    acknowledged: int
    verdicts: tuple[str, ...]


def run_drill(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Run one drill and return its record. Raises CommandError when it could not be run."""
    argv = [*HOLDFAST, "drill", "run", name, "--seed", str(seed), "-o", "json"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    if done.returncode not in RAN:
        raise CommandError(f"{name}: {(done.stdout + done.stderr)[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def row_of(drill: str, records: Sequence[dict[str, Any]]) -> Row:
    """Put the records of one drill together."""
    paths = [{each["name"]: each for each in record["paths"]} for record in records]
    gaps = {
        column: tuple(found[path]["longest_gap_s"] for found in paths if path in found)
        for column, path in COLUMNS.items()
    }
    writes = [found[path] for found in paths for path in ("write order", "sql write") if path in found]
    return Row(
        drill,
        gaps,
        sum(each["lost"] or 0 for each in writes),
        sum(each["acknowledged"] for each in writes),
        tuple(record["verdict"] for record in records),
    )


def p95(values: Iterable[float]) -> float:
    """Return the value that 95 % do not exceed, by the nearest rank; the worst one of fewer than 20."""
    found = sorted(values)
    return found[math.ceil(0.95 * len(found)) - 1]


def table(rows: Sequence[Row]) -> str:
    """Return all drills as a table: median and 95th percentile of the longest gaps, and what was lost."""
    head = "".join(f"{f'{name} (s)':>16}" for name in COLUMNS)
    lines = [f"{'longest gap':<22}{head}  {'lost':>12}  n  verdicts", f"{'':<22}{'median / p95':>16}"]
    for row in rows:
        cells = "".join(
            f"{f'{median(found):.2f} / {p95(found):.2f}' if found else '-':>16}" for found in row.gaps_s.values()
        )
        words = ", ".join(f"{row.verdicts.count(word)} {word}" for word in sorted(set(row.verdicts)))
        lines.append(
            f"{row.drill:<22}{cells}  {f'{row.lost} of {row.acknowledged}':>12}  {len(row.verdicts)}  {words}"
        )
    return "\n".join(lines)


def main() -> int:
    """Run all drills and print the table; return 1 when something acknowledged was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--drills", nargs="+", default=DRILLS)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    if reason := lab_obstacle():
        sys.exit(reason)
    rows = []
    try:
        with cluster(MACHINES) as folder:
            for drill in chosen.drills:
                records = []
                for seed in range(chosen.runs):
                    records.append(run_drill(drill, seed, folder))
                    say(f"  {drill}: {records[-1]['verdict']}, {records[-1]['reason'][:160]}")
                rows.append(row_of(drill, records))
                # After each: a benchmark that is broken off has shown something all the same.
                say(table(rows))
    except CommandError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{table(rows)}\n")
    return 1 if any(row.lost for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
