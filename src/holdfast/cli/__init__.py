"""The command line: one function for each verb; wires everything else together."""

import sys

import typer

from holdfast.cli import changing, demo, drill, lab, reading
from holdfast.cli.common import Exit, complain
from holdfast.design.bind import BindError
from holdfast.design.errors import SourceError, SpecError
from holdfast.lab.lab import LabError
from holdfast.runner.agent import AskError
from holdfast.runner.cluster import StaleError
from holdfast.runner.lock import LockedError
from holdfast.runner.site import RunError
from holdfast.runner.vault import VaultError
from holdfast.wire.base import WireError

app = typer.Typer(
    name="holdfast",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="High availability for ordinary Debian servers: one file in, a running stack out, and a measured proof.",
)
reading.register(app)
changing.register(app)
lab.register(app)
demo.register(app)
drill.register(app)

# What can go wrong in ways we know: printed in words, never as a traceback.
_KNOWN = (SpecError, SourceError, BindError, VaultError, RunError, StaleError, WireError, AskError, LabError, OSError)


def main() -> None:
    """Run the command line. Exit codes are those of `Exit`."""
    try:
        app()
    except LockedError as error:
        complain(str(error))
        sys.exit(Exit.LOCKED)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(Exit.INTERRUPTED)
    except _KNOWN as error:
        complain(str(error))
        sys.exit(Exit.ERROR)
