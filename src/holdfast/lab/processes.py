"""Which machines run: read from /proc every time, never remembered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.lab.host import LABS

# The option of nspawn by which a machine is recognised.
ROOT_OPTION = b"--directory="


@dataclass(frozen=True, slots=True)
class Processes:
    """A running machine's nspawn (or what is about to become it), and the PID 1 inside it once there is one."""

    supervisor: int
    init: int | None


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """The lines of /proc/PID/status that matter here; `inner_pid` is 0 outside any PID namespace."""

    parent: int
    zombie: bool
    inner_pid: int


def directory(lab: str, host: str) -> Path:
    """Everything of one machine."""
    return LABS / lab / "machines" / host


def running(lab: str) -> dict[str, Processes]:
    """The processes of every machine of `lab` that is on, found by the argument that only they carry."""
    table = process_table()
    groups: dict[str, list[int]] = {}
    for pid in table:
        if (host := host_of(_read(f"/proc/{pid}/cmdline").split(b"\0"), lab)) is not None:
            groups.setdefault(host, []).append(pid)
    return {host: _sort_out(pids, table) for host, pids in groups.items()}


def host_of(argv: Sequence[bytes], lab: str) -> str | None:
    """The machine of `lab` whose nspawn, or whose launcher, was started with these arguments."""
    for argument in argv:
        root = Path(argument.removeprefix(ROOT_OPTION).decode(errors="replace"))
        if argument.startswith(ROOT_OPTION) and root == directory(lab, root.parent.name) / "root":
            return root.parent.name
    return None


def _sort_out(pids: Sequence[int], table: dict[int, ProcessStatus]) -> Processes:
    # nspawn's child looks like nspawn until it becomes PID 1.
    supervisor = next(pid for pid in pids if table[pid].parent not in pids)
    inits = [pid for pid, status in table.items() if status.parent == supervisor and status.inner_pid == 1]
    return Processes(supervisor, inits[0] if inits else None)


def process_table() -> dict[int, ProcessStatus]:
    """Every process of this computer that is not yet dead."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    statuses = {pid: parse_status(_read(f"/proc/{pid}/status").decode(errors="replace")) for pid in pids}
    return {pid: status for pid, status in statuses.items() if status is not None and not status.zombie}


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def parse_status(text: str) -> ProcessStatus | None:
    """Read /proc/PID/status; None for a process that has just gone."""
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    if "PPid" not in fields:
        return None
    inner = fields["NSpid"].split()
    inner_pid = int(inner[-1]) if len(inner) > 1 else 0
    return ProcessStatus(int(fields["PPid"]), fields["State"].startswith("Z"), inner_pid)
