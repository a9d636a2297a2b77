"""What the death of an application host costs clients that read: GETs at an even pace, and a power cut among them.

An open model: every request has a time at which it was meant to start, and is late from then on.
"""

import argparse
import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.plan import CommandError, cluster, say, status_of
from holdfast.cli.common import open_design
from holdfast.cli.lab import lab_of
from holdfast.drills.numbers import percentile
from holdfast.lab.lab import lab_obstacle

MACHINES = 3
PATIENCE_S = 20.0
OFF_AT, ON_AT = 0.3, 0.5
# Its part of all requests after its return is counted in pieces of this length, and for so many of them.
SHARE_S, SHARES = 3, 6
LIMIT_ADDED_S = 0.5
ACCESS_LOG = "/var/log/nginx/access.log"
# After the cut so much is counted as its consequence.
AFTERMATH_S = 10.0


@dataclass(frozen=True, slots=True)
class Got:
    """One request: when it was meant to start, how long it took from then on, and what was wrong."""

    at_s: float
    took_s: float
    wrong: str


class Client:
    """GETs over TLS, over connections that are used again."""

    def __init__(self, address: str, path: str) -> None:
        self.address, self.path = address, path
        self.context = ssl.create_default_context()
        # What is measured is time; that the certificate is good is tested elsewhere.
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self) -> str:
        """Ask once; return what was wrong."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, writer = await self._connection()
                writer.write(f"GET {self.path} HTTP/1.1\r\nHost: {self.address}\r\n\r\n".encode())
                status, length, stays = head(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(length)
                if stays:
                    self.idle.append((reader, writer))
                else:
                    writer.close()
        except (OSError, EOFError, ValueError) as error:
            return f"{type(error).__name__} {error}".strip()
        return "" if status == 200 else f"status {status}"

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self.address, 443, ssl=self.context)


def head(text: bytes) -> tuple[int, int, bool]:
    """Return status, length of the body, and whether the connection may be used again.

    Raises ValueError for what is no such answer.
    """
    first, *lines = text.decode("latin-1").split("\r\n")
    fields = {name.lower(): found for name, _, found in (line.partition(": ") for line in lines)}
    length = int(fields["content-length"]) if "content-length" in fields else 0
    return int(first.split(" ")[1]), length, fields.get("connection", "").lower() != "close"


async def load(client: Client, count: int, rate: float, began: float) -> list[Got]:
    """Ask so many times, at an even pace."""

    async def one(at_s: float) -> Got:
        wrong = await client.get()
        return Got(at_s, time.monotonic() - began - at_s, wrong)

    tasks = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(one(number / rate)))
    return list(await asyncio.gather(*tasks))


def added_s(got: Sequence[Got], cut_s: float) -> float:
    """Return by how much the slowest request of the cut was slower than the median before it."""
    before = [each.took_s for each in got if each.at_s < cut_s - 1]
    after = [each.took_s for each in got if cut_s - 1 <= each.at_s < cut_s + AFTERMATH_S]
    return max(after) - median(before)


def victim(folder: Path) -> tuple[str, str]:
    """Return an application host that neither holds the address nor leads, and the holder."""
    status = status_of(folder)
    holder = str(status["vip_holder"])
    servers = {each["host"] for each in status["members"] if each["component"] == "app"} - {holder}
    busy = {each["host"] for each in status["members"] if each["role"] in ("leader", "primary")}
    return sorted(servers - busy or servers)[-1], holder


async def measure(folder: Path, count: int, rate: float, path: str) -> dict[str, Any]:
    """Run the load, cut the power of one application host in it and give it back; return the figures."""
    design = open_design(folder / "cluster.yaml")
    address = design.spec.entry.vip
    if address is None:
        raise CommandError("the cluster has no floating address")
    host, holder = await asyncio.to_thread(victim, folder)
    lab, whole_s = lab_of(folder / "cluster.yaml", design), count / rate
    address_of = {each.name: each.address for each in design.spec.hosts}
    since, began = time.time(), time.monotonic() + 1
    running = asyncio.create_task(load(Client(address, path), count, rate, began))
    await asyncio.sleep(began + OFF_AT * whole_s - time.monotonic())
    cut_s, cut_at = time.monotonic() - began, time.time()
    await asyncio.to_thread(lab.power_off, host)
    await asyncio.sleep(began + ON_AT * whole_s - time.monotonic())
    await asyncio.to_thread(lab.power_on, host)
    got = await running
    journal = await asyncio.to_thread(said, lab.shell_argv(holder, watch_journal(since)))
    out = next((at for at, text in journal if at >= cut_at and f"{host} is out of use" in text), None)
    back = next((at for at, text in journal if at >= cut_at and f"{host} is in use again" in text), None)
    log = await asyncio.to_thread(logged, lab.shell_argv(holder, ("tail", "--lines", str(count), ACCESS_LOG)))
    return {
        "victim": host,
        "requests": len(got),
        "failed": sum(bool(each.wrong) for each in got),
        "wrong": dict(Counter(each.wrong for each in got if each.wrong)),
        "median_ms": round(median(each.took_s for each in got) * 1000, 1),
        "p99_ms": round((percentile([each.took_s for each in got], 99) or 0.0) * 1000, 1),
        "worst_ms": round(max(each.took_s for each in got) * 1000, 1),
        "added_s": round(added_s(got, cut_s), 3),
        "out_after_s": None if out is None else round(out - cut_at, 3),
        "back_after_s": None if back is None else round(back - cut_at, 3),
        # One server of three should end with a third.
        "share_after_return": shares(log, address_of[host], back) if back else [],
        "journal": [f"{at - cut_at:+.2f} s {text}" for at, text in journal],
    }


def logged(argv: Sequence[str]) -> list[tuple[float, str]]:
    """Return when each request was answered, and by which server: the last one that was asked."""
    lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [(datetime.fromisoformat(each["time"]).timestamp(), each["server"].split(", ")[-1]) for each in found]


def shares(log: Sequence[tuple[float, str]], address: str, back: float) -> list[float]:
    """Return which part of all requests a server had in each 3 s since its return, the last whole one included."""
    until_s = max((at for at, _ in log), default=back) - back
    found = []
    for start_s in range(0, min(SHARES, int(until_s // SHARE_S)) * SHARE_S, SHARE_S):
        asked = [server for at, server in log if start_s <= at - back < start_s + SHARE_S]
        found.append(round(sum(server.startswith(f"{address}:") for server in asked) / max(1, len(asked)), 2))
    return found


def watch_journal(since: float) -> tuple[str, ...]:
    """Return the command that shows what the edge decided."""
    return ("journalctl", "--unit=edge-watch.service", "--output=short-unix", f"--since=@{since:.0f}", "--no-pager")


def said(argv: Sequence[str]) -> list[tuple[float, str]]:
    """Return time and text of every line of a journal."""
    lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    words = [line.split(" ", 3) for line in lines if line[:1].isdigit()]
    return [(float(each[0]), each[-1]) for each in words]


def main() -> int:
    """Measure, print the figures, and return 1 when a request failed or waited too long."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--path", default="/static/shop.css")
    parser.add_argument("--folder", type=Path, help="a lab that is up already, instead of one made for this")
    chosen = parser.parse_args()
    if reason := lab_obstacle():
        sys.exit(reason)
    try:
        with nullcontext(chosen.folder) if chosen.folder else cluster(MACHINES) as folder:
            found = asyncio.run(measure(folder, chosen.requests, chosen.rate, chosen.path))
    except CommandError as error:
        sys.exit(str(error))
    say("\n".join(found["journal"]))
    sys.stdout.write(json.dumps({name: each for name, each in found.items() if name != "journal"}, indent=1) + "\n")
    return 1 if found["failed"] or found["added_s"] >= LIMIT_ADDED_S else 0


if __name__ == "__main__":
    sys.exit(main())
