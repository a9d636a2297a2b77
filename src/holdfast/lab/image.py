"""The image: a Debian root directory that every machine of a lab starts from, built once."""

import hashlib
import json
import os
import selectors
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from holdfast.lab.host import IMAGES, Say, environment, held, locked
from holdfast.lab.plan import IMAGE_NAME_LENGTH, LabError, LabPlan

SUITE = "trixie"
BASE_PACKAGES = (
    "apt",
    "ca-certificates",
    "dbus",
    "iproute2",
    "openssh-server",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# These fetch or install by themselves at odd moments and would hold apt's lock against apply.
TIMERS_OFF = ("apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer")
HEARTBEAT_S = 5.0
# What mmdebstrap prints when a phase begins, and what we say.
PHASES = {
    "I: running apt-get update...": "reading the package lists",
    "I: downloading packages with apt...": "downloading the essential packages",
    "I: extracting archives...": "unpacking the essential packages",
    "I: installing essential packages...": "installing the essential packages",
    "I: installing remaining packages inside the chroot...": "downloading and installing the other packages",
    "I: cleaning package lists and apt cache...": "cleaning up",
}

# Debian makes a first PostgreSQL cluster at install unless told not to beforehand.
ESSENTIAL_HOOK = """\
mkdir -p "$1/etc/postgresql-common"
echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"
"""

# One machine's identity must not be every machine's; the lab gives each its own.
CUSTOMIZE_HOOK = r"""set -eu
rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/hostname" "$1/etc/resolv.conf"
: >"$1/etc/machine-id"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$1/etc/hosts"
printf 'LANG=C.UTF-8\n' >"$1/etc/locale.conf"
mkdir -p "$1/etc/ssh/sshd_config.d"
printf 'PasswordAuthentication no\n' >"$1/etc/ssh/sshd_config.d/10-lab.conf"
chroot "$1" systemctl --quiet enable systemd-networkd.service
"""

DISABLE_HOOK = """\
set -eu
for unit in {units}; do
  case "$(chroot "$1" systemctl is-enabled "$unit" 2>/dev/null)" in
    enabled|alias) chroot "$1" systemctl --quiet disable "$unit" ;;
  esac
done
"""


def image_name(plan: LabPlan) -> str:
    """The digest of everything the image is made from."""
    return hashlib.sha256(json.dumps(mmdebstrap_options(plan)).encode()).hexdigest()[:IMAGE_NAME_LENGTH]


def rootfs(name: str) -> Path:
    """Where the image called `name` is, or will be."""
    return IMAGES / name / "rootfs"


def mmdebstrap_options(plan: LabPlan) -> list[str]:
    """What mmdebstrap is told, in an order that does not depend on the plan's."""
    packages = sorted({*BASE_PACKAGES, *plan.packages})
    units = sorted({*TIMERS_OFF, *plan.units_off})
    return [
        "--variant=minbase",
        f"--include={','.join(packages)}",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        f"--essential-hook={ESSENTIAL_HOOK}",
        f"--customize-hook={CUSTOMIZE_HOOK}",
        f"--customize-hook={DISABLE_HOOK.format(units=shlex.join(units))}",
        SUITE,
    ]


def ensure(plan: LabPlan, say: Say) -> str:
    """Build the plan's image unless it is there already; return its name. Raises LabError."""
    name = image_name(plan)
    if rootfs(name).is_dir():
        return name
    with locked("image", say):
        _remove_drafts()
        if not rootfs(name).is_dir():
            _build(plan, name, say)
    return name


def sweep(say: Say) -> None:
    """Remove what a killed build left; a build that is alive is left alone."""
    if any(IMAGES.glob("*.tmp")) and not held("image"):
        with locked("image", say):
            _remove_drafts()


def _remove_drafts() -> None:
    for draft in IMAGES.glob("*.tmp"):
        shutil.rmtree(draft)


def _build(plan: LabPlan, name: str, say: Say) -> None:
    started = time.monotonic()
    extra = f"and the {len(plan.packages)} packages of the cluster" if plan.packages else "base packages only"
    say(f"building the machine image: Debian {SUITE}, {extra} (once; half a minute to two)")
    place = IMAGES / f"{name}.tmp"
    place.mkdir(parents=True)
    log = place / "build.log"
    argv = [*_alone(), "mmdebstrap", *mmdebstrap_options(plan), str(place / "rootfs")]
    if _follow(argv, log, say) != 0:
        raise LabError(f"building the machine image failed (all of it: {log}):\n{complaints(log.read_text())}")
    # A crash of this computer must not leave an image that looks whole and has empty files.
    os.sync()
    place.rename(IMAGES / name)
    say(f"image built in {time.monotonic() - started:.0f} s")


def complaints(log: str) -> str:
    """The lines of a build log that say what went wrong, or its last ones when none does."""
    lines = [line[:200] for line in log.splitlines()]
    return "\n".join([f"  {line}" for line in lines if line.startswith(("E: ", "dpkg: error"))] or lines[-10:])


def _alone() -> list[str]:
    """Run in namespaces of its own that end with us: a killed build leaves no process and no mount."""
    return [
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"),
    ]


def _follow(argv: Sequence[str], log: Path, say: Say) -> int:
    """Run mmdebstrap, tell its phases and that it is still alive; return its exit code."""
    started = time.monotonic()
    phase = "starting"
    with log.open("w") as record, _spawn(argv) as process:
        for line in _lines(process):
            if line:
                record.write(f"{line}\n")
                record.flush()
            changed = PHASES.get(line)
            phase = changed or phase
            if changed or not line:
                say(f"  {time.monotonic() - started:3.0f} s  {phase}")
        return process.wait()


def _spawn(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        umask=0o022,
    )


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """The lines a command prints as they come, and an empty one whenever it was silent for a while."""
    assert process.stdout is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(HEARTBEAT_S):
                yield ""
                continue
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (text for line in lines if (text := line.decode(errors="replace").strip()))
    if rest.strip():
        yield rest.decode(errors="replace").strip()
