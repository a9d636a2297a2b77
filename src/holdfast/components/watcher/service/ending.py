"""The end of the database's process and of all that it started.

Its children are sessions that go on without it: they keep its shared memory, and while one of them lives, no new
process of the database starts on these data. A child that is stopped, too, would live for ever.
"""

import os
import select
import signal
import time
from pathlib import Path

# A process that runs is stopped at once; one that waits for its disk is not waited for.
STOP_S, END_S = 0.3, 5.0


def held(pid: int) -> str:
    """Return who holds a process on purpose (a debugger), in words; "" for nobody."""
    tracer = _field(pid, "TracerPid:")
    return f"a debugger (process {tracer}) holds it" if tracer not in ("", "0") else ""


def end(pid: int, file: Path) -> str:
    """Kill the process that works in the folder of its pid file, and its children. Returns what came of it."""
    try:
        chief = os.pidfd_open(pid)
    except OSError as error:
        return f"process {pid} had ended by itself ({error})"
    held_by = {pid: chief}
    try:
        if not works_in(pid, file.parent):
            return f"process {pid} is not the database's any more: nothing was killed"
        _halt(pid, chief)
        held_by |= _children(pid)
        for each in held_by.values():
            _send(each, signal.SIGKILL)
        left = _wait(held_by)
    finally:
        for each in held_by.values():
            os.close(each)
    done = f"process {pid} and {len(held_by) - 1} that it had started were killed"
    return f"{done}; still there: {', '.join(map(str, left))}" if left else done


def works_in(pid: int, folder: Path) -> bool:
    """Return whether a process has a folder as its own, as the database has that of its data."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:
        return False


def _halt(pid: int, pidfd: int) -> None:
    """Stop a process, so that it starts no other while its children are counted."""
    _send(pidfd, signal.SIGSTOP)
    until = time.monotonic() + STOP_S
    while _field(pid, "State:")[:1] not in ("T", "t", "Z", "") and time.monotonic() < until:
        time.sleep(0.002)


def _children(pid: int) -> dict[int, int]:
    """Return the children of a process, each with a descriptor that no other process can take over."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and parent(int(folder.name)) == pid:
            try:
                pidfd = os.pidfd_open(int(folder.name))
            except OSError:
                continue
            if parent(int(folder.name)) == pid:
                found[int(folder.name)] = pidfd
            else:
                os.close(pidfd)
    return found


def parent(pid: int) -> int:
    """Return the parent of a process, 0 when it is gone."""
    return int(_field(pid, "PPid:") or 0)


def _field(pid: int, name: str) -> str:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith(name)), "")


def _send(pidfd: int, what: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(pidfd, what)
    except ProcessLookupError:
        return


def _wait(processes: dict[int, int]) -> list[int]:
    """Wait for the end of processes; return those that are still there when time is up."""
    until, left = time.monotonic() + END_S, dict(processes)
    while left and (rest_s := until - time.monotonic()) > 0:
        poll = select.poll()
        for pidfd in left.values():
            poll.register(pidfd, select.POLLIN)
        ended = {fd for fd, _ in poll.poll(1000 * rest_s)}
        left = {pid: pidfd for pid, pidfd in left.items() if pidfd not in ended}
    return sorted(left)
