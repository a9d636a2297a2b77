"""What only this engine can suffer: dead workers, a wrong configuration, a full log disk, an expired certificate."""

from collections.abc import Callable

from holdfast.components.nginx.build import CERTIFICATE, CONFIG, HTTPS_PORT, KEY, UNIT
from holdfast.model.blows import expire_certificate, reload_unit, shell, swap_file
from holdfast.model.component import Context
from holdfast.model.fault import Aim, Blow, Evidence, Fault, Ground
from holdfast.model.watch import Output

_LOGS = "/var/log/nginx"
# The last line is one that no server understands.
_BREAK = """
printf 'no_such_word_of_a_drill;\\n' >> "$1"
"""
# Refused is what it should be: the old configuration goes on.
_RELOAD_ANYWAY = """
systemctl reload "$1" || true
"""
_TEST_AND_ASK = """
nginx -t 2>&1
systemctl is-active "$1"
"""
# A full disk of 64 KiB over the logs, and the log opened anew there.
_FILL = """
set -eu
mountpoint --quiet "$1" || mount -t tmpfs -o size=64k,mode=755 drill "$1"
fallocate --length 64K "$1/full" 2> /dev/null || dd if=/dev/zero of="$1/full" bs=4K 2> /dev/null || true
systemctl kill --kill-whom=main --signal=SIGUSR1 "$2"
"""
_EMPTY = """
! mountpoint --quiet "$1" || umount --lazy "$1"
! systemctl --quiet is-active "$2" || systemctl kill --kill-whom=main --signal=SIGUSR1 "$2"
"""
_WORKERS = """
main=$(systemctl show --property=MainPID --value "$1")
group=$(systemctl show --property=ControlGroup --value "$1")
[ -n "$group" ] || exit 1
while read -r pid; do
    [ "$pid" = "$main" ] || sed -n 's/^State:[[:space:]]*\\([A-Za-z]\\).*/\\1/p' "/proc/$pid/status"
done < "/sys/fs/cgroup$group/cgroup.procs"
"""
# A worker that has ended meanwhile needs no signal.
_SIGNAL_WORKERS = """
main=$(systemctl show --property=MainPID --value "$2")
group=$(systemctl show --property=ControlGroup --value "$2")
[ -n "$group" ] || exit 0
while read -r pid; do
    [ "$pid" = "$main" ] || kill -s "$1" "$pid" || [ ! -e "/proc/$pid" ]
done < "/sys/fs/cgroup$group/cgroup.procs"
"""


def faults(contexts: tuple[Context, ...]) -> tuple[Fault, ...]:
    """Return the faults of this engine."""
    known = {context.host.name: context for context in contexts}
    return (
        Fault(
            "nginx-workers-hang",
            "stop the workers on {hosts}; the master and the open ports stay",
            "vip_holder",
            "the floating address moves to a host whose front door answers",
            "the front door of {hosts} takes connections and never answers: its workers are stopped",
            _each(known, _hang),
            ("A7",),
        ),
        Fault(
            "nginx-config",
            "put a wrong line into the configuration on {hosts} and reload",
            "vip_holder",
            "the wrong configuration is refused and the old one goes on serving",
            "the configuration of nginx on {hosts} is wrong: a reload was refused, a restart would fail",
            _each(known, _wrong),
            ("F1",),
        ),
        Fault(
            "nginx-logs-full",
            "let the disk with the logs on {hosts} be full",
            "vip_holder",
            "requests are answered as before; only the log has a hole",
            "the disk with the access log of {hosts} is full",
            _each(known, _no_logs),
            ("D2",),
        ),
        Fault(
            "nginx-certificate",
            "let the front door of {hosts} show a certificate that has expired",
            "vip_standby",
            "clients are served by the holder of the floating address, whose certificate is good",
            "the certificate of the front door on {hosts} has expired",
            _each(known, _expire),
            ("E6",),
        ),
    )


def _each(known: dict[str, Context], blow: Callable[[str], Blow]) -> Callable[[Aim, Ground | None], tuple[Blow, ...]]:
    return lambda aim, _ground: tuple(blow(host) for host in aim.hosts if host in known)


def _hang(host: str) -> Blow:
    inject, heal = shell(_SIGNAL_WORKERS, "STOP", UNIT), shell(_SIGNAL_WORKERS, "CONT", UNIT)
    return Blow(host, (inject,), (heal,), (Evidence(shell(_WORKERS, UNIT), read_workers),))


def read_workers(output: Output) -> str:
    """Read the states of the workers."""
    states = output.stdout.split()
    stopped = bool(states) and set(states) == {"T"} and not output.exit_code
    return f"{len(states)} workers are stopped (state T)" if stopped else ""


def _wrong(host: str) -> Blow:
    shown = Evidence(shell(_TEST_AND_ASK, UNIT), read_refused)
    return swap_file(host, CONFIG, (shell(_BREAK, CONFIG), shell(_RELOAD_ANYWAY, UNIT)), (reload_unit(UNIT),), shown)


def read_refused(output: Output) -> str:
    """Read what the engine says of the file on disk."""
    return (
        "the file on disk is refused: no_such_word_of_a_drill" if "no_such_word_of_a_drill" in output.stdout else ""
    )


def _no_logs(host: str) -> Blow:
    shown = Evidence(("df", "--block-size=1", "--output=fstype,avail", _LOGS), read_full)
    return Blow(host, (shell(_FILL, _LOGS, UNIT),), (shell(_EMPTY, _LOGS, UNIT),), (shown,))


def read_full(output: Output) -> str:
    """Read ``df``: whether the drill's small disk lies there, and is full."""
    last = output.stdout.splitlines()[-1].split() if output.stdout else []
    return "0 bytes are left for logs" if output.exit_code == 0 and last == ["tmpfs", "0"] else ""


def _expire(host: str) -> Blow:
    return expire_certificate(host, CERTIFICATE, KEY, (reload_unit(UNIT),), f"127.0.0.1:{HTTPS_PORT}")
