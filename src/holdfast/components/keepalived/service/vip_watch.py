#!/usr/bin/python3
# Written by Holdfast. Changes made here are shown as drift and undone by the next apply.
"""vip-watch SETTINGS: does for keepalived what it would start processes for; they speak by files and a pipe.

To start one it must copy itself, and that waits for everybody who maps the same libraries at that moment. On a host
full of work its adverts were 0.6 s late by that, and another host took the address, too.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

# A killed server is back within half a second: two silent checks in a row mean more than that.
FRONT_EVERY_S, FRONT_FALL, FRONT_RISE = 0.5, 2, 4
FRONT_WITHIN_S = 1.0
HEARS_EVERY_S, HEARS_FALL, HEARS_RISE = 1.0, 2, 2
# On a line that loses 30 % every second handshake waits for a second: many short tries, two seconds of them.
HEARS_WITHIN_S, HEARS_TRIES = 0.25, 8
# keepalived's words; it tells other news, too.
HOLDER, OTHER_STATES = "MASTER", ("BACKUP", "FAULT", "STOP", "DELETED")
ROUTES = Path("/proc/net/fib_trie")


class Streak:
    """Well until ``fall`` failures in a row, then ill until ``rise`` successes in a row."""

    def __init__(self, fall: int, rise: int) -> None:
        self.well = True
        self._needed = {True: fall, False: rise}
        self._against = 0

    def take(self, success: bool) -> bool:
        """Take one result in; return whether the verdict has changed."""
        self._against = 0 if success == self.well else self._against + 1
        if self._against < self._needed[self.well]:
            return False
        self.well, self._against = success, 0
        return True


def front_answers(port: int, name: str, path: str, address: str = "127.0.0.1") -> bool:
    """Return whether the front door of this host answers a real request: one that hangs has an open port, too.

    Without TLS, as the same workers answer both ports, and it takes a third of the processor time. The port is the
    one on this host whoever holds the floating address.
    """
    try:
        with socket.create_connection((address, port), FRONT_WITHIN_S) as line:
            line.sendall(f"GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
            return line.recv(4096).partition(b"\r")[0].split()[1:2] == [b"200"]
    except OSError:
        return False


def hears(others: Sequence[str], port: int, within_s: float = HEARS_WITHIN_S) -> bool:
    """Return whether any other edge host's front door answers: if none does, it is this host that hears nothing.

    A handshake is an answer, and so is a refusal.
    """
    for turn in range(HEARS_TRIES):
        try:
            socket.create_connection((others[turn % len(others)], port), within_s).close()
        except ConnectionRefusedError:
            return True
        except OSError as error:
            # What fails at once (no route) leaves the others their time all the same.
            time.sleep(0 if isinstance(error, TimeoutError) else within_s)
        else:
            return True
    return False


def is_here(address: str, routes: Path = ROUTES) -> bool:
    """Return whether an address belongs to this host. (To bind to it is allowed on every host.)"""
    lines = routes.read_text().splitlines()
    return any(line.split()[-1:] == [address] and "host LOCAL" in after for line, after in pairwise(lines))


def holds(line: str) -> bool | None:
    """Read keepalived's word about itself: whether this host is the holder now, None for other news."""
    kind, _, state, *_ = [*line.split(), "", "", ""]
    return state == HOLDER if kind == "INSTANCE" and state in (HOLDER, *OTHER_STATES) else None


def write(path: Path, value: bool) -> None:
    """Write what keepalived tracks; it looks when the file is closed."""
    path.write_text(f"{int(value)}\n")


def say(text: str) -> None:
    """Write a sentence into the journal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def keep(check: Callable[[], bool], streak: Streak, every_s: float, told: Callable[[bool], None]) -> None:
    """Check for ever, and tell the verdict at first and whenever it changes."""
    told(streak.well)
    while True:
        begun_s = time.monotonic()
        if streak.take(check()):
            told(streak.well)
        time.sleep(max(0.0, begun_s + every_s - time.monotonic()))


def listen(pipe: Path, holder: Path, address: str) -> None:
    """Write down whether this host holds the address, then whenever that changes, in the order of events."""
    # For reading and writing: then it has no end when keepalived restarts.
    with os.fdopen(os.open(pipe, os.O_RDWR)) as lines:
        write(holder, is_here(address))
        for line in lines:
            if (held := holds(line)) is not None:
                write(holder, held)


def verdicts(path: Path, well: str, ill: str) -> Callable[[bool], None]:
    """Return what writes a verdict for keepalived, 1 for ill, and says it when it is news."""
    seen: list[bool] = []

    def told(verdict: bool) -> None:
        write(path, not verdict)
        if seen or not verdict:
            say(well if verdict else ill)
        seen.append(verdict)

    return told


def alone(work: Callable[[], None]) -> None:
    """Run work in a thread; if it ends, all ends, and systemd begins anew."""

    def run() -> None:
        try:
            work()
        finally:
            os._exit(1)

    threading.Thread(target=run, daemon=True).start()


def main(settings: dict[str, Any]) -> None:
    """Check the front door, whether others are heard, and note who holds, for ever."""
    folder, port, others = Path(settings["folder"]), settings["port"], settings["others"]
    front = verdicts(
        folder / "front",
        "the front door of this host answers again",
        f"the front door of this host does not answer: {FRONT_FALL} requests in a row",
    )
    alone(
        lambda: keep(
            lambda: front_answers(port, settings["name"], settings["path"]),
            Streak(FRONT_FALL, FRONT_RISE),
            FRONT_EVERY_S,
            front,
        )
    )
    # With one other host, silence says as much about that one as about this one.
    heard = verdicts(
        folder / "hears", "other edge hosts are heard again", "no other edge host is heard: this one may be deaf"
    )
    if len(others) > 1:
        alone(lambda: keep(lambda: hears(others, port), Streak(HEARS_FALL, HEARS_RISE), HEARS_EVERY_S, heard))
    listen(folder / "news", folder / "holder", settings["vip"])


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
