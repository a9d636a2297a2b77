"""This computer: running its commands, locking, and what it lacks for a lab."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from holdfast.lab.plan import LabError

STATE = Path("/var/lib/holdfast")
LABS = STATE / "labs"
IMAGES = STATE / "images"
LOCKS = STATE / "locks"

# Debian package of every program the lab calls.
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "mount": "mount",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "setsid": "util-linux",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Run a command with a mount table of its own, which ends with it.
PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private", "--")

Say = Callable[[str], None]


def run(argv: Sequence[str], stdin: str = "") -> str:
    """Run a host command and return its output. Raises LabError with its complaint when it fails."""
    done = attempt(argv, stdin)
    if done.returncode != 0:
        complaint = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise LabError(f"`{' '.join(argv[:4])}` failed: {complaint}")
    return done.stdout


def attempt(argv: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a host command whose failure is an answer, not an error."""
    try:
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, env=environment(), check=False)
    except FileNotFoundError:
        raise LabError(f"this computer has no `{argv[0]}` command") from None


def detach(argv: Sequence[str]) -> None:
    """Start a process that outlives us and that Ctrl-C on our terminal does not reach."""
    subprocess.run(
        ["setsid", "--fork", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment(),
        check=True,
    )


def environment() -> dict[str, str]:
    """The environment of host commands: sbin is not on every root's PATH, and messages are in English."""
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {**os.environ, "PATH": f"{path}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


def program(name: str) -> str | None:
    """The path of a host program, or None when this computer has none of that name."""
    return shutil.which(name, path=environment()["PATH"])


def systemd_host() -> bool:
    """Whether this computer's PID 1 is systemd."""
    return Path("/run/systemd/system").is_dir()


def lab_obstacle() -> str | None:
    """Why no lab can be made here, or None when one can."""
    if os.geteuid() != 0:
        return "a lab needs root: run the same command with sudo"
    missing = sorted({PROGRAMS[name] for name in PROGRAMS if not program(name)})
    if missing:
        return f"programs are missing: apt-get install {' '.join(missing)}"
    if not KEYRING.exists():
        return "Debian's signing keys are missing: apt-get install debian-archive-keyring"
    probe = attempt([*PRIVATE_MOUNTS, "true"])
    if probe.returncode != 0:
        return f"this root may not make mount namespaces ({probe.stderr.strip()}): use a real or virtual machine"
    return None


def require_lab() -> None:
    """Raise LabError when no lab can be made here."""
    if (obstacle := lab_obstacle()) is not None:
        raise LabError(obstacle)


@contextmanager
def locked(name: str, say: Say) -> Iterator[None]:
    """Hold the lock `name`; the kernel frees it when this process ends, however it ends."""
    path = LOCKS / name
    descriptor = _take(path, say)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def held(name: str) -> bool:
    """Whether a living process holds the lock `name`."""
    try:
        with (LOCKS / name).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _take(path: Path, say: Say) -> int:
    # Closed to others: machines' disks hold secrets, and setuid programs that only the machine may have.
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another holdfast command to finish with the {path.name}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _still_there(path, descriptor):
            return descriptor
        os.close(descriptor)


def _still_there(path: Path, descriptor: int) -> bool:
    """False when the last holder removed the file while we waited for it."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
