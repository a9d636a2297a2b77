"""Who answers for an address on the wire, as its neighbours see it: ARP probes, and nothing else."""

import ipaddress
import json
import socket
import struct
from pathlib import Path
from typing import Any

from holdfast.runner.onhost.basics import run

_ARP = 0x0806
_REQUEST, _REPLY = 1, 2
_EVERYBODY = b"\xff" * 6
_FORM = struct.Struct("!6s6sH HHBBH 6s4s6s4s")
# A probe names no sender (RFC 5227): asking changes nobody's table.
_NOBODY = bytes(4)
RETRY_S = 2.0
LOCAL_ADDRESSES = Path("/proc/net/fib_trie")


class Neighbours:
    """Asks the wire for an address, one probe at a time. The own machine does not hear itself: it is looked at."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._bytes = socket.inet_aton(address)
        self._socket: socket.socket | None = None
        self._mac = b""
        self._asked_s = self._answered_s = 0.0
        self._macs: set[str] = set()
        self._retry_s = 0.0
        self._open()

    @property
    def mac(self) -> str:
        """The own hardware address on that wire, "" when there is no interface to it."""
        return self._mac.hex(":")

    @property
    def fd(self) -> int | None:
        """The file descriptor frames come from; None while the interface is away."""
        return self._socket.fileno() if self._socket else None

    def ask(self, now_s: float) -> None:
        """Send one probe."""
        self._asked_s = self._answered_s = now_s
        self._macs = {self.mac} if is_here(self._address) else set()
        if self._socket is None and now_s >= self._retry_s:
            # Looking for the interface starts a process.
            self._retry_s = now_s + RETRY_S
            self._open()
        try:
            if self._socket:
                self._socket.send(probe(self._mac, self._bytes))
        except OSError:
            self._close()

    def hear(self, now_s: float) -> None:
        """Take in one frame."""
        try:
            frame = self._socket.recv(2048) if self._socket else b""
        except BlockingIOError:
            return
        except OSError:
            self._close()
            return
        if sender := replier(frame, self._mac, self._bytes):
            self._macs.add(sender.hex(":"))
            self._answered_s = now_s

    def tell(self, now_s: float) -> list[Any] | None:
        """Return when the probe was sent, when the last reply came, and who replied; None when none was sent."""
        if self._socket is None:
            return None
        # Silence is only known when the time for answers is over.
        return [self._asked_s, self._answered_s if self._macs else now_s, sorted(self._macs)]

    def _open(self) -> None:
        found = interface_to(self._address)
        if found is None:
            return
        name, self._mac = found
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP))
            self._socket.bind((name, _ARP))
            self._socket.setblocking(False)
        except OSError:
            self._close()

    def _close(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None


def probe(mac: bytes, address: bytes) -> bytes:
    """Return the frame that asks who has an address."""
    return _FORM.pack(_EVERYBODY, mac, _ARP, 1, 0x0800, 6, 4, _REQUEST, mac, _NOBODY, bytes(6), address)


def replier(frame: bytes, mac: bytes, address: bytes) -> bytes:
    """Return the hardware address of who replied to us for an address; b"" for any other frame."""
    if len(frame) < _FORM.size:
        return b""
    fields = _FORM.unpack(frame[: _FORM.size])
    target, kind, operation, sender, claimed = fields[0], fields[2], fields[7], fields[8], fields[9]
    ours = target == mac and kind == _ARP and operation == _REPLY and claimed == address
    return bytes(sender) if ours else b""


def interface_to(address: str) -> tuple[str, bytes] | None:
    """Return the interface whose network an address belongs to, and its hardware address."""
    wanted = ipaddress.IPv4Address(address)
    for each in json.loads(run(["ip", "-json", "-4", "address"], 5.0)["stdout"] or "[]"):
        for own in each.get("addr_info", []):
            network = ipaddress.IPv4Interface(f"{own['local']}/{own['prefixlen']}").network
            if network.prefixlen < 32 and wanted in network:
                mac = Path(f"/sys/class/net/{each['ifname']}/address").read_text()
                return each["ifname"], bytes.fromhex(mac.strip().replace(":", ""))
    return None


def is_here(address: str) -> bool:
    """Return whether this machine has an address (binding to it would not tell: that may be allowed to anybody)."""
    blocks = LOCAL_ADDRESSES.read_text().split("|-- ")
    return any(each.startswith(f"{address}\n") and "host LOCAL" in each for each in blocks)
