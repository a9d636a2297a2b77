"""HTTP as a client outside the cluster speaks it. The one module that imports the HTTP library."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.wire.base import NotSentError, UnansweredError

# Loading the library takes longer than designing a cluster, and only clients from outside need it: no other
# command waits for it.
if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Door(Protocol):
    """Where requests go in; the fake of tests has the same shape."""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request, with ``data`` as JSON, and return its answer. Raises NotSentError, UnansweredError."""
        ...


@dataclass(slots=True)
class _Pool:
    """Open connections that are given up together, as soon as nobody uses them any more."""

    session: "aiohttp.ClientSession"
    made_s: float
    users: int = 0
    retired: bool = False


@dataclass(slots=True)
class HttpDoor:
    """The door of a cluster at one base address (``https://10.0.0.100``), checked with the cluster's own CA.

    After a failure all connections are made anew, at most once in ``renewal_s``: when a floating address has moved,
    every old connection leads to a machine that is gone; but when machines are only overloaded, handshakes for every
    request would keep them so. ``connect_timeout_s`` bounds the making of a connection.
    """

    base_url: str
    ca: Path | None = None
    connect_timeout_s: float = 1.0
    renewal_s: float = 1.0
    _tls: ssl.SSLContext | bool = field(init=False, repr=False)
    _pool: _Pool | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        """Load the CA once. Raises OSError when its file cannot be read."""
        self._tls = ssl.create_default_context(cafile=str(self.ca)) if self.ca else True

    async def ask(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; see `Door.ask`. ``timeout_s`` bounds all of it."""
        async with self._borrowed() as session:
            try:
                # Reading counts, too: an answer is whole, or there is none.
                async with (
                    asyncio.timeout(timeout_s),
                    session.request(method, path, json=data, headers=headers, allow_redirects=False) as got,
                ):
                    body = await got.read()
            except TimeoutError as error:
                raise UnansweredError(f"no answer within {timeout_s:g} s") from error
            except Exception as error:
                if (told := translated(error)) is None:
                    raise
                raise told from error
        return Answer(got.status, {name.lower(): text for name, text in got.headers.items()}, body)

    async def close(self) -> None:
        """Close all connections."""
        if self._pool:
            await self._pool.session.close()

    @contextlib.asynccontextmanager
    async def _borrowed(self) -> AsyncIterator["aiohttp.ClientSession"]:
        pool = self._pool = self._pool or self._new_pool()
        pool.users += 1
        try:
            yield pool.session
        except (NotSentError, UnansweredError):
            self._retire(pool)
            raise
        finally:
            pool.users -= 1
            if pool.retired and not pool.users:
                await pool.session.close()

    def _retire(self, pool: _Pool) -> None:
        if time.monotonic() - pool.made_s < self.renewal_s:
            return
        # Others may still wait for answers on connections of this pool: it closes with the last of them.
        pool.retired = True
        if self._pool is pool:
            self._pool = None

    def _new_pool(self) -> _Pool:
        import aiohttp

        session = aiohttp.ClientSession(
            base_url=self.base_url,
            # No limit of connections: an open load must never wait for its own earlier requests.
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # The library sends a GET again in silence when its connection breaks. No customer would notice, but whoever
        # measures must. There is no public word for it; the library's own test client says it like this.
        session._retry_connection = False
        return _Pool(session, made_s=time.monotonic())


def translated(error: Exception) -> NotSentError | UnansweredError | None:
    """Return an error of the HTTP library in our words; None for an error that is not the library's."""
    import aiohttp

    reason = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return NotSentError(reason)
    return UnansweredError(reason) if isinstance(error, aiohttp.ClientError) else None
