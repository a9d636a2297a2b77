"""Two bare machines with a listener each, hands on them, and what gets from one place to another."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from holdfast.drills.hands import Hands
from holdfast.lab.ground import LabGround
from holdfast.lab.lab import Lab, LabPlan, MachinePlan
from holdfast.model.fault import UNDERNEATH, Blow, Evidence
from holdfast.model.watch import Output
from holdfast.wire.base import Wire
from holdfast.wire.local import LocalWire
from holdfast.wire.ssh import Address, connect

NETWORK = "10.79.203"
FLOATING = f"{NETWORK}.10"
WITHIN_S = 20.0

# Runs on each machine: keeps every datagram that comes, and greets whoever connects.
LISTENER = """
import socket, threading
def datagrams():
    heard, inbox = open("/run/heard", "ab", 0), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inbox.bind(("", 7000))
    while True:
        heard.write(inbox.recv(2000) + b"\\n")
def greetings():
    door = socket.create_server(("", 7000))
    while True:
        guest, _ = door.accept()
        guest.sendall(bytes(3_000_000))
        guest.close()
threading.Thread(target=datagrams).start()
greetings()
"""
SENDER = """
import socket, sys, time
outbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(12):
    outbox.sendto(sys.argv[2].encode(), (sys.argv[1], 7000))
    time.sleep(0.02)
"""
# Prints the seconds until the connection was there, and the bytes that came.
VISITOR = """
import socket, sys, time
begun = time.monotonic()
with socket.create_connection((sys.argv[1], 7000), 3) as line:
    took = time.monotonic() - begun
    print(took, sum(len(part) for part in iter(lambda: line.recv(65536), b"")))
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A lab of two bare machines, and the key that opens them."""

    lab: Lab
    key: Path

    @staticmethod
    def restored(plan: str, key: str) -> "Site":
        """The same site in another process."""
        fields = json.loads(plan)
        machines = tuple(MachinePlan(**one) for one in fields.pop("machines"))
        return Site(Lab(LabPlan(**fields, machines=machines), print), Path(key))

    @property
    def ground(self) -> LabGround:
        return LabGround(self.lab.plan)

    async def connect(self, place: str) -> Wire:
        if place == UNDERNEATH:
            return LocalWire()
        return await connect(
            Address(place, address(place), 22, "root", self.key, self.key.with_name("known_hosts.json"))
        )

    @asynccontextmanager
    async def hands(self) -> AsyncIterator[Hands]:
        hands = Hands(self.connect, limit_s=30)
        try:
            yield hands
        finally:
            await hands.heal_all()
            await hands.close()

    def three_blows(self) -> dict[str, Blow]:
        return {
            "test-cut": self.ground.cut((("", "a"), ("a", ""))),
            "test-ice": self.ground.freeze("b"),
            "test-hang": hung("a"),
        }


def address(host: str) -> str:
    return f"{NETWORK}.1{'xab'.index(host)}"


def hung(host: str) -> Blow:
    """A service stopped with SIGSTOP: a fault on the machine itself, over SSH."""
    act = ("systemctl", "kill", "--kill-whom=all", "listener", "--signal")
    state = ("sh", "-c", "cut -d' ' -f3 /proc/$(systemctl show -P MainPID listener)/stat")
    shown = Evidence(state, lambda output: "the process is stopped" if output.stdout.strip() == "T" else "")
    return Blow(host, ((*act, "STOP"),), ((*act, "CONT"),), (shown,))


async def prepared(site: Site) -> None:
    await asyncio.gather(*(prepare(site, host) for host in "ab"))


async def prepare(site: Site, host: str) -> None:
    """Start the listener on a machine."""
    wire = await site.connect(host)
    begin = ("systemd-run", "--quiet", "--collect", "--unit=listener", "python3", "-c", LISTENER)
    assert (await wire.run(begin)).exit_code == 0
    while (await wire.run(("sh", "-c", "ss -tln | grep -q :7000"))).exit_code:
        await asyncio.sleep(0.05)
    await wire.close()


async def on(hands: Hands, place: str, *argv: str) -> Output:
    async with hands._wire(place) as wire:
        return await wire.run(argv, timeout_s=10)


async def arrives(hands: Hands, source: str, target: str) -> bool:
    """Whether datagrams get from one place to another; no answer is needed for that."""
    word = secrets.token_hex(8)
    assert (await on(hands, source, "python3", "-c", SENDER, address(target), word)).exit_code == 0
    return (await on(hands, target, "grep", "-q", word, "/run/heard")).exit_code == 0


async def visit(hands: Hands, source: str, where: str) -> tuple[float, int]:
    """Connect and take all that comes; return the seconds until the connection was there, and the bytes."""
    done = await on(hands, source, "python3", "-c", VISITOR, where)
    if done.exit_code:
        return 99.0, 0
    took_s, size = done.stdout.split()
    return float(took_s), int(size)


async def eventually(true: Callable[[], Awaitable[bool]]) -> bool:
    until_s = time.monotonic() + WITHIN_S
    while not (found := await true()) and time.monotonic() < until_s:
        await asyncio.sleep(0.1)
    return found
