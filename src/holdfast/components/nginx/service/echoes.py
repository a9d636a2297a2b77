"""ICMP echo: the one question that a host's kernel answers itself, however busy its programs are."""

import os
import socket
import struct

_ECHO, _ANSWER = 8, 0
_HEAD = struct.Struct("!BBHHH")
# From linux/icmp.h: a set of the kinds of packets that a raw socket does not want.
_SOL_RAW, _ICMP_FILTER = 255, 1


class Echoes:
    """A raw socket for all hosts. It never blocks."""

    def __init__(self) -> None:
        self.mark = os.getpid() & 0xFFFF
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.setblocking(False)
        # Not the questions of other hosts: the kernel answers them, and to hear them costs as much as the answers.
        self.socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF ^ 1 << _ANSWER))

    def ask(self, address: str, number: int) -> None:
        """Send one echo; what cannot be sent will be missed like a lost one."""
        try:
            self.socket.sendto(packet(self.mark, number), (address, 0))
        except OSError:
            return

    def answers(self) -> list[tuple[str, int]]:
        """Return the address and the lower 16 bits of the number of every answer that has come in."""
        found: list[tuple[str, int]] = []
        while True:
            try:
                data, (address, _) = self.socket.recvfrom(512)
            except OSError:
                return found
            if (number := read(data, self.mark)) is not None:
                found.append((address, number))


def packet(mark: int, number: int) -> bytes:
    """Return an echo request."""
    bare = _HEAD.pack(_ECHO, 0, 0, mark, number & 0xFFFF)
    return _HEAD.pack(_ECHO, 0, checksum(bare), mark, number & 0xFFFF)


def read(data: bytes, mark: int) -> int | None:
    """Return the number of an answer of ours, from a packet with its IP header."""
    start = (data[0] & 0x0F) * 4 if data else 0
    if len(data) < start + _HEAD.size:
        return None
    kind, _, _, whose, number = _HEAD.unpack_from(data, start)
    return int(number) if kind == _ANSWER and whose == mark else None


def checksum(data: bytes) -> int:
    """Return the Internet checksum of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def whole(low: int, sent: int) -> int:
    """Return the number not above ``sent`` that has these lower 16 bits."""
    return sent - ((sent - low) & 0xFFFF)
