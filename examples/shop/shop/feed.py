"""The live feed: every order, on every host, to everybody who watches.

Orders come over the cache's publish/subscribe, and in case it is away or lost some, from a replica that is
asked now and then. It is a view for people, not a ledger: under heavy load it shows the newest orders.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .cache import Cache
from .errors import Unavailable

HEARTBEAT_S = 10.0
POLL_S = 2.0
# While the cache's channel works, only one poll in so many takes place: to find what the channel has lost.
POLLS_SPARED = 5
KEPT = 20
# A watcher who reads more slowly than this loses orders, not the shop its memory.
BACKLOG_MAX = 200

Order = Mapping[str, Any]


def event_of(order: Order) -> bytes:
    """One order as a server-sent event."""
    return f"id: {order['id']}\nevent: order\ndata: {json.dumps(order)}\n\n".encode()


def summary_of(order: Order) -> dict[str, Any]:
    """What the feed tells of an order: neither its key nor its prices one by one."""
    return {
        "id": order["id"],
        "customer": order["customer"],
        "total_cents": order["total_cents"],
        "items": [{"name": item["name"], "quantity": item["quantity"]} for item in order["items"]],
    }


class Feed:
    """Collects orders while somebody watches, and hands each to all watchers once."""

    def __init__(self, cache: Cache, latest: Callable[[int], Awaitable[Sequence[Order]]]) -> None:
        self._cache = cache
        self._latest = latest
        self._recent: deque[Order] = deque(maxlen=KEPT)
        self._seen: deque[int] = deque(maxlen=500)
        self._watchers: set[asyncio.Queue[Order | None]] = set()
        self._wanted = asyncio.Event()
        self._subscribed = False
        self._closed = False

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def emit(self, order: Order) -> None:
        """Show an order to all watchers, unless it has been shown."""
        if order["id"] in self._seen:
            return
        self._seen.append(order["id"])
        self._recent.append(order)
        for queue in self._watchers:
            if queue.qsize() < BACKLOG_MAX:
                queue.put_nowait(order)

    async def stream(self, after: int) -> AsyncIterator[bytes]:
        """Server-sent events: the recent orders above `after`, then the new ones, until the shop closes."""
        with self._watching() as queue:
            yield b"retry: 2000\n\n"
            for order in [order for order in self._recent if order["id"] > after]:
                yield event_of(order)
            while not self._closed:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        order = await queue.get()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if order is None:
                    return
                yield event_of(order)

    @contextmanager
    def _watching(self) -> Any:
        queue: asyncio.Queue[Order | None] = asyncio.Queue()
        self._watchers.add(queue)
        self._wanted.set()
        try:
            yield queue
        finally:
            self._watchers.discard(queue)
            if not self._watchers:
                self._wanted.clear()

    def close(self) -> None:
        """End all streams at once."""
        self._closed = True
        for queue in self._watchers:
            queue.put_nowait(None)

    async def listen(self) -> None:
        """Follow the cache's channel for ever, as long as somebody watches."""
        while True:
            await self._wanted.wait()
            try:
                async with self._cache.subscription() as messages:
                    self._subscribed = True
                    async for message in messages:
                        self.emit(json.loads(message))
                        if not self._watchers:
                            break
            except (OSError, ValueError):
                pass
            self._subscribed = False
            await asyncio.sleep(1)

    async def poll(self) -> None:
        """Ask for the newest orders for ever: often without the cache's channel, seldom with it."""
        while True:
            await self._wanted.wait()
            try:
                for order in reversed(await self._latest(KEPT)):
                    self.emit(summary_of(order))
            except Unavailable:
                pass
            await self._pause()

    async def _pause(self) -> None:
        for _ in range(POLLS_SPARED):
            await asyncio.sleep(POLL_S)
            if not self._subscribed:
                return
