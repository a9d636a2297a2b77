"""Machines stopped and let go on as a whole, by their control group: `python -m holdfast.lab.freezer VERB LAB HOST`.

``freeze``, ``thaw``, or ``show``, which prints the kernel's own word for it (``frozen 1``).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from holdfast.lab.host import PRIVATE_MOUNTS, attempt, run, systemd_host
from holdfast.lab.plan import LabError
from holdfast.lab.processes import directory, running

# In a mount namespace of its own: on some computers the hierarchy is mounted elsewhere, or not at all.
MOUNT = """
set -eu
while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
"""
# Arguments: the control group, 1 to freeze or 0 to thaw or nothing to look. Prints what the kernel says of it, once
# it is so: 5 s at most. A group that is gone has nothing frozen.
FREEZE = f"""{MOUNT}
cd "/sys/fs/cgroup/$1" 2>/dev/null || exit 0
if [ -n "$2" ]; then
  echo "$2" >cgroup.freeze
  tries=0
  while [ $tries -lt 500 ] && ! grep -q "frozen $2" cgroup.events; do
    sleep 0.01
    tries=$((tries + 1))
  done
  grep -q "frozen $2" cgroup.events
fi
grep frozen cgroup.events
"""
FROZEN = "frozen 1"
VALUES = {"freeze": "1", "thaw": "0", "show": ""}
# nspawn makes these below the group that it was started in.
PARTS = ("supervisor", "payload")


def argv(verb: str, lab: str, host: str) -> tuple[str, ...]:
    """The command that does it."""
    return (sys.executable, "-I", "-m", "holdfast.lab.freezer", verb, lab, host)


def obstacle() -> str:
    """Why machines cannot be frozen here, "" when they can."""
    if "cgroup2" not in Path("/proc/filesystems").read_text().split():
        return "the kernel of this computer has no cgroup v2"
    tried = attempt([*PRIVATE_MOUNTS, "sh", "-c", MOUNT])
    return "" if tried.returncode == 0 else f"cgroup v2 cannot be mounted: {tried.stderr.strip()}"


def freezer(verb: str, lab: str, host: str) -> str:
    """Freeze, thaw or show a machine; return what the kernel says of it, "" for one that is off. Raises LabError."""
    group = group_of_machine(lab, host)
    return run([*PRIVATE_MOUNTS, "sh", "-c", FREEZE, "holdfast-lab", group, VALUES[verb]]) if group else ""


def thaw_all(lab: str, hosts: Sequence[str]) -> list[str]:
    """Let all machines of a lab go on; return a word for each that was frozen. Raises LabError."""
    frozen = [host for host in hosts if freezer("show", lab, host).strip() == FROZEN]
    for host in frozen:
        freezer("thaw", lab, host)
    return [f"frozen {host}" for host in frozen]


def group_of_machine(lab: str, host: str) -> str:
    """The control group of a machine, "" when it has none: a stopped machine under systemd."""
    if not systemd_host():
        return f"holdfast/{lab}/{host}"
    found = running(lab).get(host)
    return group_of(Path(f"/proc/{found.supervisor}/cgroup").read_text()) if found else ""


def group_of(text: str) -> str:
    """The group of a whole machine out of /proc/PID/cgroup of its nspawn."""
    lines = [line.removeprefix("0::/") for line in text.splitlines() if line.startswith("0::/")]
    group = Path(lines[0]) if lines else Path()
    return str(group.parent if group.name in PARTS else group)


def main(arguments: Sequence[str]) -> str:
    """Do what the arguments say. Raises LabError."""
    verb, lab, host = arguments
    if not directory(lab, host).is_dir():
        return ""
    return freezer(verb, lab, host)


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]), end="")
    except LabError as error:
        sys.exit(str(error))
