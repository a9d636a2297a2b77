"""A machine's disk: a file system of its own in one file, so that a full disk never fills this computer's.

It is mounted in the machine's private mount namespace and goes with it; the kernel then gives the loop device back.
Where that cannot be done the machine lives in a plain directory, and its disk cannot be filled.
"""

import time
from pathlib import Path

from holdfast.lab.host import LABS, program, run
from holdfast.lab.plan import LabError

# The file has holes: it takes what the machine has written.
SIZE_BYTES = 8 * 2**30
IMAGE = "disk.img"
MOUNT = "disk"
RELEASED_WITHIN_S = 10.0
POLL_S = 0.02

# Runs in the machine's mount namespace, before its root is made. Arguments: the machine's directory, then the command
# to become. A disk that its last start still holds must not be opened twice: wait for that, 10 s at most.
MOUNT_DISK = """
set -eu
exec >"$1/console.log" 2>&1 </dev/null
tries=0
while [ -n "$(losetup --associated "$1/disk.img")" ] && [ $tries -lt 500 ]; do
  sleep 0.02
  tries=$((tries + 1))
done
mount -t ext4 -o loop "$1/disk.img" "$1/disk"
if [ ! -d "$1/disk/upper" ]; then
  rm -rf "$1/disk/new"
  cp -a "$1/upper" "$1/disk/new"
  mkdir -p "$1/disk/work"
  mv "$1/disk/new" "$1/disk/upper"
fi
mkdir -p "$1/disk/upper/etc/systemd/network"
cp -a "$1/upper/etc/systemd/network/10-host0.network" "$1/disk/upper/etc/systemd/network/"
cp -a --remove-destination "$1/upper/etc/resolv.conf" "$1/disk/upper/etc/resolv.conf"
shift
exec "$@"
"""


def obstacle() -> str:
    """Why machines cannot have disks of their own here, "" when they can."""
    if not program("mkfs.ext4"):
        return "this computer has no `mkfs.ext4` command: apt-get install e2fsprogs"
    if not Path("/dev/loop-control").exists():
        return "this computer has no loop devices"
    known = "ext4" in Path("/proc/filesystems").read_text().split()
    return "" if known else "the kernel of this computer does not know ext4"


def make(place: Path) -> None:
    """Make an empty disk in a machine's directory, where that can be done. Raises LabError."""
    if obstacle():
        return
    (place / MOUNT).mkdir()
    with (place / IMAGE).open("wb") as file:
        file.truncate(SIZE_BYTES)
    # Empty tables are written when they are needed: making a disk takes less than a tenth of a second so.
    lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", lazy, str(place / IMAGE)])


def is_own(place: Path) -> bool:
    """Whether a machine has a disk of its own."""
    return (place / IMAGE).exists()


def layers(place: Path) -> tuple[Path, Path]:
    """Where what a machine writes is kept, and the directory that the overlay needs beside it."""
    base = place / MOUNT if is_own(place) else place
    return base / "upper", base / "work"


def launcher(place: Path) -> tuple[str, ...]:
    """The words before a command that needs the machine's disk mounted."""
    return ("sh", "-c", MOUNT_DISK, "holdfast-lab", str(place)) if is_own(place) else ()


def wait_released(lab: str) -> None:
    """Wait until no disk of a lab is in use. Raises LabError when that does not come about."""
    began = time.monotonic()
    while used := in_use(lab):
        if time.monotonic() - began > RELEASED_WITHIN_S:
            raise LabError(f"{used[0]} is still in use though its machine is off")
        time.sleep(POLL_S)


def in_use(lab: str) -> list[str]:
    """The disks of a lab that the kernel has open."""
    return [path for path in _devices() if path.startswith(f"{LABS / lab}/")]


def device(place: Path) -> str:
    """The number of the block device that a machine's disk is now ("7:1"), "" for one that is not in use."""
    return _devices().get(str(place / IMAGE), "")


def _devices() -> dict[str, str]:
    """Return the number of each loop device in use, by its file."""
    found = {}
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found[path.read_text().strip()] = (path.parents[1] / "dev").read_text().strip()
        except OSError:
            continue
    return found
