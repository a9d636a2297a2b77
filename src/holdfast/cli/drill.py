"""The verbs that break a cluster on purpose: drill, and prove, which runs a whole suite and writes the report.

What they do is in `proving`, loaded when one of them is called: clients, checkers and reports take a tenth of
a second, and no other verb should wait for them.
"""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.common import CLUSTER_FILE, FileOption, Format, OutputOption, YesOption

SeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, max=2_147_483_647, help="Repeat the choices of a run.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    drill = typer.Typer(no_args_is_help=True, help="Break the cluster on purpose, and count what clients lose.")
    drill.command("list")(list_drills)
    drill.command("run")(run)
    drill.command("export")(export)
    drill.command("chaos")(chaos)
    app.add_typer(drill, name="drill")
    app.command()(prove)


def list_drills(file: FileOption = CLUSTER_FILE, output: OutputOption = Format.TEXT) -> None:
    """List the drills this cluster allows, the known disasters they play, and what cannot be injected here."""
    from holdfast.cli.proving import list_drills as listed

    listed(file, output)


def run(
    name: Annotated[str, typer.Argument(help="A drill of `holdfast drill list`.")],
    file: FileOption = CLUSTER_FILE,
    seed: SeedOption = None,
    output: OutputOption = Format.TEXT,
    yes: YesOption = False,
) -> None:
    """Run one drill: load from outside, the fault, its evidence, healing, and what was lost."""
    from holdfast.cli.proving import run as ran

    ran(file, name, seed, output, yes)


def export(name: str, file: FileOption = CLUSTER_FILE) -> None:
    """Print a drill as a Chaos Toolkit experiment."""
    from holdfast.cli.proving import export as exported

    exported(file, name)


def chaos(
    experiment: Annotated[Path, typer.Argument(help="A Chaos Toolkit experiment, in JSON.")],
    file: FileOption = CLUSTER_FILE,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Let it run Python functions too.")] = False,
) -> None:
    """Run a Chaos Toolkit experiment and print its journal; its rollbacks always run."""
    from holdfast.cli.proving import chaos as made

    made(file, experiment, allow_code)


def prove(
    file: FileOption = CLUSTER_FILE,
    full: Annotated[bool, typer.Option("--full/--fast", help="Every drill, or the dozen that matter most.")] = False,
    only: Annotated[list[str] | None, typer.Option("--only", help="Only these drills; may be given again.")] = None,
    seed: SeedOption = None,
    output: OutputOption = Format.TEXT,
    yes: YesOption = False,
) -> None:
    """Run the standard suite of drills and write the report: Markdown, one HTML page, JUnit, JSON."""
    from holdfast.cli.proving import prove as proved

    proved(file, full, only or [], seed, output, yes)
