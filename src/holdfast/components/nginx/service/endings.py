"""Ending the TCP connections to a dead host in the kernel, as `ss --kill` does, but without a program to start."""

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator

# From linux/netlink.h, sock_diag.h and inet_diag.h.
_SOCK_DIAG, _BY_FAMILY, _DESTROY = 4, 20, 21
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
# Established, on the way there, and half closed.
_STATES = sum(1 << state for state in (1, 2, 4, 5, 8, 9, 11))
_HEAD = struct.Struct("=IHHII")
# A connection is known by 48 bytes: ports, addresses, interface, cookie.
_ANY, _IDENTITY, _PEER = bytes(48), slice(4, 52), slice(20, 24)
LIMIT_S = 0.5


def end(address: str, port: int) -> int:
    """End all connections from here to an address and port; return how many. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(LIMIT_S)
        return sum(_ended(kernel, each) for each in connections(kernel, address, port))


def connections(kernel: socket.socket, address: str, port: int) -> list[bytes]:
    """Return what identifies each connection to an address and port. Raises OSError."""
    wanted = bytes(2) + port.to_bytes(2, "big") + _ANY[4:]
    kernel.sendto(packed(_BY_FAMILY, _REQUEST | _DUMP, wanted), (0, 0))
    peer, found = socket.inet_aton(address), list[bytes]()
    while True:
        for kind, body in messages(kernel.recv(65536)):
            if kind in (_DONE, _ERROR):
                _said_no(body)
                return found
            if (identity := body[_IDENTITY])[_PEER] == peer:
                found.append(identity)


def _ended(kernel: socket.socket, identity: bytes) -> bool:
    kernel.sendto(packed(_DESTROY, _REQUEST | _ACK, identity), (0, 0))
    # An error of 0 is the kernel's way of saying yes; a connection that has ended meanwhile is no loss.
    return not any(_said_no(body) for kind, body in messages(kernel.recv(4096)) if kind == _ERROR)


def _said_no(body: bytes) -> bool:
    """Say whether what was asked for is not there. Raises OSError for anything else that the kernel refuses."""
    error = -int.from_bytes(body[:4], sys.byteorder, signed=True)
    if error > 0 and error != errno.ENOENT:
        raise OSError(error, os.strerror(error))
    return error > 0


def packed(kind: int, flags: int, identity: bytes) -> bytes:
    """Return one request about TCP connections over IPv4."""
    body = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _STATES) + identity
    return _HEAD.pack(_HEAD.size + len(body), kind, flags, 0, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of each message in what the kernel sent."""
    start = 0
    while start + _HEAD.size <= len(data):
        size, kind, *_ = _HEAD.unpack_from(data, start)
        if size < _HEAD.size:
            return
        yield kind, data[start + _HEAD.size : start + size]
        start += size + 3 & ~3
