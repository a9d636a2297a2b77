"""Who reaches whom: from outside the edge and SSH, between machines the derived flows, and nothing else."""

import asyncio
import json

import pytest

from lab.cluster import LabCluster
from lab.figures import Measured

pytestmark = pytest.mark.lab

EDGE = {22, 80, 443}
COMMON = range(1, 1025)
AT_ONCE = 256
SILENCE_S = 0.7

# Runs in a machine. Ports where somebody listens on any address but loopback, from the kernel's own tables.
LISTENING = """
import pathlib
for name in ("tcp", "tcp6"):
    for line in pathlib.Path("/proc/net", name).read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address, port = local.split(":")
        if state == "0A" and not address.endswith("7F") and not address.endswith("0100007F"):
            print(int(port, 16))
"""

# Runs in a machine. Reads [[address, port, whether it must answer], …]; says which of them take a connection.
# What is dropped is told by its silence. Whoever must answer is asked for longer than a lost SYN takes (1 s, then 2 s
# later) and than a service that restarts: whether it may be reached is the question, not how quickly.
CONNECT = """
import json, socket, sys, time
def opens(address, port):
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
def answers(address, port, must):
    until = time.monotonic() + (15 if must else 0)
    while not (taken := opens(address, port)) and time.monotonic() < until:
        time.sleep(0.2)
    return taken
print(json.dumps([each[:2] for each in json.load(sys.stdin) if answers(*each)]))
"""


def listening(cluster: LabCluster) -> dict[str, set[int]]:
    """Return the ports on which each machine listens to others."""
    argv = ("python3", "-c", LISTENING)
    return {host: {int(word) for word in cluster.inside(host, *argv).split()} for host in cluster.hosts}


async def opens(address: str, port: int, turn: asyncio.Semaphore) -> bool:
    """Whether a connection from here is taken."""
    async with turn:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), SILENCE_S)
        except OSError:
            return False
        writer.close()
        return True


async def open_ports(targets: list[tuple[str, int]]) -> set[tuple[str, int]]:
    """Try many addresses and ports from this computer; return those that answer."""
    turn = asyncio.Semaphore(AT_ONCE)
    found = await asyncio.gather(*(opens(*target, turn) for target in targets))
    return {target for target, answers in zip(targets, found, strict=True) if answers}


def test_from_outside_only_the_edge_and_ssh_answer(cluster: LabCluster, measured: Measured) -> None:
    spec = cluster.design.spec
    heard = listening(cluster)
    ports = sorted({*COMMON, *(port for own in heard.values() for port in own)})
    addresses = [*(host.address for host in spec.hosts), cluster.vip]
    targets = [(address, port) for address in addresses for port in ports]
    answering = asyncio.run(open_ports(targets))
    expected = {(address, port) for address in addresses for port in EDGE}
    measured("unexpected from outside", f"{len(answering - expected)} of {len(targets)} tried")
    assert answering == expected


def test_between_machines_only_the_derived_flows_connect(cluster: LabCluster, measured: Measured) -> None:
    design, heard = cluster.design, listening(cluster)
    everywhere = sorted({port for own in heard.values() for port in own} | {flow.port for flow in design.flows} - {0})
    address = {host.name: host.address for host in design.spec.hosts}
    tried, unexpected, missing = 0, set(), set()
    for source in cluster.hosts:
        others = [host for host in cluster.hosts if host != source]
        flows = {
            (address[flow.target], flow.port)
            for flow in design.flows
            if flow.protocol == "tcp" and flow.source in ("", source) and flow.target != source
        }
        ends = [(address[host], port) for host in others for port in everywhere]
        asked = json.dumps([(*end, end in flows) for end in ends])
        told = cluster.inside(source, "python3", "-c", CONNECT, stdin=asked, timeout_s=300)
        answering = {(host, port) for host, port in json.loads(told)}
        tried += len(ends)
        unexpected |= {(source, *each) for each in answering - flows}
        missing |= {(source, *each) for each in flows - answering}
    measured("unexpected between machines", f"{len(unexpected)} of {tried} tried")
    assert unexpected == set()
    assert missing == set()


def test_what_listens_listens_for_a_flow(cluster: LabCluster) -> None:
    """A port that is open on the wire side without any flow to it is a mistake that only the firewall hides."""
    for host, ports in listening(cluster).items():
        wanted = {flow.port for flow in cluster.design.flows if flow.target == host and flow.protocol == "tcp"}
        assert ports <= wanted, f"{host} listens without need on {sorted(ports - wanted)}"
