"""Connections to PostgreSQL that never wait without a bound and forget dead servers at once.

Why no ready-made pool: after an outage a pool reconnects in the background with growing pauses, and lends
out connections to servers that are gone. Behind a local proxy a connection is cheap, so each address keeps
a small stack of idle ones, looks at the socket before lending one out, and opens a new one otherwise: the
first request after a failover is the one that finds the new leader.
"""

import asyncio
import os
import select
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row

# What the world may do to a query; anything else is a mistake in this program.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, OSError)
# Longer than the local proxy keeps a connection waiting for a new leader (2 s): to give up just when there is one
# wastes a login that has begun, for both sides.
CONNECT_TIMEOUT_S = 3.0
# A login costs both sides some 10 ms of processor time. After an outage everybody comes at once: on a busy computer
# all would be too late then, and all come again. One after the other is done sooner, and to wait for one's turn costs
# nothing. Who takes longer than a turn goes on, and the next one begins: it may be a server that does not answer.
LOGINS_AT_ONCE = 2
TURN_S = 1.0
# Short enough that connections spread anew over the replicas soon after one has come back.
AGE_MAX_S = 60.0


def connect_parameters(url: str, statement_timeout_ms: int) -> dict[str, Any]:
    """What libpq is told besides the address; what the address itself says wins."""
    defaults = {
        "application_name": "shop",
        "keepalives_idle": 1,
        "keepalives_interval": 1,
        "keepalives_count": 2,
        "tcp_user_timeout": 2000,
        "options": f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={statement_timeout_ms * 2 // 3}"
        " -c idle_in_transaction_session_timeout=5000",
    }
    return defaults | conninfo_to_dict(url)


class Session:
    """A connection on loan, with the warnings that the server sent meanwhile."""

    def __init__(self, connection: AsyncConnection[DictRow], born_s: float) -> None:
        self.connection = connection
        self.born_s = born_s
        self.warnings: list[str] = []
        connection.add_notice_handler(self._notice)

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self.warnings.append(notice.message_primary or "")

    async def rows(self, sql: LiteralString, parameters: Sequence[object] = ()) -> list[DictRow]:
        """Run one statement; raises psycopg.Error."""
        return await (await self.connection.execute(sql, parameters)).fetchall()

    def usable(self) -> bool:
        """Whether it can be lent again. Something to read on an idle connection is the server's farewell."""
        if self.connection.closed or self.warnings:
            return False
        if self.connection.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(self.connection.pgconn.socket, select.POLLIN)
        return not poll.poll(0)

    @contextmanager
    def limited(self, timeout_s: float) -> Iterator[None]:
        """Hang up when the block takes longer: what waits in it then fails with OperationalError.

        Cancelling the task instead is a trap. The driver would answer with a cancel request and wait for
        its effect without a bound, and a cancelled COMMIT is worse than a slow one (see orders.py).
        """
        timer = asyncio.get_running_loop().call_later(max(timeout_s, 0), self._hang_up)
        try:
            yield
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        if self.connection.closed:
            return
        with suppress(OSError), socket.socket(fileno=os.dup(self.connection.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)


class Database:
    """One address of the database: that of the leader, or that of the replicas."""

    def __init__(self, url: str, *, size: int, statement_timeout_ms: int) -> None:
        self._parameters = connect_parameters(url, statement_timeout_ms)
        self._slots = asyncio.Semaphore(size)
        self._logins = asyncio.Semaphore(LOGINS_AT_ONCE)
        self._idle: list[Session] = []

    @asynccontextmanager
    async def session(self, timeout_s: float, *, fresh: bool = False) -> AsyncIterator[Session]:
        """Lend a connection for at most `timeout_s`, waiting and connecting included.

        Who has waited for a quarter of it goes away empty-handed: who is let in too late to finish has only kept the
        database busy, and comes again. After an outage that can go on for minutes.
        `fresh` opens a new one. Raises one of AWAY when there is none in time or the time is up.
        """
        deadline_s = time.monotonic() + timeout_s
        async with asyncio.timeout(timeout_s / 4):
            await self._slots.acquire()
        try:
            session = (None if fresh else self._take()) or await self._connect(deadline_s - time.monotonic())
            try:
                with session.limited(deadline_s - time.monotonic()):
                    yield session
            except psycopg.Error:
                # Also after a mere refusal: the server behind this connection may be the wrong one by now.
                await session.connection.close()
                raise
            finally:
                await self._give_back(session)
        finally:
            self._slots.release()

    async def rows(self, sql: LiteralString, parameters: Sequence[object] = (), *, timeout_s: float) -> list[DictRow]:
        """Read, and once more on a new connection when that fails; raises one of AWAY after `timeout_s`."""
        try:
            return await self._read(sql, parameters, timeout_s / 2, fresh=False)
        except AWAY:
            return await self._read(sql, parameters, timeout_s / 2, fresh=True)

    async def _read(
        self, sql: LiteralString, parameters: Sequence[object], timeout_s: float, *, fresh: bool
    ) -> list[DictRow]:
        async with self.session(timeout_s, fresh=fresh) as session:
            return await session.rows(sql, parameters)

    async def prune(self) -> None:
        """Close idle connections that are old or dead."""
        for session in [session for session in self._idle if not self._good(session)]:
            self._idle.remove(session)
            await session.connection.close()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().connection.close()

    def _good(self, session: Session) -> bool:
        return session.usable() and time.monotonic() - session.born_s < AGE_MAX_S

    def _take(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if self._good(session):
                return session
            session.connection.pgconn.finish()
        return None

    async def _connect(self, timeout_s: float) -> Session:
        async with asyncio.timeout(timeout_s), self._turn(), asyncio.timeout(CONNECT_TIMEOUT_S):
            connection = await AsyncConnection[DictRow].connect(
                autocommit=True, row_factory=dict_row, **self._parameters
            )
        return Session(connection, time.monotonic())

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        await self._logins.acquire()
        loop = asyncio.get_running_loop()
        over = loop.call_later(TURN_S, self._logins.release)
        try:
            yield
        finally:
            if loop.time() < over.when():
                over.cancel()
                self._logins.release()

    async def _give_back(self, session: Session) -> None:
        if self._good(session):
            self._idle.append(session)
        else:
            await session.connection.close()
