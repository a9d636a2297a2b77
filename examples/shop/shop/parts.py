"""The shop's parts, wired together."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from starlette.requests import Request

from .cache import TIMEOUT_S, Cache
from .catalogue import SOLD_KEY, Catalogue, Readers
from .db import Database
from .feed import Feed, summary_of
from .health import Health
from .orders import Orders
from .settings import Settings

READ_TIMEOUT_S = 0.8


class Shop:
    """Everything that lives as long as the process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Orders of a popular product wait for each other: that costs nothing here, in the database a session each,
        # and a login each when the leader has changed.
        self.primary = Database(settings.database_url, size=6, statement_timeout_ms=3000)
        self.replica = Database(settings.replica_url, size=8, statement_timeout_ms=1000)
        self.cache = Cache(_redis(settings.cache_url), (RedisError,), time.monotonic)
        readers = Readers(_reader(self.replica), _reader(self.primary), (psycopg.Error, OSError))
        self.catalogue = Catalogue(self.cache, readers, time.monotonic)
        self.orders = Orders(self.primary, self.replica, settings.checkout_budget_s)
        self.feed = Feed(self.cache, self.orders.latest)
        self.health = Health(self.primary, self.replica, self.cache, self.catalogue, settings.hostname)

    async def announce(self, order: Mapping[str, Any]) -> None:
        """Tell the statistics and the feed of a new order. Best effort: the order stands without it."""
        sold = [(item["product_id"], item["quantity"]) for item in order["items"]]
        summary = summary_of(order)
        await self.cache.announce(SOLD_KEY, sold, json.dumps(summary))
        self.feed.emit(summary)

    def drain(self) -> None:
        """Ask to be taken out of service: /healthz turns red, connections are not kept, streams end."""
        self.health.draining = True
        self.feed.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep watch while the block runs, then let go of everything."""
        tasks = [asyncio.create_task(work()) for work in (self.health.watch, self.feed.listen, self.feed.poll)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1)
            for resource in (self.primary, self.replica, self.cache):
                await resource.close()


def _redis(url: str | None) -> Any:
    if url is None:
        return None
    # The client's own default is to repeat with pauses of seconds: here the breaker decides instead.
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def _reader(database: Database) -> Callable[[LiteralString], Any]:
    return lambda sql: database.rows(sql, timeout_s=READ_TIMEOUT_S)


def shop_of(request: Request) -> Shop:
    """The shop that serves this request."""
    shop = request.app.state.shop
    assert isinstance(shop, Shop)
    return shop
