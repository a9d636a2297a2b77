"""What a failure costs clients: the same drills several times in several variants, and the longest gaps as a table.

Every run is a whole drill with its evidence and its checker. A run whose drill is not kept is counted, not left out.
Only a run during which strangers took the computer's processors away is made again, unless it lost something.
The variants are the same cluster with other timings: without the watch over the leader's host, and the timings that
Patroni and Pigsty (its preset ``fast``) come with. What else those projects do differently is not in them.
All of it takes two hours and more: ``--keep FILE`` adds each row to a file, and what is there is not run again.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.plan import HOLDFAST, PATIENCE_S, CommandError, cluster, run, say, status_of
from holdfast.components.postgres.build import CONFIG
from holdfast.drills.numbers import percentile
from holdfast.lab.lab import lab_obstacle
from holdfast.lab.stolen import TOLERATED, Lookout

DRILLS = (
    "leader-crash",
    "switchover",
    "vip-holder-power-off",
    "leader-power-off",
    "leader-isolated",
    "leader-freeze",
    "cache-primary-power-off",
)
# For these the timings matter, so they are what variants are measured with.
COMPARED = ("leader-power-off", "leader-isolated", "leader-freeze", "leader-crash", "switchover")
# What the loss of the floating address' holder costs, and not that of the database's leader on the same host.
APART = "vip-holder-power-off"
COLUMNS = {"writes": "write order", "sql": "sql write", "reads": "read page", "cache": "cache write"}
MACHINES = 3
# For how long all runs together wait for processors (s), and how often a run without them is made again.
REST_S, AGAIN = 3600.0, 2
# Exit codes of a drill that ran: kept, broken, unknown.
RAN = (0, 4, 5)


@dataclass(frozen=True, slots=True)
class Variant:
    """A cluster to compare with: whether the watch is on, and settings of Patroni that are not ours."""

    watch: bool
    settings: Mapping[str, int] = field(default_factory=dict)


VARIANTS = {
    "as it is": Variant(watch=True),
    "without the watch": Variant(watch=False),
    # https://patroni.readthedocs.io, dynamic configuration: ttl, loop_wait, retry_timeout, primary_start_timeout.
    "patroni's defaults": Variant(
        watch=False, settings={"ttl": 30, "loop_wait": 10, "retry_timeout": 10, "primary_start_timeout": 300}
    ),
    # https://pigsty.io, high availability, preset "fast" of 2026-11.
    "pigsty fast": Variant(
        watch=False, settings={"ttl": 20, "loop_wait": 5, "retry_timeout": 5, "primary_start_timeout": 15}
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One drill in one variant, run after run: longest gaps in seconds by path, what was lost, and the verdicts.

    ``taken``: the largest share of the computer's processors that was taken away in ten seconds of each run.
    ``ended``: when the last run was over, in UTC; rows that were kept are of another hour than those beside them.
    """

    drill: str
    variant: str
    gaps_s: dict[str, tuple[float, ...]]
    lost: int
    acknowledged: int
    verdicts: tuple[str, ...]
    taken: tuple[float, ...]
    ended: str = ""


def make_variant(variant: Variant, folder: Path) -> None:
    """Make the cluster in a folder one of a variant. Raises CommandError."""
    file = folder / "cluster.yaml"
    text = file.read_text().replace(", early_failover: true", "")
    if variant.watch:
        text = text.replace("database: {hosts: [a, b, c]", "database: {hosts: [a, b, c], early_failover: true")
    file.write_text(text)
    run([*HOLDFAST, "apply", "--yes"], folder)
    settings = [word for name, number in variant.settings.items() for word in ("--set", f"{name}={number}")]
    if settings:
        ask = ("patronictl", "-c", CONFIG, "edit-config", "--force", "--quiet")
        run([*HOLDFAST, "lab", "shell", "a", "--", *ask, *settings], folder)


