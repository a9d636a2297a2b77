"""The dead man's switch: undoes a fault when its time is up, whatever has become of who struck it.

Runs as a file of its own beside the fault's state (`python3 switch.py FOLDER`), and uses nothing of ours.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# What a fault's folder holds: the state, the switch's process once it waits, and the word that it fired.
ARMED = "armed.json"
READY = "pid"
FIRED = "fired.json"
COMMAND_TIMEOUT_S = 120.0
# A command that fails is tried again: what it needs may itself just be coming back.
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 0.0)


def main(folder: Path) -> None:
    """Wait for the time, then undo the fault, unless it was undone before."""
    state = json.loads((folder / ARMED).read_text())
    put(folder / READY, str(os.getpid()))
    time.sleep(state["undo_after_s"])
    with held(folder):
        if (folder / ARMED).exists():
            complaints = undo(state["heal"])
            put(folder / FIRED, json.dumps({"at": time.time(), "complaints": complaints}))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep the switch and the hand that heals apart. Does nothing where there is no such fault (any more)."""
    try:
        file = (folder / "lock").open("a")
    except FileNotFoundError:
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def undo(commands: list[list[str]]) -> list[str]:
    """Run commands in their order, failed ones again; return the last words of those that never succeeded."""
    return [words for argv in commands if (words := insist(argv))]


def insist(argv: list[str]) -> str:
    """Run a command until it succeeds, a few times; return its last words when it never did, else ""."""
    words = ""
    for pause_s in PAUSES_S:
        if not (words := complaint(argv)):
            return ""
        time.sleep(pause_s)
    return words


def complaint(argv: list[str]) -> str:
    """Run a command; return why it failed, "" when it did not."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"{' '.join(argv[:4])}: no end within {COMMAND_TIMEOUT_S:g} s"
    except OSError as error:
        return f"{argv[0]}: {error.strerror}"
    if done.returncode == 0:
        return ""
    words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-3:]
    return ": ".join([" ".join(argv[:4]), f"exit code {done.returncode}", *([" / ".join(words)] if words else [])])


def put(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    draft = path.with_suffix(".new")
    draft.write_text(text)
    draft.replace(path)


def read(path: Path) -> Any:
    """Return what a JSON file holds; None when it is not there."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
