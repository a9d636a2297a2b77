"""The cache: always optional, never waited for, and left alone for a moment after it failed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")
TIMEOUT_S = 0.25
OPEN_S = 1.0
CHANNEL = "shop:orders"


class Breaker:
    """Lets calls through until one fails; then one in every `open_s` as a probe, until one succeeds."""

    def __init__(self, clock: Callable[[], float], open_s: float = OPEN_S) -> None:
        self._clock = clock
        self._open_s = open_s
        self._next_s: float | None = None

    @property
    def closed(self) -> bool:
        return self._next_s is None

    def allows(self) -> bool:
        """Whether to try now. Who is allowed while the breaker is open is the only one for that while."""
        if self._next_s is None:
            return True
        if self._clock() < self._next_s:
            return False
        self._next_s = self._clock() + self._open_s
        return True

    def report(self, *, success: bool) -> None:
        self._next_s = None if success else self._clock() + self._open_s


class Cache:
    """What the shop asks of its cache. Every failure is an answer: None, as if nothing were there.

    `client` is a redis.asyncio.Redis, or None when the shop runs without; `failures` are its exceptions.
    """

    def __init__(self, client: Any, failures: tuple[type[Exception], ...], clock: Callable[[], float]) -> None:
        self._client = client
        self._failures: tuple[type[Exception], ...] = (*failures, OSError)
        self._breaker = Breaker(clock)

    @property
    def present(self) -> bool:
        return self._client is not None

    @property
    def answers(self) -> bool:
        """Whether the last call was answered."""
        return self.present and self._breaker.closed

    async def get(self, key: str) -> Any:
        """A JSON value, or None when it is absent, unreadable or the cache is away."""
        text = await self._call(lambda: self._client.get(key))
        try:
            return None if text is None else json.loads(text)
        except ValueError:
            return None

    async def set(self, key: str, value: object, ttl_s: int) -> None:
        await self._call(lambda: self._client.set(key, json.dumps(value), ex=ttl_s))

    async def top(self, key: str, count: int) -> list[tuple[int, int]] | None:
        """The `count` highest scores with their ids; None when there are none to be had."""
        pairs = await self._call(lambda: self._client.zrevrange(key, 0, count - 1, withscores=True))
        return [(int(member), int(score)) for member, score in pairs] if pairs else None

    async def replace_scores(self, key: str, scores: Mapping[int, int], ttl_s: int) -> None:
        pipeline = self._pipeline(transaction=True)
        if pipeline is not None and scores:
            pipeline.delete(key).zadd(key, dict(scores)).expire(key, ttl_s)
            await self._call(pipeline.execute)

    async def announce(self, key: str, sold: Iterable[tuple[int, int]], message: str) -> None:
        """Raise scores and publish a message, in one round trip.

        XX: a score that is not there is not begun at zero, since its true value is known to the database alone.
        """
        pipeline = self._pipeline(transaction=False)
        if pipeline is not None:
            for member, count in sold:
                pipeline.zadd(key, {member: count}, xx=True, incr=True)
            pipeline.publish(CHANNEL, message)
            await self._call(pipeline.execute)

    async def ping(self) -> None:
        await self._call(lambda: self._client.ping())

    @asynccontextmanager
    async def subscription(self) -> AsyncIterator[AsyncIterator[str]]:
        """The messages of all hosts; raises one of the client's failures, or OSError, when the line breaks."""
        if self._client is None:
            raise ConnectionError("there is no cache")
        pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            await pubsub.subscribe(CHANNEL)
            yield _messages(pubsub)
        except self._failures as error:
            raise ConnectionError(str(error)) from None
        finally:
            await pubsub.aclose()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    def _pipeline(self, *, transaction: bool) -> Any:
        return None if self._client is None else self._client.pipeline(transaction=transaction)

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T | None:
        if self._client is None or not self._breaker.allows():
            return None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await call()
        except self._failures:
            self._breaker.report(success=False)
            return None
        self._breaker.report(success=True)
        return answer


async def _messages(pubsub: Any) -> AsyncIterator[str]:
    while True:
        message = await pubsub.get_message(timeout=1.0)
        if message is not None:
            yield message["data"]
