"""What only an application can suffer here: no memory left."""

from holdfast.components.app.build import UNIT, USER
from holdfast.model.blows import shell
from holdfast.model.component import Context
from holdfast.model.fault import Aim, Blow, Evidence, Fault, Ground
from holdfast.model.watch import Output

# No more address space than it has now: from here on every request for memory fails. The soft limit only, and as the
# application's own user, who may raise it again. Arguments: unit, user.
_STARVE = """
set -eu
pid=$(systemctl show --property=MainPID --value "$1")
[ "$pid" != 0 ] || { echo "$1 does not run" >&2; exit 1; }
now=$(awk '{ print $1 }' "/proc/$pid/statm")
setpriv --reuid="$2" --regid="$2" --clear-groups prlimit --pid "$pid" --as="$((now * $(getconf PAGESIZE))):"
"""
_FEED = """
pid=$(systemctl show --property=MainPID --value "$1")
[ "$pid" = 0 ] || setpriv --reuid="$2" --regid="$2" --clear-groups prlimit --pid "$pid" --as=unlimited:
"""
_LIMIT = """
pid=$(systemctl show --property=MainPID --value "$1")
setpriv --reuid="$2" --regid="$2" --clear-groups prlimit --pid "$pid" --as --noheadings --raw --output=SOFT
"""


def faults(contexts: tuple[Context, ...]) -> tuple[Fault, ...]:
    """Return the faults of an application."""
    hosts = {context.host.name for context in contexts}

    def strike(aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
        return tuple(_starve(host) for host in aim.hosts if host in hosts)

    return (
        Fault(
            "app-memory",
            "let the application on {hosts} get no more memory",
            "app",
            "the other hosts serve; what this one cannot answer is an error at most, never a wrong answer",
            "the application on {hosts} has no memory left",
            strike,
            ("B6",),
        ),
    )


def _starve(host: str) -> Blow:
    starve, feed, limit = (shell(script, UNIT, USER) for script in (_STARVE, _FEED, _LIMIT))
    return Blow(host, (starve,), (feed,), (Evidence(limit, read_limit),))


def read_limit(output: Output) -> str:
    """Read the limit of the application's address space in bytes."""
    limit = output.stdout.strip()
    bitten = output.exit_code == 0 and limit.isdigit()
    return f"the application's memory ends at {int(limit) // 1048576} MiB" if bitten else ""
