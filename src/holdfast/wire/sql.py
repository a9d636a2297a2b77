"""SQL as a client outside the cluster speaks it. The one module that imports the database driver."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, Protocol

from holdfast.wire.base import NotSentError, RefusedError, UnansweredError

# Loading the driver takes longer than designing a cluster, and only drills need it.
if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class SqlAddress:
    """Where a database is asked and as whom. ``port``: on this computer (a forwarded one).

    ``limits``: settings of every session, such as its time limits.
    """

    port: int
    database: str
    user: str
    password: str = field(repr=False)
    ca: Path
    limits: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """A whole answer. ``warnings``: what the server warned of; ``tag``: what it says it did (``COMMIT``)."""

    rows: tuple[tuple[Any, ...], ...] = ()
    warnings: tuple[str, ...] = ()
    tag: str = ""


class SqlSession(Protocol):
    """An open session; one statement at a time."""

    async def ask(self, statement: LiteralString, values: Sequence[Any] = (), *, timeout_s: float) -> Rows:
        """Run one statement; outside of BEGIN and COMMIT it is a transaction of its own.

        Raises RefusedError (``state``: the SQLSTATE) when the server answered with an error, and UnansweredError
        when no whole answer came in time: then the session is over. It never asks the server to cancel anything.
        """
        ...

    def hang_up(self) -> None:
        """Break the line at once; a statement under way ends with UnansweredError."""
        ...

    async def close(self) -> None:
        """End the session."""
        ...


class _Session:
    def __init__(self, connection: "psycopg.AsyncConnection[tuple[Any, ...]]") -> None:
        self._connection = connection
        self._warnings: list[str] = []
        connection.add_notice_handler(self._heed)

    def _heed(self, notice: "psycopg.errors.Diagnostic") -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or notice.sqlstate or "a warning without words")

    async def ask(self, statement: LiteralString, values: Sequence[Any] = (), *, timeout_s: float) -> Rows:
        """Run one statement; see `SqlSession.ask`."""
        self._warnings.clear()
        asking = asyncio.create_task(self._run(statement, values))
        limit = asyncio.get_running_loop().call_later(timeout_s, self.hang_up)
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            # The driver would ask the server to cancel. That ends the wait of a commit for its standby, and so
            # makes visible what may be lost: the client would itself make the anomaly it looks for.
            self.hang_up()
            await asyncio.gather(asking, return_exceptions=True)
            raise
        finally:
            limit.cancel()

    async def _run(self, statement: LiteralString, values: Sequence[Any]) -> Rows:
        import psycopg

        try:
            cursor = await self._connection.execute(statement, values or None)
            rows = tuple(await cursor.fetchall()) if cursor.description else ()
        except psycopg.Error as error:
            raise translated(error) from error
        return Rows(rows, tuple(self._warnings), cursor.statusmessage or "")

    def hang_up(self) -> None:
        """Break the line; see `SqlSession.hang_up`."""
        with contextlib.suppress(Exception), socket.socket(fileno=os.dup(self._connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """End the session."""
        await self._connection.close()


async def open_session(address: SqlAddress, timeout_s: float) -> SqlSession:
    """Open a session in which every statement commits by itself. Raises NotSentError."""
    import psycopg

    try:
        async with asyncio.timeout(timeout_s):
            # Values are put in here and the simple protocol is spoken: what it calls done is committed.
            connection = await psycopg.AsyncConnection.connect(
                **_parameters(address), autocommit=True, cursor_factory=psycopg.AsyncClientCursor
            )
    except TimeoutError as error:
        raise NotSentError(f"no session within {timeout_s:g} s") from error
    except psycopg.Error as error:
        raise NotSentError(_one_line(error)) from error
    return _Session(connection)


def _parameters(address: SqlAddress) -> dict[str, Any]:
    return {
        # The certificates of all members and routers are good for their own loopback.
        "host": "127.0.0.1",
        "port": address.port,
        "dbname": address.database,
        "user": address.user,
        "password": address.password,
        "sslmode": "verify-full",
        "sslrootcert": str(address.ca),
        "gssencmode": "disable",
        "application_name": "holdfast drill",
        "options": " ".join(f"-c {name}={value}" for name, value in address.limits),
    }


def translated(error: "psycopg.Error") -> RefusedError | UnansweredError:
    """Return an error of the driver in our words: only an answer of the server has a SQLSTATE."""
    text = _one_line(error)
    return RefusedError(error.sqlstate, text) if error.sqlstate else UnansweredError(text)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