def run_drill(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Run one drill and return its record. Raises CommandError when it could not be run."""
    argv = [*HOLDFAST, "drill", "run", name, "--seed", str(seed), "-o", "json"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    if done.returncode not in RAN:
        raise CommandError(f"{name}: {(done.stdout + done.stderr)[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run_rested(name: str, seed: int, folder: Path, lookout: Lookout) -> tuple[dict[str, Any], float]:
    """Run one drill with all processors there; return its record and the largest share that was taken after all.

    A run that lost something is not made again: no computer excuses that.
    """
    for _ in range(AGAIN + 1):
        if name == APART:
            part(folder)
        lookout.rest()
        record = run_drill(name, seed, folder)
        if (taken := lookout.robbed()) <= TOLERATED or any(each["lost"] for each in writes_of(record)):
            break
        say(f"  {name}: up to {taken:.0%} of the processors was taken away; {longest(record, 'write order')}")
    return record, taken


def part(folder: Path) -> None:
    """Hand the lead of the database over when its host holds the floating address as well. Raises CommandError."""
    status = status_of(folder)
    members = [each for each in status["members"] if each["component"] == "postgres"]
    if status["vip_holder"] in {each["host"] for each in members if each["role"] == "leader"}:
        run([*HOLDFAST, "switchover", "--yes"], folder)


def longest(record: dict[str, Any], path: str) -> str:
    """Return the longest gap of one path in words."""
    return ", ".join(f"{path} {each['longest_gap_s']:.2f} s" for each in record["paths"] if each["name"] == path)


def writes_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the paths of one record whose acknowledged writes may never be lost."""
    return [each for each in record["paths"] if each["name"] in ("write order", "sql write")]


def row_of(drill: str, variant: str, found: Sequence[tuple[dict[str, Any], float]]) -> Row:
    """Put the records of one drill in one variant together, each with the share of the processors that was taken."""
    records = [record for record, _ in found]
    paths = [{each["name"]: each for each in record["paths"]} for record in records]
    gaps = {
        column: tuple(found[path]["longest_gap_s"] for found in paths if path in found)
        for column, path in COLUMNS.items()
    }
    writes = [write for record in records for write in writes_of(record)]
    return Row(
        drill,
        variant,
        gaps,
        sum(each["lost"] or 0 for each in writes),
        sum(each["acknowledged"] for each in writes),
        tuple(record["verdict"] for record in records),
        tuple(taken for _, taken in found),
        f"{datetime.now(UTC):%m-%d %H:%M}",
    )


def kept_rows(keep: Path | None) -> list[Row]:
    """Return the rows of a file, one in each line; none without a file. Raises CommandError."""
    if keep is None or not keep.exists():
        return []
    try:
        return [_kept(json.loads(line)) for line in keep.read_text().splitlines()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{keep} holds no rows of this benchmark: {error!r}") from error


def _kept(row: dict[str, Any]) -> Row:
    gaps_s = {column: tuple(values) for column, values in row["gaps_s"].items()}
    return Row(**{**row, "gaps_s": gaps_s, "verdicts": tuple(row["verdicts"]), "taken": tuple(row["taken"])})


def keep_row(row: Row, keep: Path | None) -> None:
    """Append a row to a file, if there is one to keep it in."""
    if keep is not None:
        with keep.open("a") as file:
            file.write(f"{json.dumps(asdict(row))}\n")


def p95(values: Sequence[float]) -> float:
    """Return the value that 95 % do not exceed; the worst one of fewer than 20, 0 without values."""
    return percentile(values, 95) or 0.0


def table(rows: Sequence[Row]) -> str:
    """Return all rows as a table: median and 95th percentile of the longest gaps, what was lost, and ratios."""
    head = "".join(f"{f'{name} (s)':>16}" for name in COLUMNS)
    lines = [
        f"{'longest gap':<24}{'variant':<20}{head}  {'writes':>7}  {'lost':>12}  n  taken  {'ended':<11}  verdicts",
        f"{'':<44}{'median / p95':>16}{'':>48}  {'ratio':>7}",
    ]
    for row in rows:
        cells = "".join(
            f"{f'{median(found):.2f} / {p95(found):.2f}' if found else '-':>16}" for found in row.gaps_s.values()
        )
        words = ", ".join(f"{row.verdicts.count(word)} {word}" for word in sorted(set(row.verdicts)))
        lost = f"{row.lost} of {row.acknowledged}"
        runs = f"{len(row.verdicts)}  {max(row.taken):>5.0%}  {row.ended:<11}"
        lines.append(f"{row.drill:<24}{row.variant:<20}{cells}  {ratio(row, rows):>7}  {lost:>12}  {runs}  {words}")
    return "\n".join(lines)


def ratio(row: Row, rows: Sequence[Row]) -> str:
    """Return how many times the median gap between writes is that of the same drill in the first variant."""
    first = next(each for each in rows if each.drill == row.drill)
    if first is row or not (first.gaps_s["writes"] and row.gaps_s["writes"]):
        return ""
    return f"{median(row.gaps_s['writes']) / median(first.gaps_s['writes']):.1f}x"


def wanted(drills: Sequence[str], variants: Sequence[str], there: Sequence[Row]) -> dict[str, list[str]]:
    """Return the drills to run by variant: only those that the timings matter for in more than the first."""
    known = {(row.variant, row.drill) for row in there}
    pairs = [(name, each) for name in variants for each in drills if name == variants[0] or each in COMPARED]
    missing = [pair for pair in pairs if pair not in known]
    return {name: [each for variant, each in missing if variant == name] for name, _ in missing}


def measure(todo: Mapping[str, Sequence[str]], runs: int, folder: Path, rows: list[Row], keep: Path | None) -> None:
    """Run the drills of all variants, and put their rows after those that are there."""
    lookout = Lookout(REST_S)
    for name, drills in todo.items():
        make_variant(VARIANTS[name], folder)
        for drill in drills:
            records = []
            for seed in range(runs):
                record, taken = run_rested(drill, seed, folder, lookout)
                records.append((record, taken))
                gaps = ", ".join(longest(record, path) for path in COLUMNS.values())
                say(f"  {name}, {drill}: {record['verdict']}, {gaps}; {taken:.0%} taken; {record['reason'][:160]}")
            rows.append(row_of(drill, name, records))
            keep_row(rows[-1], keep)
            # After each: a benchmark that is broken off has shown something all the same.
            say(table(rows))


def main() -> int:
    """Run all drills and print the table; return 1 when something acknowledged was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--drills", nargs="+", default=DRILLS)
    parser.add_argument("--variants", nargs="+", default=tuple(VARIANTS), choices=tuple(VARIANTS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="a file of rows: those in it are not run again, new ones are added")
    chosen = parser.parse_args()
    if reason := lab_obstacle():
        sys.exit(reason)
    try:
        rows = kept_rows(chosen.keep)
        if todo := wanted(chosen.drills, chosen.variants, rows):
            with cluster(MACHINES) as folder:
                measure(todo, chosen.runs, folder, rows, chosen.keep)
    except CommandError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{table(rows)}\n")
    return 1 if any(row.lost for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
