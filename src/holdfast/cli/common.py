"""What all verbs share: options, exit codes, data on stdout and talk on stderr."""

import json
import sys
from collections.abc import Sequence
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType

from holdfast.design.bind import BindError
from holdfast.design.design import Design, make_design
from holdfast.design.load import load, source_digest
from holdfast.model.event import Event
from holdfast.model.spec import Spec
from holdfast.runner.cluster import Cluster
from holdfast.runner.releases import Releases
from holdfast.runner.vault import FOLDER, Vault
from holdfast.wire.base import Wire
from holdfast.wire.ssh import Address, connect


class Exit(IntEnum):
    """Exit codes, the same for every verb."""

    OK = 0
    ERROR = 1
    USAGE = 2
    DEGRADED = 3
    UNSAFE = 4
    UNKNOWN = 5
    DRIFT = 6
    LOCKED = 75
    INTERRUPTED = 130


class Format(StrEnum):
    """How data is printed."""

    TEXT = "text"
    JSON = "json"


FileOption = Annotated[
    Path, typer.Option("--file", "-f", envvar="HOLDFAST_FILE", help="The cluster file.", show_default=True)
]
OutputOption = Annotated[Format, typer.Option("--output", "-o", help="Text for people or JSON for programs.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds a changed member may take to become healthy.")
]
WithoutOption = Annotated[
    list[str] | None, typer.Option("--without", help="Leave a host out on purpose; may be given again.")
]

CLUSTER_FILE = Path("cluster.yaml")
out = Console()
talk = Console(stderr=True, highlight=False)


def complain(text: str) -> None:
    """Print an error, as it is, on stderr."""
    talk.print(text, style="red", markup=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a sentence for the person at the terminal, on stderr."""
    talk.print(text, markup=False, soft_wrap=True)


def emit(form: Format, data: Any, picture: RenderableType) -> None:
    """Print data on stdout: JSON for programs or a picture for people."""
    if form is Format.JSON:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    else:
        show(picture)


def show(picture: RenderableType) -> None:
    """Print a picture for people on stdout."""
    out.print(picture, soft_wrap=True, markup=False, highlight=False)


def note_newer_source(file: Path, spec: Spec) -> None:
    """Say so when what lies in a source directory is not the release that is live."""
    live = Releases.beside(file).line
    for source in spec.sources.values():
        if live and source_digest(file.resolve().parent / source.path) != source.digest:
            say(f"{source.path} is not the live release ({source.digest[:12]}): holdfast release puts it live")


def tell(event: Event) -> None:
    """Show an event; repeated waiting replaces its line on a terminal and is silent elsewhere."""
    if not talk.is_terminal:
        if not event.waiting:
            say(event.text)
        return
    clear = "\x1b[1A\x1b[2K" if event.waiting else ""
    sys.stderr.write(clear + event.text[: talk.width - 1] + "\n")


def confirm(question: str, yes: bool) -> None:
    """Ask the person at the terminal. Ends the program when the answer is no or nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        complain(f"{question} Nobody is there to answer; say --yes.")
        raise typer.Exit(Exit.ERROR)
    if not typer.confirm(question, err=True):
        say("nothing was changed")
        raise typer.Exit(Exit.ERROR)


def open_design(file: Path) -> Design:
    """Read a cluster file and design it. Raises SpecError, or BindError for a layer that is missing."""
    try:
        return make_design(load(file))
    except BindError as error:
        raise BindError(f"{file}: {error}; is a layer missing?") from error


def cluster_of(file: Path, design: Design, timeout_s: float = 180.0, without: Sequence[str] = ()) -> Cluster:
    """Return the cluster of a file. Raises VaultError; ends the program for an unknown host."""
    known = {host.name for host in design.spec.hosts}
    for host in without:
        if host not in known:
            complain(f"no host {host} in {file}; known: {', '.join(sorted(known))}")
            raise typer.Exit(Exit.USAGE)
    vault = Vault.beside(file)

    async def open_wire(host: str) -> Wire:
        return await connect(address_of(file, design.spec, host))

    return Cluster(file, design, vault, open_wire, tell, timeout_s, frozenset(without))


def authority_file(file: Path) -> Path:
    """Return where the certificate of a cluster's own authority is; not there before the first apply."""
    return file.resolve().parent / FOLDER / "ca.crt"


def address_of(file: Path, spec: Spec, host: str) -> Address:
    """Return where a host is and with which key it is entered."""
    folder = file.resolve().parent
    own = folder / FOLDER / "ssh" / "id_ed25519"
    key = folder / Path(spec.ssh.key).expanduser() if spec.ssh.key else own if own.exists() else None
    known_keys = folder / FOLDER / "known_hosts.json"
    return Address(host, spec.host(host).address, spec.ssh.port, spec.ssh.user, key, known_keys)
