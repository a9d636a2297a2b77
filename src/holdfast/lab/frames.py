"""Frames taken from one cable and put into another after a while. Knows nothing of labs."""

import errno
import heapq
import itertools
import os
import random
import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field

# From linux/if_packet.h and linux/if_ether.h; Python has no names for them.
SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 3
# The longest that a cable gives at once: a train of segments that the kernel left together, and its header.
FRAME_BYTES = 70_000
BUFFER_BYTES = 8 * 2**20
# A cable that holds more than this loses what comes, as a real one does.
HELD_FRAMES = 10_000
# Frames taken from one cable before the other has its turn.
AT_ONCE = 64
# The cable was pulled out, or is gone.
GONE = {errno.ENETDOWN, errno.ENXIO, errno.ENODEV}


def tap(link: str) -> socket.socket:
    """Take what comes in at an interface, each frame with the header that says what the kernel left undone of it.

    With that header, checksums and the cutting into segments stay where they were: no offload must be turned off.
    Raises OSError.
    """
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        opened.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        opened.bind((link, ETH_P_ALL))
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened


@dataclass(slots=True)
class Lag:
    """Frames that wait, ordered by when they are due. Times are seconds of the monotonic clock."""

    delay_s: float
    jitter_s: float
    seed: str
    _waiting: list[tuple[float, int, bytes, socket.socket]] = field(default_factory=list)
    _count: "itertools.count[int]" = field(default_factory=itertools.count)
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """The dice are thrown the same way every time."""
        self._dice = random.Random(self.seed)  # noqa: S311

    def hold(self, frame: bytes, target: socket.socket, now_s: float) -> None:
        """Keep a frame until it is due; lose it when too many wait."""
        if len(self._waiting) < HELD_FRAMES:
            due_s = now_s + self.delay_s + self._dice.uniform(-self.jitter_s, self.jitter_s)
            heapq.heappush(self._waiting, (due_s, next(self._count), frame, target))

    def due(self, now_s: float) -> list[tuple[bytes, socket.socket]]:
        """Return the frames whose time has come, in their order."""
        found = []
        while self._waiting and self._waiting[0][0] <= now_s:
            _, _, frame, target = heapq.heappop(self._waiting)
            found.append((frame, target))
        return found

    def wait_s(self, now_s: float) -> float | None:
        """Return how long until the next frame is due; None when none waits."""
        return max(0.0, self._waiting[0][0] - now_s) if self._waiting else None


def carry(taps: tuple[socket.socket, socket.socket], alive: int, lag: Lag) -> None:
    """Carry frames both ways until a cable is gone, or `alive` (a pipe) is closed at its other end."""
    targets = {taps[0]: taps[1], taps[1]: taps[0]}
    watched: list[socket.socket | int] = [*taps, alive]
    with suppress(ConnectionAbortedError):
        while True:
            ready, _, _ = select.select(watched, [], [], lag.wait_s(time.monotonic()))
            if alive in ready and not os.read(alive, 1):
                return
            for source in taps:
                if source in ready:
                    take(source, targets[source], lag)
            for frame, target in lag.due(time.monotonic()):
                put(frame, target)


def take(source: socket.socket, target: socket.socket, lag: Lag) -> None:
    """Take the frames that have come. Raises ConnectionAbortedError when the cable is gone."""
    for _ in range(AT_ONCE):
        try:
            frame = source.recv(FRAME_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionAbortedError from error
        lag.hold(frame, target, time.monotonic())


def put(frame: bytes, target: socket.socket) -> None:
    """Put a frame in; one that does not fit is lost. Raises ConnectionAbortedError when the cable is gone."""
    try:
        target.send(frame)
    except OSError as error:
        if error.errno in GONE:
            raise ConnectionAbortedError from error
