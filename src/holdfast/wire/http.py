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
    import httpx


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

    client: "httpx.AsyncClient"
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
    _pool: _Pool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Load the CA once. Raises OSError when its file cannot be read."""
        self._tls = ssl.create_default_context(cafile=str(self.ca)) if self.ca else True
        self._pool = self._new_pool()

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
        async with self._borrowed() as client:
            try:
                async with asyncio.timeout(timeout_s):
                    got = await client.request(method, path, json=data, headers=dict(headers or {}))
            except TimeoutError as error:
                raise UnansweredError(f"no answer within {timeout_s:g} s") from error
            except Exception as error:
                if (told := translated(error)) is None:
                    raise
                raise told from error
        return Answer(got.status_code, {name.lower(): text for name, text in got.headers.items()}, got.content)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.client.aclose()

    @contextlib.asynccontextmanager
    async def _borrowed(self) -> AsyncIterator["httpx.AsyncClient"]:
        pool = self._pool
        pool.users += 1
        try:
            yield pool.client
        except (NotSentError, UnansweredError):
            self._retire(pool)
            raise
        finally:
            pool.users -= 1
            if pool.retired and not pool.users:
                await pool.client.aclose()

    def _retire(self, pool: _Pool) -> None:
        if time.monotonic() - pool.made_s < self.renewal_s:
            return
        # Others may still wait for answers on connections of this pool: it closes with the last of them.
        pool.retired = True
        if self._pool is pool:
            self._pool = self._new_pool()

    def _new_pool(self) -> _Pool:
        import httpx

        # No limit of connections: an open load must never wait for its own earlier requests.
        client = httpx.AsyncClient(
            base_url=self.base_url,
            verify=self._tls,
            timeout=httpx.Timeout(None, connect=self.connect_timeout_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=10),
            trust_env=False,
        )
        return _Pool(client, made_s=time.monotonic())


def translated(error: Exception) -> NotSentError | UnansweredError | None:
    """Return an error of the HTTP library in our words; None for an error that is not the library's."""
    import httpx

    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return NotSentError(reason)
    return UnansweredError(reason) if isinstance(error, httpx.HTTPError) else None
