"""Disks of machines made slow and quick again: `python -m holdfast.lab.brake VERB LAB HOST`.

``slow``, ``free``, or ``show``, which prints the limit in force (writes a second, 0 for none) and how long a small
write took until it was on the disk (s).

The limit is the block layer's, for the loop device as a whole and whoever writes: one of the machine's own control
group would let pass what the file system's journal writes, and that is what a sync waits for.
"""

import sys
import time
from collections.abc import Sequence

from holdfast.lab import disk
from holdfast.lab.host import PRIVATE_MOUNTS, attempt, run
from holdfast.lab.plan import LabError
from holdfast.lab.processes import directory, running

# What a rotating disk does. The three-machine lab writes 8 to 13 times a second to each disk at rest, 70 to 80 times
# under the loads of a drill; with 20 a second orders stood still for up to 14 s.
WRITES_PER_S = 100
# In a mount namespace of its own: on some computers the hierarchy is mounted elsewhere, or not at all.
MOUNT = """
set -eu
while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
mount -t cgroup -o blkio blkio /sys/fs/cgroup
cd /sys/fs/cgroup
test -f blkio.throttle.write_iops_device
"""
# Arguments: the limit (0: none), then numbers of devices ("7:1").
LIMIT = f"""{MOUNT}
limit=$1
shift
for number; do
  echo "$number $limit" >blkio.throttle.write_iops_device
done
"""
LIST = f"{MOUNT}cat blkio.throttle.write_iops_device"
# Runs in the machine.
WRITE = """
dd if=/dev/zero of=/var/lib/holdfast-drill.slow bs=4096 count=1 oflag=dsync status=none
rm --force /var/lib/holdfast-drill.slow
"""
# In a machine's directory: the numbers of devices that were made slow. At its next start it may have another one.
NOTE = "slow"


def argv(verb: str, lab: str, host: str) -> tuple[str, ...]:
    """The command that does it."""
    return (sys.executable, "-I", "-m", "holdfast.lab.brake", verb, lab, host)


def obstacle() -> str:
    """Why disks cannot be made slow here, "" when they can."""
    tried = attempt([*PRIVATE_MOUNTS, "sh", "-c", MOUNT])
    return "" if tried.returncode == 0 else "this computer has no blkio control groups of version 1 to limit a disk"


def slow(lab: str, host: str) -> None:
    """Make the disk of a running machine slow. Raises LabError."""
    number = disk.device(directory(lab, host))
    if not number:
        raise LabError(f"the disk of {host} is not in use")
    # Noted first: what is not noted would not be undone.
    (directory(lab, host) / NOTE).write_text("\n".join(sorted({*_noted(lab, host), number})))
    _limit(WRITES_PER_S, [number])


def free(lab: str, host: str) -> bool:
    """Take off all limits that were set for a machine; return whether there were any. Raises LabError."""
    numbers = _noted(lab, host)
    if numbers:
        _limit(0, numbers)
        (directory(lab, host) / NOTE).unlink(missing_ok=True)
    return bool(numbers)


def free_all(lab: str, hosts: Sequence[str]) -> list[str]:
    """Make all disks of a lab quick again; return a word for each that was slow. Raises LabError."""
    return [f"slow disk of {host}" for host in hosts if free(lab, host)]


def show(lab: str, host: str) -> str:
    """Return the limit of a machine's disk and how long a small write takes (s), "" for one off. Raises LabError."""
    number, found = disk.device(directory(lab, host)), running(lab).get(host)
    if not number or found is None or found.init is None:
        return ""
    limits = dict(line.split() for line in run([*PRIVATE_MOUNTS, "sh", "-c", LIST]).splitlines())
    began = time.monotonic()
    run(["nsenter", f"--target={found.init}", "--mount", "--root", "--", "sh", "-c", WRITE])
    return f"{limits.get(number, '0')} {time.monotonic() - began:.3f}"


def _noted(lab: str, host: str) -> list[str]:
    note = directory(lab, host) / NOTE
    return note.read_text().split() if note.exists() else []


def _limit(writes_per_s: int, numbers: Sequence[str]) -> None:
    run([*PRIVATE_MOUNTS, "sh", "-c", LIMIT, "holdfast-lab", str(writes_per_s), *numbers])


def main(arguments: Sequence[str]) -> str:
    """Do what the arguments say. Raises LabError."""
    verb, lab, host = arguments
    if not directory(lab, host).is_dir():
        return ""
    if verb == "show":
        return show(lab, host)
    (slow if verb == "slow" else free)(lab, host)
    return ""


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]), end="")
    except LabError as error:
        sys.exit(str(error))
