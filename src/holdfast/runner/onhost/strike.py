"""Breaking things on purpose on one machine: the dead man's switch first, then the fault; and undoing it.

Three requests, told apart by ``do``:

- ``inject``: ``id``, ``undo_after_s``, ``inject`` and ``heal`` (commands), ``switch`` (the text of `switch`).
  Without ``heal`` commands there is nothing to undo and no switch. Answers ``took_s``.
- ``heal``: ``id``, ``heal`` (none: those that are remembered). Answers ``by_switch`` and ``took_s``.
- ``pending``: answers ``faults``: what is armed here or was undone by its switch.

State is in `STATE`, one folder for each fault; it does not outlive a restart of the machine, and no switch does.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from holdfast.runner.onhost.basics import Data, Failed, run
from holdfast.runner.onhost.switch import ARMED, FIRED, READY, complaint, held, put, read, undo

STATE = Path("/run/holdfast-drill")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
READY_WITHIN_S = 10.0
POLL_S = 0.005
# The word that a switch fired is for the drill that armed it; nobody asks for it after this time.
FORGOTTEN_AFTER_S = 3600.0
SYSTEMD = Path("/run/systemd/system")


def answer(request: Data) -> Data:
    """Do what is asked. Raises Failed."""
    return {"inject": inject, "heal": heal, "pending": pending}[request["do"]](request)


def inject(request: Data) -> Data:
    """Arm the switch, then strike. Raises Failed when either fails; then nothing is left in force."""
    folder = folder_of(request["id"])
    forget_old()
    if request["heal"]:
        arm(folder, request)
    begun = time.monotonic()
    for argv in request["inject"]:
        if words := complaint(argv):
            raise Failed("; ".join([words, *give_up(folder, request["heal"])]))
    return {"took_s": round(time.monotonic() - begun, 3)}


def folder_of(fault: str) -> Path:
    """Return the folder of a fault. Raises Failed for a name that cannot be one."""
    if not ID.fullmatch(fault):
        raise Failed(f"{fault!r} cannot name a fault: up to 100 letters, digits, '.', '_' and '-'")
    return STATE / fault


def arm(folder: Path, request: Data) -> None:
    """Start the switch and wait until it waits. Raises Failed when it does not, or a fault of that name is armed."""
    if is_left(folder):
        heal({"id": folder.name, "heal": []})
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise Failed(f"fault {folder.name} is armed already: heal it first") from None
    state = {"undo_after_s": request["undo_after_s"], "undo_at": time.time() + request["undo_after_s"]}
    put(folder / ARMED, json.dumps(state | {"heal": request["heal"]}))
    put(folder / "switch.py", request["switch"])
    start_switch(folder)
    wait_ready(folder)


def start_switch(folder: Path) -> None:
    """Start the switch where neither the end of our connection nor a lack of memory ends it."""
    command = ["python3", "-I", "-S", str(folder / "switch.py"), str(folder)]
    if SYSTEMD.is_dir():
        unit = f"--unit=holdfast-undo-{folder.name}"
        options = ["--property=OOMScoreAdjust=-1000", "--description=Undo a drill's fault"]
        if run(["systemd-run", "--quiet", "--collect", unit, *options, "--", *command], 10)["exit_code"] == 0:
            return
    # No pipe of ours is handed on: an SSH connection would wait for its end.
    nothing = subprocess.DEVNULL
    subprocess.run(["setsid", "--fork", *command], stdin=nothing, stdout=nothing, stderr=nothing, cwd="/", check=True)


def wait_ready(folder: Path) -> None:
    """Wait until the switch waits. Raises Failed when it does not."""
    begun = time.monotonic()
    while not (folder / READY).exists():
        if time.monotonic() - begun > READY_WITHIN_S:
            shutil.rmtree(folder)
            raise Failed(f"the dead man's switch did not start within {READY_WITHIN_S:g} s, so nothing was broken")
        time.sleep(POLL_S)


def give_up(folder: Path, commands: list[list[str]]) -> list[str]:
    """Undo a fault that came about in part only; return what could not be undone (the switch stays armed then)."""
    with held(folder):
        if complaints := undo(commands):
            return [f"undoing it failed too: {each}" for each in complaints]
        disarm(folder)
    return []


def heal(request: Data) -> Data:
    """Undo a fault and disarm its switch. Raises Failed when it cannot be undone; the switch stays armed then."""
    folder = folder_of(request["id"])
    begun = time.monotonic()
    with held(folder):
        fired = (folder / FIRED).exists()
        if complaints := undo(request["heal"] or (read(folder / ARMED) or {}).get("heal", [])):
            raise Failed("; ".join(complaints))
        disarm(folder)
    return {"by_switch": fired, "took_s": round(time.monotonic() - begun, 3)}


def disarm(folder: Path) -> None:
    """End a switch and forget its fault; the last one leaves nothing behind."""
    if is_alive(folder):
        os.kill(read(folder / READY), signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        STATE.rmdir()


def is_alive(folder: Path) -> bool:
    """Return whether the switch of a fault still waits."""
    try:
        arguments = Path(f"/proc/{read(folder / READY)}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return str(folder).encode() in arguments


def is_left(folder: Path) -> bool:
    """Return whether a fault is left of a drill that is over: its switch waited once, and does not wait any more.

    It fired, or was killed; then nobody undoes the fault any more.
    """
    return (folder / READY).exists() and not is_alive(folder)


def pending(_: Data) -> Data:
    """Return the faults that are remembered, with the seconds until their switches fire."""
    return {"faults": [told(folder) for folder in sorted(STATE.glob("*")) if (folder / ARMED).exists()]}


def told(folder: Path) -> Data:
    """Return one fault as it is now."""
    state = read(folder / ARMED)
    fired = read(folder / FIRED)
    return {
        "id": folder.name,
        "left_s": round(state["undo_at"] - time.time(), 1),
        "fired": fired is not None,
        "complaints": fired["complaints"] if fired else [],
        "alive": is_alive(folder),
    }


def forget_old() -> None:
    """Forget faults that their switches undid long ago."""
    for folder in STATE.glob("*"):
        fired = read(folder / FIRED)
        if fired and not fired["complaints"] and time.time() - fired["at"] > FORGOTTEN_AFTER_S:
            shutil.rmtree(folder, ignore_errors=True)
