#!/usr/bin/python3
# Written by Holdfast. Changes made here are shown as drift and undone by the next apply.
"""app-load ADDRESS PORT: tells the edges how busy this host is, as JSON over HTTP.

Counters and not averages: whoever asks twice has the load in between, over just that time.
"""

import json
import os
import sys
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

# The machine's own pressure where a control group is the machine (containers), else the kernel's.
PRESSURES = (
    Path("/sys/fs/cgroup/cpu.pressure"),
    Path("/sys/fs/cgroup/unified/cpu.pressure"),
    Path("/proc/pressure/cpu"),
)
LOADAVG = Path("/proc/loadavg")
LOOK_S = 0.1
# No change for so long is news, too: nothing has waited.
QUIET_US = 2_500_000
# A client that connects and says nothing must not hold the others up.
LIMIT_S = 0.5


class Looks:
    """Counters of a thread that looks all the time.

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
        self.queue_sum += max(0, int(self.loadavg.read_text().split()[3].split("/")[0]) - 1)
        self.queue_looks += 1
        waited = next(filter(None, map(pressure, self.pressures)), None)
        if waited != self.waited or now_us - self.waited_at_us >= QUIET_US:
            self.waited, self.waited_at_us = waited, now_us

    def watch(self) -> None:
        """Look for ever."""
        while True:
            self.look(time.monotonic_ns() // 1000)
            time.sleep(LOOK_S)

    def told(self) -> dict[str, float]:
        """Return the counters that this kernel has."""
        found = {"processors": os.cpu_count() or 1, "queue_sum": self.queue_sum, "queue_looks": self.queue_looks}
        if self.waited is None:
            return dict(found)
        return {**found, "waited_us": self.waited, "waited_at_us": self.waited_at_us}


LOOKS = Looks()


def pressure(path: Path) -> int | None:
    """Return what one file says, None when this kernel does not have it."""
    try:
        return waited_us(path.read_text())
    except (OSError, ValueError):
        return None


def waited_us(pressure: str) -> int:
    """Return for how many microseconds since the start something waited for a processor. Raises ValueError."""
    for line in pressure.splitlines():
        if line.startswith("some "):
            return int(line.rpartition("total=")[2])
    raise ValueError("no pressure")


class Answer(BaseHTTPRequestHandler):
    """One answer for every path."""

    timeout = LIMIT_S

    def do_GET(self) -> None:
        """Tell the load."""
        body = json.dumps(LOOKS.told()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: it is asked every second."""


def main(address: str, port: str) -> None:
    """Answer one at a time, for ever."""
    Thread(target=LOOKS.watch, daemon=True).start()
    HTTPServer((address, int(port)), Answer).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
