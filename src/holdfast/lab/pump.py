"""A slow cable: a machine's frames are pumped through a heap ordered by the time when they are due.

Between the machine's cable and the bridge comes a pair of virtual plugs, and a process carries the frames across
(`lab/frames.py`). This works on every kernel; netem is a module that many do not have. The process is two: should
one die, however it dies, the other plugs the machine back into the bridge. `python -m holdfast.lab.pump VERB LAB
HOST`: ``start`` (with delay and jitter in milliseconds), ``stop``, or ``show``, which prints the frames carried.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from holdfast.lab import frames
from holdfast.lab.host import attempt, detach, run
from holdfast.lab.network import remove_link
from holdfast.lab.plan import LabError, bridge_name, delayed_link_name, link_name, pump_link_name
from holdfast.lab.processes import process_table

MODULE = "holdfast.lab.pump"
CARRY = "carry"
WITHIN_S = 10.0
POLL_S = 0.01
LINKS = Path("/sys/class/net")


def argv(verb: str, lab: str, host: str, *more: int) -> tuple[str, ...]:
    """The command that does it."""
    return (sys.executable, "-I", "-m", MODULE, verb, lab, host, *map(str, more))


def obstacle() -> str:
    """Why frames cannot be delayed here, "" when they can."""
    try:
        frames.tap("lo").close()
    except OSError as error:
        return f"the kernel of this computer lets nobody take frames from a cable ({error.strerror})"
    return ""


def start(lab: str, host: str, delay_ms: int, jitter_ms: int) -> None:
    """Put the slow cable in. Raises LabError when there is no cable, or no frame can be carried."""
    stop(lab, host)
    if not is_link(link_name(lab, host)):
        raise LabError(f"machine {host} is off: it has no cable that could be slow")
    if not 0 <= jitter_ms <= delay_ms:
        raise LabError(f"cannot delay by {delay_ms} ms, more or less {jitter_ms} ms: the jitter is the larger one")
    detach(argv(CARRY, lab, host, delay_ms, jitter_ms))
    began = time.monotonic()
    while master_of(link_name(lab, host)) or not master_of(delayed_link_name(lab, host)):
        if time.monotonic() - began > WITHIN_S:
            stop(lab, host)
            raise LabError(f"the slow cable of {host} did not come about within {WITHIN_S:g} s")
        time.sleep(POLL_S)


def stop(lab: str, host: str) -> None:
    """Take the slow cable out and plug the machine in again, whatever is there of them. Raises LabError."""
    began = time.monotonic()
    while found := carriers(lab, host):
        if time.monotonic() - began > WITHIN_S:
            raise LabError(f"the slow cable of {host} does not end: process {found[0]} outlived SIGKILL")
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)
    plug_in(lab, host)


def stop_all(lab: str, hosts: Sequence[str]) -> list[str]:
    """Take out all slow cables of a lab; return a word for each. Raises LabError."""
    slow = [host for host in hosts if is_link(delayed_link_name(lab, host)) or carriers(lab, host)]
    for host in slow:
        stop(lab, host)
    return [f"slow cable of {host}" for host in slow]


def show(lab: str, host: str) -> int:
    """How many frames went through the slow cable."""
    counters = LINKS / pump_link_name(lab, host) / "statistics"
    with suppress(FileNotFoundError):
        return sum(int((counters / name).read_text()) for name in ("rx_packets", "tx_packets"))
    return 0


def carry(lab: str, host: str, delay_ms: int, jitter_ms: int) -> None:
    """Carry frames until this process or its twin ends; then plug the machine in again."""
    own, other = link_name(lab, host), pump_link_name(lab, host)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    alive, end = os.pipe()
    twin = os.fork()
    try:
        if twin:
            os.close(alive)
            os.waitpid(twin, 0)
        else:
            os.close(end)
            insert(lab, host)
            taps = (frames.tap(own), frames.tap(other))
            run(["ip", "link", "set", own, "nomaster", "arp", "off"])
            frames.carry(taps, alive, frames.Lag(delay_ms / 1000, jitter_ms / 1000, seed=f"{lab}/{host}"))
    finally:
        plug_in(lab, host)


def insert(lab: str, host: str) -> None:
    """Make the pair of plugs, one of them in the bridge. Without ARP: this computer must not answer from there."""
    own, plug, other = link_name(lab, host), delayed_link_name(lab, host), pump_link_name(lab, host)
    mtu = (LINKS / own / "mtu").read_text().strip()
    run(["ip", "link", "add", plug, "mtu", mtu, "type", "veth", "peer", "name", other, "mtu", mtu])
    for link in (plug, other):
        run(["ip", "link", "set", link, "addrgenmode", "none", "arp", "off"])
    run(["ip", "link", "set", other, "up"])
    run(["ip", "link", "set", plug, "master", bridge_name(lab), "up"])


def plug_in(lab: str, host: str) -> None:
    """Put the machine's own cable back into the bridge and remove the plugs; safe to do at any time."""
    remove_link(delayed_link_name(lab, host))
    if is_link(link_name(lab, host)) and not master_of(link_name(lab, host)):
        attempt(["ip", "link", "set", link_name(lab, host), "master", bridge_name(lab), "arp", "on"])


def is_link(name: str) -> bool:
    """Whether this computer has such a network interface."""
    return (LINKS / name).exists()


def master_of(name: str) -> str:
    """The bridge an interface is plugged into, "" for none."""
    with suppress(OSError):
        return (LINKS / name / "master").readlink().name
    return ""


def carriers(lab: str, host: str) -> list[int]:
    """The processes that carry a machine's frames."""
    wanted = [word.encode() for word in (MODULE, CARRY, lab, host)]
    return [pid for pid in process_table() if pid != os.getpid() and _arguments(pid)[3:7] == wanted]


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def main(arguments: Sequence[str]) -> None:
    """Do what the arguments say. Raises LabError."""
    verb, lab, host, *numbers = arguments
    if verb == "show":
        print(show(lab, host))
    elif verb == "stop":
        stop(lab, host)
    else:
        {"start": start, CARRY: carry}[verb](lab, host, *map(int, numbers))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except LabError as error:
        sys.exit(str(error))
