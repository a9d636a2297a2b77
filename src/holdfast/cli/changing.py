"""Verbs that change a running cluster."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.common import (
    CLUSTER_FILE,
    Exit,
    FileOption,
    TimeoutOption,
    WithoutOption,
    YesOption,
    cluster_of,
    complain,
    confirm,
    note_newer_source,
    open_design,
    say,
    show,
)
from holdfast.console.tables import plan_lines
from holdfast.design.design import Design
from holdfast.design.load import load, source_digest, source_files
from holdfast.model.spec import Source, Spec
from holdfast.runner.cluster import Cluster
from holdfast.runner.plan import Plan, saved_plan
from holdfast.runner.releases import Releases
from holdfast.runner.site import GateError, RunError


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(apply)
    app.command()(switchover)
    release = typer.Typer(help="Put a new release of the application live, or the one before.")
    release.callback(invoke_without_command=True)(deploy)
    release.command()(rollback)
    app.add_typer(release, name="release")


def apply(
    saved: Annotated[Path | None, typer.Argument(help="A plan saved by plan --out; applied without asking.")] = None,
    file: FileOption = CLUSTER_FILE,
    yes: YesOption = False,
    timeout_s: TimeoutOption = 180.0,
    without: WithoutOption = None,
) -> None:
    """Bring the servers to the design, stage by stage behind health gates. A second run changes nothing."""
    design = open_design(file)
    cluster = cluster_of(file, design, timeout_s, without or ())
    plan = _read_plan(saved) if saved else asyncio.run(cluster.plan())
    bring_about(cluster, plan, yes or saved is not None, diffs=saved is None)


def bring_about(cluster: Cluster, plan: Plan, yes: bool, diffs: bool) -> None:
    """Show a plan, ask, and make its changes. Raises RunError for hosts that did not answer."""
    spec = cluster.design.spec
    show(plan_lines(plan, diffs))
    note_newer_source(cluster.file, spec)
    if plan.unreachable:
        raise RunError("\n".join(plan.unreachable.values()) + "\nnothing was changed; --without leaves a host out")
    if not plan.empty:
        confirm(f"Make these changes to cluster {spec.name}?", yes)
        keep_first_release(cluster.file, spec)
        asyncio.run(cluster.apply(plan))
        say(f"done: cluster {spec.name} is at design {cluster.design.name}. Next: holdfast status")


def _read_plan(path: Path) -> Plan:
    try:
        return saved_plan(json.loads(path.read_text()))
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is not a saved plan ({error})") from error


def keep_first_release(file: Path, spec: Spec) -> None:
    """Before the first release is chosen, what lies beside the file is the release."""
    releases = Releases.beside(file)
    if not releases.line:
        for source in spec.sources.values():
            _store(file, source)
            releases.pin(source.digest)


def _store(file: Path, source: Source) -> None:
    root = file.resolve().parent / source.path
    Releases.beside(file).keep(source.digest, lambda: source_files(root))


def switchover(
    to: Annotated[str, typer.Option("--to", help="The host that shall lead; any healthy one when not given.")] = "",
    layer: Annotated[str, typer.Option("--layer", help="The layer whose leader moves.")] = "database",
    file: FileOption = CLUSTER_FILE,
    yes: YesOption = False,
    timeout_s: TimeoutOption = 60.0,
) -> None:
    """Move the leading role to another host in a planned way."""
    design = open_design(file)
    component = _leading_engine(design, layer)
    hosts = [member.host for member in design.of(component)]
    if to and to not in hosts:
        raise RunError(f"{component} does not run on {to}; it runs on {', '.join(hosts)}")
    confirm(f"Switch {component} of cluster {design.spec.name} over to {to or 'another host'}?", yes)
    now = asyncio.run(cluster_of(file, design, timeout_s).switchover(component, to))
    say(f"{', '.join(member.name for member in now) or 'nobody'} leads now. Next: holdfast status")


def _leading_engine(design: Design, layer: str) -> str:
    engine = design.spec.layers[layer].engine if layer in design.spec.layers else ""
    if not engine or design.components[engine].handover is None:
        able = [name for name, each in design.spec.layers.items() if design.components[each.engine].handover]
        raise RunError(f"layer {layer} has no leader that can be switched over; these have: {', '.join(able)}")
    return engine


def deploy(
    context: typer.Context,
    file: FileOption = CLUSTER_FILE,
    yes: YesOption = False,
    timeout_s: TimeoutOption = 60.0,
) -> None:
    """Put what lies in the application's source directory live, host by host behind health gates.

    When the new release does not become healthy, the one before comes back by itself.
    """
    if context.invoked_subcommand:
        return
    releases = Releases.beside(file)
    spec = load(file)
    if not spec.sources:
        raise RunError(f"{file}: the app layer has no source directory; a package is released by apply")
    (source,) = spec.sources.values()
    digest = source_digest(file.resolve().parent / source.path)
    _store(file, replace(source, digest=digest))
    releases.pin(digest)
    _roll(file, timeout_s, yes)


def rollback(file: FileOption = CLUSTER_FILE, yes: YesOption = False, timeout_s: TimeoutOption = 60.0) -> None:
    """Put the release before the present one live again."""
    digest = Releases.beside(file).unpin()
    say(f"going back to release {digest[:12]}")
    _roll(file, timeout_s, yes)


def _roll(file: Path, timeout_s: float, yes: bool) -> None:
    """Bring the pinned release to the servers; go back to the one before when it does not become healthy."""
    design = open_design(file)
    cluster = cluster_of(file, design, timeout_s)
    plan = asyncio.run(cluster.plan())
    _refuse_more_than_release(cluster, plan)
    if plan.empty:
        say("nothing to change: every host runs this release")
        return
    show(plan_lines(plan, diffs=False))
    confirm(f"Release to cluster {design.spec.name}?", yes)
    try:
        asyncio.run(cluster.apply(plan, "release"))
    except GateError as error:
        complain(str(error))
        _go_back(file, timeout_s)
        raise typer.Exit(Exit.ERROR) from None
    say("released. Next: holdfast status")


def _refuse_more_than_release(cluster: Cluster, plan: Plan) -> None:
    carriers = {name for name, each in cluster.design.components.items() if each.sources(cluster.design.spec)}
    others = sorted({change.member.name for change in plan.changes if change.member.component not in carriers})
    if others:
        raise RunError(f"there are other changes to make first ({', '.join(others)}): holdfast apply")
    if plan.unreachable:
        raise RunError("\n".join(plan.unreachable.values()) + "\nnothing was released")


def _go_back(file: Path, timeout_s: float) -> None:
    digest = Releases.beside(file).unpin()
    complain(f"the release did not become healthy; going back to {digest[:12]}")
    cluster = cluster_of(file, open_design(file), timeout_s)
    asyncio.run(cluster.apply(asyncio.run(cluster.plan()), "rollback"))
    say(f"release {digest[:12]} is live again on every host")
