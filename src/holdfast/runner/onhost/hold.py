"""Holding the lock of an apply on a server for as long as the operator's side is alive."""

import fcntl
import json
import os
import select
import sys
from pathlib import Path

from holdfast.runner.onhost.basics import Data, say

LOCK = Path("/run/holdfast-apply.lock")
SILENCE_S = 30.0


def answer(request: Data) -> Data:
    """Take the lock and keep it until standard input ends or is silent for `SILENCE_S`; or say who holds it."""
    with LOCK.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            return {"held": False, "by": file.read()}
        file.truncate(0)
        file.write(json.dumps(request["owner"]))
        file.flush()
        say(event="answer", answer={"held": True, "by": ""})
        _wait_for_end()
        file.truncate(0)
    return {"held": False, "by": ""}


def _wait_for_end() -> None:
    # Unbuffered reads: select must see every heartbeat.
    while select.select([sys.stdin], [], [], SILENCE_S)[0]:
        if not os.read(sys.stdin.fileno(), 64):
            return
