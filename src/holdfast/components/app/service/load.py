#!/usr/bin/python3
# Written by Holdfast. Changes made here are shown as drift and undone by the next apply.
"""app-load ADDRESS PORT: tells the edges how busy this host is, as JSON over HTTP.

Counters and not averages: whoever asks twice has the load in between, over just that time.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# The machine's own pressure where a control group is the machine (containers), else the kernel's.
PRESSURES = (
    Path("/sys/fs/cgroup/cpu.pressure"),
    Path("/sys/fs/cgroup/unified/cpu.pressure"),
    Path("/proc/pressure/cpu"),
)
LOADAVG = Path("/proc/loadavg")
LOOK_S = 0.2
# No change for so long is news, too: nothing has waited.
QUIET_US = 2_500_000
# A client that connects and says nothing must not hold the others, or the looks, up.
LIMIT_S = 0.2
WAITING_MAX = 16


class Looks:
    """Counters of who looks all the time.

    - ``queue_sum``: how many tasks ran or wanted to, summed over ``queue_looks`` looks: one look says nothing.
    - ``waited_us``: for how long something has waited for a processor, as of ``waited_at_us``. The kernel brings that
      counter up to date every 2 s only, so its own time matters, not that of whoever asks.
    """

    def __init__(self, pressures: Iterable[Path] = PRESSURES, loadavg: Path = LOADAVG) -> None:
        self.pressures, self.loadavg = tuple(pressures), loadavg
        self.queue_sum, self.queue_looks = 0, 0
        self.waited: int | None = None
        self.waited_at_us = 0

    def look(self, now_us: int) -> None:
        """Look once. This program itself runs while it looks."""
        self.queue_sum += max(0, int(text(self.loadavg).split()[3].split("/")[0]) - 1)
        self.queue_looks += 1
        waited = next(filter(None, map(pressure, self.pressures)), None)
        if waited != self.waited or now_us - self.waited_at_us >= QUIET_US:
            self.waited, self.waited_at_us = waited, now_us

    def told(self) -> dict[str, float]:
        """Return the counters that this kernel has."""
        found = {"processors": os.cpu_count() or 1, "queue_sum": self.queue_sum, "queue_looks": self.queue_looks}
        if self.waited is None:
            return dict(found)
        return {**found, "waited_us": self.waited, "waited_at_us": self.waited_at_us}


def text(path: Path) -> str:
    """Return a small file, at a fifth of what a file object costs. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, 4096).decode()
    finally:
        os.close(handle)


def pressure(path: Path) -> int | None:
    """Return what one file says, None when this kernel does not have it."""
    try:
        return waited_us(text(path))
    except (OSError, ValueError):
        return None


def waited_us(pressure: str) -> int:
    """Return for how many microseconds since the start something waited for a processor. Raises ValueError."""
    for line in pressure.splitlines():
        if line.startswith("some "):
            return int(line.rpartition("total=")[2])
    raise ValueError("no pressure")


def answer(client: socket.socket, told: dict[str, float]) -> None:
    """Tell the load, whatever was asked. One recv: the questions of edges come in one piece."""
    body = json.dumps(told)
    head = f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    client.settimeout(LIMIT_S)
    with client, suppress(OSError):
        client.recv(4096)
        client.sendall((head + body).encode())


def serve(door: socket.socket, looks: Looks) -> None:
    """Look and answer in turn, for ever: a thread for each would cost more than both."""
    next_s = 0.0
    while True:
        now_s = time.monotonic()
        if now_s >= next_s:
            looks.look(time.monotonic_ns() // 1000)
            next_s = now_s + LOOK_S
        door.settimeout(max(0.001, next_s - time.monotonic()))
        with suppress(OSError):
            answer(door.accept()[0], looks.told())


def main(address: str, port: str) -> None:
    """Serve one at a time, for ever."""
    serve(socket.create_server((address, int(port)), backlog=WAITING_MAX), Looks())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
