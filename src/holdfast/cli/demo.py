"""The demo: a cluster on real machines, a power cut, and what clients saw of it."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.changing import bring_about
from holdfast.cli.common import (
    CLUSTER_FILE,
    Exit,
    FileOption,
    Format,
    OutputOption,
    authority_file,
    cluster_of,
    emit,
    open_design,
    say,
)
from holdfast.cli.lab import lab_of
from holdfast.design.design import Design
from holdfast.design.judge import Status
from holdfast.drills.demo import DemoError, DemoStage, run_demo
from holdfast.drills.priority import go_first
from holdfast.drills.result import DemoResult, story
from holdfast.drills.talk import Talk
from holdfast.lab.lab import Lab
from holdfast.runner.cluster import Cluster
from holdfast.runner.site import RunError
from holdfast.wire.http import HttpDoor

LED_LAYER = "database"
# The drill that the demo ends with: short, and something other than what it has just shown.
LAST_DRILL = "leader-crash"


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(demo)


def demo(
    file: FileOption = CLUSTER_FILE,
    output: OutputOption = Format.TEXT,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="Seconds a member may take.")] = 180.0,
) -> None:
    """Make the lab, apply the cluster, cut the leader's power while clients shop, and count what they lost."""
    design = open_design(file)
    if not design.spec.entry.vip:
        raise RunError(f"{file}: the demo comes in through the floating address; give the edge layer a vip")
    lab = lab_of(file, design)
    lab.up()
    cluster = cluster_of(file, design, timeout_s)
    bring_about(cluster, asyncio.run(cluster.plan()), yes=True, diffs=False)
    try:
        result = asyncio.run(_play(file, cluster, lab))
    except DemoError as error:
        raise RunError(str(error)) from error
    emit(output, result.as_json(), "\n" + "\n".join(story(result)) + "\n")
    code = Exit.OK if result.kept else Exit.UNKNOWN if result.kept is None else Exit.UNSAFE
    if output is Format.TEXT:
        code = code or _last_drill(file, design)
    for line in _farewell(file, design):
        say(line)
    raise typer.Exit(code)


def _last_drill(file: Path, design: Design) -> Exit:
    from holdfast.cli.proving import play_named

    say("\nNow a drill: many kinds of clients, a fault with its evidence, and an exact checker.")
    return play_named(file, design, LAST_DRILL, seed=1)


async def _play(file: Path, cluster: Cluster, lab: Lab) -> DemoResult:
    go_first()
    talk = Talk(sys.stderr)
    door = HttpDoor(f"https://{cluster.design.spec.entry.vip}", authority_file(file))
    stage = DemoStage(
        door=door,
        status=cluster.status,
        leader=lambda status: leading_host(cluster.design, status),
        power_off=lab.power_off,
        power_on=lab.power_on,
        say=talk.say,
        live=talk.live,
        promised_rto_s=cluster.design.spec.promises.rto_s,
    )
    try:
        return await run_demo(stage)
    finally:
        await door.close()


def leading_host(design: Design, status: Status) -> str:
    """Return the host that leads the database layer, "" when none does."""
    engine = design.spec.layers[LED_LAYER].engine
    roles = design.components[engine].lead_roles
    found = (
        member.host for member, reading in status.members if member.component == engine and reading.role in roles
    )
    return next(found, "")


def _farewell(file: Path, design: Design) -> tuple[str, ...]:
    named = "" if file == CLUSTER_FILE else f" -f {file}"
    return (
        f"Everything is left running. The shop: https://{design.spec.entry.vip}/",
        f"  (its certificate is signed by this cluster's own CA: {authority_file(file)})",
        "Next, with .venv/bin/holdfast:",
        f"  holdfast status{named} --watch        the whole cluster on one page",
        f"  holdfast drill list{named}            the disasters it can be put through; then: drill run NAME",
        f"  holdfast prove{named}                 a dozen of them, with a report to show",
        f"  holdfast switchover{named}            move the database leader in a planned way",
        f"  holdfast lab power off NAME{named}    your own power cut; then: power on",
        f"  holdfast topology{named} --svg FILE   a picture of it",
        "  make clean                      remove every machine and every trace",
    )
