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
# A client that connects and says nothing must not hold the others up.
LIMIT_S = 0.5


class Queue:
    """How many tasks run or want to, summed over many looks: one look says nothing."""

    def __init__(self) -> None:
        self.sum, self.looks = 0, 0

    def look(self, loadavg: Path = LOADAVG) -> None:
        """Look once. This program itself runs while it looks."""
        self.sum += max(0, int(loadavg.read_text().split()[3].split("/")[0]) - 1)
        self.looks += 1

    def watch(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            time.sleep(LOOK_S)


QUEUE = Queue()


def load(queue: Queue = QUEUE, pressures: Iterable[Path] = PRESSURES) -> dict[str, float]:
    """Return the counters that this kernel has."""
    found: dict[str, float] = {"at_us": time.monotonic_ns() // 1000, "processors": os.cpu_count() or 1}
    for path in pressures:
        try:
            found["waited_us"] = waited_us(path.read_text())
            break
        except (OSError, ValueError):
            continue
    return found | {"queue_sum": queue.sum, "queue_looks": queue.looks}


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
        body = json.dumps(load()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: it is asked every second."""


def main(address: str, port: str) -> None:
    """Answer one at a time, for ever."""
    Thread(target=QUEUE.watch, daemon=True).start()
    HTTPServer((address, int(port)), Answer).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
