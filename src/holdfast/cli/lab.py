"""The lab verbs: your cluster in miniature, on this computer."""

import os
from pathlib import Path
from typing import Annotated

import asyncssh
import typer

from holdfast.cli.common import CLUSTER_FILE, FileOption, Format, OutputOption, emit, open_design, say
from holdfast.design.design import Design, plain
from holdfast.lab.lab import Lab, LabPlan, MachinePlan
from holdfast.runner.vault import FOLDER, private_folder


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    lab = typer.Typer(
        no_args_is_help=True, help="A real machine for every host of the cluster file, on this computer."
    )
    for verb in (up, down, status, shell, heal):
        lab.command()(verb)
    power = typer.Typer(no_args_is_help=True, help="The power switch of each machine.")
    power.command("off")(power_off)
    power.command("on")(power_on)
    lab.add_typer(power, name="power")
    app.add_typer(lab, name="lab")


def up(
    file: FileOption = CLUSTER_FILE,
    bare: Annotated[bool, typer.Option("--bare", help="Base packages only: apply installs everything.")] = False,
) -> None:
    """Make and start one Debian 13 machine for each host; what is there already stays."""
    lab = lab_of(file, open_design(file), bare)
    lab.up()
    say("Next: holdfast apply")


def down(file: FileOption = CLUSTER_FILE) -> None:
    """Remove every machine of the lab and every trace of it; the image cache stays."""
    lab_of(file, open_design(file)).down()
    (file.resolve().parent / FOLDER / "known_hosts.json").unlink(missing_ok=True)


def status(file: FileOption = CLUSTER_FILE, output: OutputOption = Format.TEXT) -> None:
    """Show which machines are on."""
    states = lab_of(file, open_design(file)).status()
    lines = "\n".join(f"{each.name:<12} {each.address:<16} {each.power}" for each in states)
    emit(output, {"schema_version": 1, "machines": [plain(each) for each in states]}, lines)


def shell(
    name: str,
    command: Annotated[list[str] | None, typer.Argument(help="A command instead of a shell, after --.")] = None,
    file: FileOption = CLUSTER_FILE,
) -> None:
    """Enter a machine as root, without SSH."""
    argv = lab_of(file, open_design(file)).shell_argv(name, command or ())
    os.execvp(argv[0], argv)  # noqa: S606


def heal(file: FileOption = CLUSTER_FILE) -> None:
    """Undo every fault that a drill left in force under the machines; what is off stays off."""
    lab = lab_of(file, open_design(file))
    lab.heal()
    say(f"nothing that lies under the machines of {lab.plan.name} is broken on purpose")


def power_off(name: str, file: FileOption = CLUSTER_FILE) -> None:
    """Cut a machine's power: everything in it is gone at once, its disk stays."""
    lab_of(file, open_design(file)).power_off(name)
    say(f"{name} is off. Next: holdfast status; holdfast lab power on {name}")


def power_on(name: str, file: FileOption = CLUSTER_FILE) -> None:
    """Switch a machine on again."""
    lab_of(file, open_design(file)).power_on(name)
    say(f"{name} is on. Next: holdfast status")


def lab_of(file: Path, design: Design, bare: bool = False) -> Lab:
    """Return the lab of a design; its SSH key is made on first use."""
    spec = design.spec
    plan = LabPlan(
        name=spec.name,
        network=str(spec.network),
        machines=tuple(MachinePlan(host.name, host.address) for host in spec.hosts),
        packages=() if bare else design.packages(),
        units_off=() if bare else design.units(),
        authorized_key=_public_key(file.resolve().parent / FOLDER / "ssh" / "id_ed25519"),
        reserved=(spec.entry.vip,) if spec.entry.vip else (),
    )
    return Lab(plan, say)


def _public_key(path: Path) -> str:
    if not path.exists():
        private_folder(path.parent)
        key = asyncssh.generate_private_key("ssh-ed25519", comment="holdfast-lab")
        path.touch(mode=0o600)
        path.write_bytes(key.export_private_key("openssh"))
    return asyncssh.read_private_key(path).export_public_key("openssh").decode().strip()
