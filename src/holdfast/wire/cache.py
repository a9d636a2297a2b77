"""The cache as a client outside the cluster speaks to it. The one module that imports the cache's client."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.wire.base import NotSentError, RefusedError, UnansweredError

# Loading the client takes longer than designing a cluster, and only drills need it.
if TYPE_CHECKING:
    from redis.asyncio import SSLConnection

SCAN_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class CacheAddress:
    """Where the cache is asked and as whom. ``port``: on this computer (a forwarded one)."""

    port: int
    user: str
    password: str = field(repr=False)
    ca: Path


class CacheSession(Protocol):
    """An open session; one command at a time.

    Every method raises RefusedError (``state``: the first word of the answer) when the server says no, and
    UnansweredError when no whole answer came in time.
    """

    async def put(self, key: str, value: str, expire_s: int, *, timeout_s: float) -> None:
        """Set a key that goes away by itself."""
        ...

    async def keys(self, prefix: str, *, timeout_s: float) -> frozenset[str]:
        """Return all keys that begin with a prefix (of letters, digits, ``:``, ``_`` and ``-``)."""
        ...

    async def remove(self, keys: frozenset[str], *, timeout_s: float) -> None:
        """Delete keys."""
        ...

    def hang_up(self) -> None:
        """Give the session up at once."""
        ...

    async def close(self) -> None:
        """End the session."""
        ...


class _Session:
    def __init__(self, connection: "SSLConnection") -> None:
        self._connection = connection
        self._asking: asyncio.Task[Any] | None = None
        self._given_up = False

    async def put(self, key: str, value: str, expire_s: int, *, timeout_s: float) -> None:
        """Set a key; see `CacheSession.put`."""
        await self._ask(timeout_s, "SET", key, value, "EX", expire_s)

    async def keys(self, prefix: str, *, timeout_s: float) -> frozenset[str]:
        """Return all keys with a prefix; see `CacheSession.keys`."""
        found: set[str] = set()
        cursor = b"0"
        while True:
            cursor, page = await self._ask(timeout_s, "SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", SCAN_AT_ONCE)
            found |= {each.decode() for each in page}
            if int(cursor) == 0:
                return frozenset(found)

    async def remove(self, keys: frozenset[str], *, timeout_s: float) -> None:
        """Delete keys; see `CacheSession.remove`."""
        if keys:
            await self._ask(timeout_s, "UNLINK", *sorted(keys))

    async def _ask(self, timeout_s: float, *words: str | bytes | int) -> Any:
        self._asking = asyncio.create_task(self._exchange(words))
        try:
            done, _ = await asyncio.wait({self._asking}, timeout=timeout_s)
            if not done or self._given_up:
                raise UnansweredError(f"no answer within {timeout_s:g} s")
            return self._asking.result()
        except Exception as error:
            if (told := translated(error)) is None:
                raise
            raise told from error
        finally:
            self._asking.cancel()

    async def _exchange(self, words: tuple[str | bytes | int, ...]) -> Any:
        await self._connection.send_command(*words)
        return await self._connection.read_response()

    def hang_up(self) -> None:
        """Give the session up; see `CacheSession.hang_up`."""
        self._given_up = True
        if self._asking:
            self._asking.cancel()

    async def close(self) -> None:
        """End the session."""
        with contextlib.suppress(Exception):
            await self._connection.disconnect(nowait=True)


async def open_cache(address: CacheAddress, timeout_s: float) -> CacheSession:
    """Open a session. Raises NotSentError."""
    from redis.asyncio import SSLConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    connection = SSLConnection(
        # The certificates of all routers are good for their own loopback.
        host="127.0.0.1",
        port=address.port,
        username=address.user,
        password=address.password,
        protocol=2,
        driver_info=None,
        socket_timeout=None,
        # What is repeated behind our back would be one operation with two effects.
        retry=Retry(NoBackoff(), 0),
    )
    connection.ssl_context = _tls(str(address.ca))
    try:
        async with asyncio.timeout(timeout_s):
            await connection.connect()  # type: ignore[no-untyped-call]
    except TimeoutError as error:
        raise NotSentError(f"no session within {timeout_s:g} s") from error
    except Exception as error:
        if (told := translated(error)) is None:
            raise
        raise NotSentError(str(told)) from error
    return _Session(connection)


@cache
def _tls(ca: str) -> Any:
    # Made once: it takes longer than the connection, and meanwhile no other client of this program goes on.
    from redis.asyncio import SSLConnection

    return SSLConnection(ssl_ca_certs=ca).ssl_context


def translated(error: Exception) -> NotSentError | RefusedError | UnansweredError | None:
    """Return an error of the client in our words; None for an error that is not its own."""
    from redis.exceptions import RedisError, ResponseError

    text = str(error) or type(error).__name__
    if isinstance(error, UnansweredError):
        return error
    if isinstance(error, RedisError) and error.status_code:
        return RefusedError(error.status_code, text)
    if isinstance(error, ResponseError):
        return RefusedError(text.partition(" ")[0], text)
    return UnansweredError(text) if isinstance(error, RedisError | OSError) else None
