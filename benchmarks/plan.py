"""How long it takes to find out that a cluster needs nothing: a plan of 3 and of 9 machines.

The whole command is timed, from its start to its end, as a person at a terminal sees it. The same question (are these
files, packages and units as they should be?) is then put to pyinfra and ansible, when they are installed.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import rivals
from holdfast.cli.common import open_design
from holdfast.design.design import Design
from holdfast.lab.lab import lab_obstacle

ROOT = Path(__file__).resolve().parent.parent
HOLDFAST = (sys.executable, "-m", "holdfast")
# For making a cluster, and for a rival that acts for the first time.
PATIENCE_S = 1200.0
LIMITS_S = {3: 1.0, 9: 2.0}
THREE = """\
name: bench3
hosts: {a: 10.78.3.11, b: 10.78.3.12, c: 10.78.3.13}
layers:
  edge: {hosts: [a, b, c], vip: 10.78.3.100}
  app: {hosts: [a, b, c], source: shop, command: python3 -m shop, packages: [PACKAGES]}
  database: {hosts: [a, b, c]}
  cache: {hosts: [a, b, c]}
"""
NINE = """\
name: bench9
hosts:
  edge1: 10.78.9.11
  edge2: 10.78.9.12
  app1: 10.78.9.21
  app2: 10.78.9.22
  app3: 10.78.9.23
  db1: 10.78.9.31
  db2: 10.78.9.32
  db3: 10.78.9.33
  mem1: 10.78.9.41
layers:
  edge: {hosts: [edge1, edge2], vip: 10.78.9.100}
  app: {hosts: [app1, app2, app3], source: shop, command: python3 -m shop, packages: [PACKAGES]}
  database: {hosts: [db1, db2, db3]}
  cache: {hosts: [mem1, db1, db2]}
"""
SPECS = {3: THREE, 9: NINE}
# What the example shop needs.
PACKAGES = "uvicorn, python3-starlette, python3-psycopg, python3-psycopg-c, python3-redis, python3-jinja2"


@dataclass(frozen=True, slots=True)
class Timed:
    """How long a command took, run after run, in seconds, and the processor time of this computer in it."""

    what: str
    runs_s: tuple[float, ...]
    cpu_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The middle one."""
        return median(self.runs_s)


class CommandError(Exception):
    """A command failed; the message holds its last words."""


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{text}\n")


