"""Verbs that only read: nothing is changed, here or on a server."""

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.live import Live

from holdfast import __version__
from holdfast.cli.common import (
    CLUSTER_FILE,
    Exit,
    FileOption,
    Format,
    OutputOption,
    WithoutOption,
    cluster_of,
    complain,
    emit,
    note_newer_source,
    open_design,
    out,
    say,
    show,
)
from holdfast.console.svg import topology_svg
from holdfast.console.tables import explain_lines, findings_lines, history_lines, plan_lines, status_lines
from holdfast.console.topology import topology_text
from holdfast.console.words import counted
from holdfast.design import judge
from holdfast.design.design import foresee, plain
from holdfast.design.explain import as_json
from holdfast.design.load import explain, load
from holdfast.design.render import rendered
from holdfast.design.schema import schema
from holdfast.runner.cluster import Cluster
from holdfast.runner.plan import Plan
from holdfast.runner.runs import past_runs

WATCH_PAUSE_S = 1.0
HEALTH_CODES = {
    judge.HEALTHY: Exit.OK,
    judge.DEGRADED: Exit.DEGRADED,
    judge.DOWN: Exit.DEGRADED,
    judge.UNSAFE: Exit.UNSAFE,
    judge.UNKNOWN: Exit.UNKNOWN,
}


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    verbs = (check, render, plan, status, diff, topology, history)
    for verb in verbs:
        app.command()(verb)
    app.command("schema")(print_schema)
    app.command("version")(print_version)


def check(
    file: FileOption = CLUSTER_FILE,
    output: OutputOption = Format.TEXT,
    show_all: Annotated[bool, typer.Option("--explain", help="Show every setting with its default.")] = False,
) -> None:
    """Check a cluster file offline: errors, and what would be lost when a machine or zone dies."""
    spec = load(file)
    design = open_design(file)
    found = foresee(spec)
    rows = explain(file) if show_all else ()
    data: dict[str, Any] = {
        "schema_version": 1,
        "cluster": spec.name,
        "digest": design.digest,
        "findings": [plain(each) for each in found],
    }
    if show_all:
        data["settings"] = as_json(rows)
        data["members"] = [member.name for member in design.members]
    if output is Format.TEXT and show_all:
        show(explain_lines(rows))
    emit(output, data, findings_lines(found))
    size = f"{counted(len(design.members), 'member')} on {counted(len(spec.hosts), 'host')}"
    say(f"{file}: cluster {spec.name}, design {design.name}, {size}")


def render(folder: Path, file: FileOption = CLUSTER_FILE) -> None:
    """Write every config file of the design in plain form into a new or empty folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        complain(f"{folder} is not an empty folder")
        raise typer.Exit(Exit.ERROR)
    files = rendered(open_design(file))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    say(f"{len(files)} files in {folder}; secrets and certificates appear as @@names@@")


def plan(
    file: FileOption = CLUSTER_FILE,
    output: OutputOption = Format.TEXT,
    save: Annotated[Path | None, typer.Option("--out", help="Save the plan, to be applied as it is.")] = None,
    diffs: Annotated[bool, typer.Option("--diff/--no-diff", help="Show what changes inside files.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every single part.")] = False,
    without: WithoutOption = None,
) -> None:
    """Show what apply would change, with the effect of each change."""
    design = open_design(file)
    found = asyncio.run(cluster_of(file, design, without=without or ()).plan())
    emit(output, found.as_json(), plan_lines(found, diffs, verbose))
    note_newer_source(file, design.spec)
    if save is not None:
        save_plan(found, save)
    if found.unreachable:
        complain("\n".join(found.unreachable.values()))
        raise typer.Exit(Exit.DEGRADED)


def save_plan(found: Plan, path: Path) -> None:
    """Write a plan to a file."""
    path.write_text(json.dumps(found.as_json(), indent=1) + "\n")
    say(f"saved; holdfast apply {path} makes exactly these changes or refuses")


def status(
    file: FileOption = CLUSTER_FILE,
    output: OutputOption = Format.TEXT,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C.")] = False,
    without: WithoutOption = None,
) -> None:
    """Show the state of every member. Exit code 0 healthy, 3 degraded or down, 4 unsafe, 5 unknown."""
    cluster = cluster_of(file, open_design(file), without=without or ())
    if watch:
        _watch(cluster, output)
    found = asyncio.run(cluster.status())
    emit(output, found.as_json(), status_lines(found))
    raise typer.Exit(HEALTH_CODES[found.health])


def _watch(cluster: Cluster, output: Format) -> NoReturn:
    """Show the status again and again until Ctrl-C; in place on a terminal, one after the other elsewhere."""
    if output is Format.JSON or not out.is_terminal:
        while True:
            now = asyncio.run(cluster.status())
            emit(output, now.as_json(), status_lines(now))
            time.sleep(WATCH_PAUSE_S)
    with Live(console=out, auto_refresh=False, screen=True) as live:
        while True:
            live.update(status_lines(asyncio.run(cluster.status())), refresh=True)
            time.sleep(WATCH_PAUSE_S)


def diff(
    file: FileOption = CLUSTER_FILE,
    output: OutputOption = Format.TEXT,
    without: WithoutOption = None,
) -> None:
    """Show where servers differ from what Holdfast left there (drift). Exit code 6 when they do."""
    whole = asyncio.run(cluster_of(file, open_design(file), without=without or ()).plan())
    drift = Plan(whole.cluster, whole.digest, tuple(c for c in whole.changes if c.drift), (), whole.unreachable)
    emit(output, drift.as_json(), plan_lines(drift, diffs=True))
    if whole.unreachable:
        complain("\n".join(whole.unreachable.values()))
    if drift.changes:
        raise typer.Exit(Exit.DRIFT)
    raise typer.Exit(Exit.DEGRADED if whole.unreachable else Exit.OK)


def topology(
    file: FileOption = CLUSTER_FILE,
    output: OutputOption = Format.TEXT,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write a picture to this file.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Colour the picture by the present state.")] = False,
) -> None:
    """Draw hosts, members and who talks to whom."""
    design = open_design(file)
    if svg is not None:
        now = asyncio.run(cluster_of(file, design).status()) if live else None
        svg.write_text(topology_svg(design, now))
        say(f"drawn: {svg}")
        return
    data = {
        "schema_version": 1,
        "cluster": design.spec.name,
        "digest": design.digest,
        "hosts": [plain(host) for host in design.spec.hosts],
        "members": [member.name for member in design.members],
        "flows": [plain(flow) for flow in design.flows],
        "stages": [list(stage) for stage in design.stages],
    }
    emit(output, data, topology_text(design))


def history(file: FileOption = CLUSTER_FILE, output: OutputOption = Format.TEXT) -> None:
    """List what was done to the cluster from here, oldest first."""
    past = past_runs(file)
    emit(output, {"schema_version": 1, "runs": [plain(each) for each in past]}, history_lines(past))


def print_schema() -> None:
    """Print the JSON Schema of cluster.yaml, for editors."""
    emit(Format.JSON, schema(), "")


def print_version(output: OutputOption = Format.TEXT) -> None:
    """Print the version."""
    emit(output, {"schema_version": 1, "version": __version__}, f"holdfast {__version__}")
