"""The fence: rules in the kernel, a file that outlives a reboot, and the end of what streams from the fenced host.

What it cuts is the one direction by which an old leader gets acknowledgements: connections of *this* host to the
database's port there, and to its API (whose silence would hold an election up). Connections of the fenced host to
this one stay open, so it can come back as a replica: its dcs member, its API calls, its rewind and its streaming all
begin there.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from .words import Fence

Json = dict[str, Any]
NFT = "/usr/sbin/nft"
TABLE = "holdfast_fence"
FILE = Path("/var/lib/holdfast-watch/fence.json")
END_S = 0.4


class FenceError(Exception):
    """The rules could not be loaded or removed; says why."""


def load() -> tuple[Fence, float] | None:
    """Return the fence that is written down and since when (seconds of the epoch); None for none.

    A file that cannot be read counts as none: the promise in the dcs brings the fence back.
    """
    try:
        data = json.loads(FILE.read_text())
        return Fence(data["target"], data["under"], data["asked"]), data["since"]
    except (FileNotFoundError, ValueError, KeyError):
        return None


def save(fence: Fence, since: float) -> None:
    """Write a fence down so that it survives a power cut."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    beside = FILE.with_suffix(".new")
    text = {
        "target": fence.target,
        "under": fence.under,
        "asked": fence.asked,
        "since": since,
    }
    with beside.open("w") as file:
        file.write(json.dumps(text))
        file.flush()
        os.fsync(file.fileno())
    beside.rename(FILE)
    folder = os.open(FILE.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def raise_up(address: str, database: Json) -> None:
    """Load the rules, in one transaction. Raises FenceError."""
    load_rules(rules(address, int(database["port"]), int(database["api_port"])))


def rules(address: str, port: int, api_port: int) -> str:
    """Return the rules as nft reads them."""
    owner = 'comment "holdfast-watch: an old leader gets no acknowledgement from here"'
    return (
        f"{removal(TABLE)}table inet {TABLE} {{\n"
        f" chain output {{ type filter hook output priority -10; policy accept;\n"
        # A reset ends what is open at once, and refuses what is new at once.
        f"  ip daddr {address} tcp dport {{ {port}, {api_port} }} counter reject with tcp reset {owner}\n }}\n"
        f" chain input {{ type filter hook input priority -10; policy accept;\n"
        f"  ip saddr {address} tcp sport {port} counter drop {owner}\n }}\n}}\n"
    )


def stands(address: str) -> bool:
    """Return whether the kernel has the rules against this address."""
    done = subprocess.run(
        [NFT, "list", "table", "inet", TABLE], capture_output=True, text=True, timeout=5, check=False
    )
    return done.returncode == 0 and f"ip daddr {address} " in done.stdout and f"ip saddr {address} " in done.stdout


def take_down() -> None:
    """Remove the rules, then what is written down. Raises FenceError."""
    load_rules(removal(TABLE))
    FILE.unlink(missing_ok=True)


def removal(table: str) -> str:
    """Return what removes a table of ours, whether it is there or not."""
    return f"add table inet {table}\ndelete table inet {table}\n"


def load_rules(text: str) -> None:
    """Load rules into the kernel in one transaction. Raises FenceError and SubprocessError."""
    done = subprocess.run([NFT, "-f", "-"], input=text, capture_output=True, text=True, timeout=5, check=False)
    if done.returncode:
        raise FenceError(done.stderr.strip() or f"nft ended with {done.returncode}")


def end_receivers(word: str) -> bool:
    """End the processes that stream from a leader, and return whether those that ran are gone.

    What such a process has received it writes to the log before it ends. The engine starts another, which the fence
    turns away.
    """
    found = titled(word)
    for pid in found:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
    until = time.monotonic() + END_S
    while any(Path(f"/proc/{pid}").exists() for pid in found):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def titled(word: str) -> tuple[int, ...]:
    """Return the processes whose title has a word in it: what each process of the database is for stands there."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and word.encode() in _title(folder):
            found.append(int(folder.name))
    return tuple(pid for pid in found if pid != os.getpid())


def _title(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""