def run(argv: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Raises CommandError when it fails or takes too long."""
    environment = {**os.environ, **rivals.ENVIRONMENT, "ANSIBLE_HOME": str(folder / "ansible")}
    try:
        done = subprocess.run(
            argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"{' '.join(argv)} took longer than {PATIENCE_S:g} s") from None
    if done.returncode:
        raise CommandError(f"{' '.join(argv)} failed ({done.returncode}):\n{(done.stdout + done.stderr)[-3000:]}")
    return done


def timed(what: str, act: Callable[[], None], runs: int) -> Timed:
    """Time something, so many times; once before that does not count."""
    act()
    times, cpu = [], []
    for _ in range(runs):
        begun, cpu_begun = time.perf_counter(), cpu_of_children_s()
        act()
        times.append(time.perf_counter() - begun)
        cpu.append(cpu_of_children_s() - cpu_begun)
        say(f"  {what}: {times[-1]:.2f} s")
    return Timed(what, tuple(times), tuple(cpu))


def cpu_of_children_s() -> float:
    """Return the processor time that commands have taken so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def cluster(machines: int, spec: str = "") -> Iterator[Path]:
    """Make a lab with a cluster that is as it should be; yields its folder. Nothing of it stays, on SIGTERM neither.

    ``spec``: another cluster file than the one for so many machines.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        folder = Path(name)
        shutil.copytree(
            ROOT / "examples" / "shop", folder / "shop", ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
        (folder / "cluster.yaml").write_text((spec or SPECS[machines]).replace("PACKAGES", PACKAGES))
        say(f"a lab of {machines} machines, and the cluster on it (some minutes)")
        before = signal.signal(signal.SIGTERM, _leave)
        try:
            run([*HOLDFAST, "lab", "up"], folder)
            run([*HOLDFAST, "apply", "--yes"], folder)
            yield folder
        finally:
            signal.signal(signal.SIGTERM, before)
            run([*HOLDFAST, "lab", "down"], folder)


def status_of(folder: Path) -> dict[str, Any]:
    """Return what ``holdfast status`` says of the cluster in a folder, healthy or not. Raises CommandError."""
    argv = (*HOLDFAST, "status", "-o", "json")
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise CommandError(f"no status: {(done.stdout + done.stderr)[-3000:]}") from error
    return found


def _leave(number: int, _frame: object) -> None:
    # As a shell says that a program was ended by a signal.
    raise SystemExit(128 + number)


def plan(folder: Path) -> None:
    """Make a plan; it must be whole and empty."""
    found = json.loads(run([*HOLDFAST, "plan", "--output", "json"], folder).stdout)
    if found["changes"] or found["unreachable"]:
        raise CommandError(f"the plan should be empty: {json.dumps(found)[:2000]}")


def measure(machines: int, runs: int) -> list[Timed]:
    """Time holdfast and all rivals that are installed on one cluster."""
    with cluster(machines) as folder:
        design = open_design(folder / "cluster.yaml")
        say(f"{machines} machines, {count(design)}")
        found = [timed("holdfast plan", lambda: plan(folder), runs)]
        for rival in rivals.installed():
            try:
                found.append(measure_rival(rival, folder, design, runs))
            except CommandError as error:
                say(f"{rival.name} could not be compared: {error}")
        return found


def measure_rival(rival: rivals.Rival, folder: Path, design: Design, runs: int) -> Timed:
    """Let a rival act once, so that nothing is left to change, then time how long it takes to find that out."""
    commands = rival.prepare(folder, design)
    run(commands.act, folder)

    def ask() -> None:
        answer = run(commands.ask, folder)
        # One of them tells its results on standard error.
        if wanted := commands.changes(answer.stdout + answer.stderr):
            raise CommandError(f"it wants to change something, which is another question: {wanted}")

    return timed(rival.name, ask, runs)


def count(design: Design) -> str:
    """Return in words how much a plan looks at."""
    sizes = rivals.sizes(design)
    return ", ".join(f"{number} {kind}" for kind, number in sizes.items())


def table(results: dict[int, list[Timed]]) -> str:
    """Return all results as a table, with the ratio to holdfast."""
    lines = [f"{'machines':>8}  {'what':<24} {'median':>8} {'worst':>8} {'ratio':>7} {'cpu here':>8}"]
    for machines, found in results.items():
        base = found[0].median_s
        for each in found:
            ratio = each.median_s / base
            times = f"{each.median_s:>6.2f} s {max(each.runs_s):>6.2f} s {ratio:>6.1f}× {median(each.cpu_s):>6.2f} s"
            lines.append(f"{machines:>8}  {each.what:<24} {times}")
    return "\n".join(lines)


def too_slow(results: dict[int, list[Timed]]) -> list[str]:
    """Return what is slower than promised."""
    return [
        f"a plan of {machines} machines takes {found[0].median_s:.2f} s; promised are {LIMITS_S[machines]:g} s"
        for machines, found in results.items()
        if found[0].median_s > LIMITS_S[machines]
    ]


def main() -> int:
    """Measure, print the table, and return 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--machines", type=int, nargs="+", choices=sorted(SPECS), default=sorted(SPECS))
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    if reason := lab_obstacle():
        sys.exit(reason)
    try:
        results = {machines: measure(machines, chosen.runs) for machines in chosen.machines}
    except CommandError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{table(results)}\n{rivals.absent()}")
    for line in (slow := too_slow(results)):
        say(line)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
