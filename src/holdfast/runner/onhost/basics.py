"""What the other modules on a server share: running commands, the ledger, files put in place atomically."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

# A third of the weight of an ordinary process: a busy server still answers within the limits of its probes.
LOOKING_NICE = 5
LEDGER = Path("/var/lib/holdfast/ledger.json")
Data = dict[str, Any]


class Failed(Exception):
    """A part that could not be brought about; the message says why."""


def step_back() -> None:
    """Let this process and all that it starts come after what the server is there for."""
    with suppress(OSError):
        # Refused to the first process of a session that we have for ourselves already, as under SSH.
        os.setsid()
    put_back(os.getpid())


def put_back(pid: int) -> None:
    """Let a process and all that it will start come after what the server is there for.

    Sharing between sessions (sched(7), autogroup) comes before sharing by niceness, where the kernel does it.
    """
    # A short command may have ended already.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, max(LOOKING_NICE, os.getpriority(os.PRIO_PROCESS, pid)))
        if os.getsid(pid) == pid:
            Path(f"/proc/{pid}/autogroup").write_text(str(LOOKING_NICE))


def say(**event: object) -> None:
    """Write one event for the operator's side."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def run(argv: list[str], timeout_s: float = 60.0, aside: bool = False) -> Data:
    """Run a command; exit code 124 when it runs out of time, 127 when it is not there.

    ``aside``: it comes after what the server is there for (`put_back`).
    """
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            errors="replace",
            start_new_session=aside,
        )
    except OSError as error:
        return {"exit_code": 127, "stdout": "", "stderr": f"{argv[0]}: {error.strerror}"}
    if aside:
        put_back(process.pid)
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return {"exit_code": 124, "stdout": "", "stderr": f"no end within {timeout_s:g} s"}
    return {"exit_code": process.returncode, "stdout": stdout, "stderr": stderr}


def must(argv: list[str], timeout_s: float = 60.0) -> str:
    """Run a command and return its output. Raises Failed with its last words."""
    done = run(argv, timeout_s)
    if done["exit_code"]:
        words = (done["stderr"] or done["stdout"]).strip().splitlines()[-6:]
        raise Failed(f"{' '.join(argv[:4])}: exit code {done['exit_code']}: " + " / ".join(words))
    return str(done["stdout"])


def extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpack files, directories and links. Raises tarfile.TarError when anything would lead out of the folder."""
    members = archive.getmembers()
    for member in members:
        target = str(Path(member.name).parent / member.linkname) if member.issym() else ""
        kept = member.isfile() or member.isdir() or member.issym()
        if not kept or any(os.path.normpath(path).startswith(("..", "/")) for path in (member.name, target)):
            raise tarfile.TarError(f"{member.name} does not belong into an archive of ours")
    # Python's own filter too, where there is one: Debian 12's 3.11.2 has none yet.
    archive.extraction_filter = getattr(tarfile, "data_filter", None)
    for member in members:
        archive.extract(member, folder)


def read_ledger() -> Data:
    """Return the ledger; an empty one on a machine that Holdfast never touched."""
    try:
        found: Data = json.loads(LEDGER.read_text())
    except FileNotFoundError:
        found = {}
    return {"files": {}, "units": {}, "owed": {}, "archives": [], "vault": "", "design": ""} | found


def write_ledger(ledger: Data) -> None:
    """Write the ledger atomically."""
    LEDGER.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    replace(LEDGER, json.dumps(ledger, indent=1, sort_keys=True).encode(), 0o600, 0, 0)


def unit_states(names: list[str]) -> dict[str, Data]:
    """Return what systemd says of units: UnitFileState is "" for one that does not exist."""
    if not names:
        return {}
    argv = ["systemctl", "show", "-p", "Id,ActiveState,UnitFileState,LoadState,NeedDaemonReload", "--", *names]
    blocks = run(argv)["stdout"].strip().split("\n\n")
    found = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks]
    return dict(zip(names, found, strict=False))


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, the target of a link, "" when there is neither."""
    if path.is_symlink():
        return link_mark(str(path.readlink()))
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return ""


def link_mark(target: str) -> str:
    """Return what the ledger keeps of a link instead of a digest."""
    return f"link to {target}"


def replace(path: Path, data: bytes, mode: int, owner: int, group: int) -> None:
    """Put a file in place atomically and durably."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".holdfast-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchown(handle, owner, group)
            os.fchmod(handle, mode)
            file.write(data)
            file.flush()
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
