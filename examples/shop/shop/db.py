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
# A login that has begun is always finished, and left to the next who comes when nobody waits for it any more. Broken
# off it has cost as much, and is begun again: a stall of a second then goes on for half a minute, by logins alone.
LOGINS_AT_ONCE = 1
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
        # Who has hung up must not go on waiting for a lock, and hold it afterwards.
        " -c idle_in_transaction_session_timeout=5000 -c client_connection_check_interval=500",
    }
    return defaults | conninfo_to_dict(url)


class Session:
    """A connection on loan, with the warnings that the server sent meanwhile."""

    def __init__(self, connection: AsyncConnection[DictRow], born_s: float) -> None:
        self.connection = connection
        self.born_s = self.proved_s = born_s
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
        self._unclaimed: set[asyncio.Task[Session]] = set()
        self._size = size

    @asynccontextmanager
    async def session(self, timeout_s: float, *, fresh: bool = False) -> AsyncIterator[Session]:
        """Lend a connection for at most `timeout_s`, waiting and connecting included.

        Who has waited for a quarter of it goes away empty-handed: who is let in too late to finish has only kept the
        database busy, and comes again. After an outage that can go on for minutes.
        `fresh`: one that is new or has served somebody meanwhile, as others may lead to a server that is gone.
        Raises one of AWAY when there is none in time or the time is up.
        """
        begun_s = time.monotonic()
        deadline_s, since_s = begun_s + timeout_s, begun_s if fresh else 0.0
        async with asyncio.timeout(timeout_s / 4):
            await self._slots.acquire()
        try:
            session = self._take(since_s) or await self._connect(deadline_s - time.monotonic(), since_s)
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
        """Read, and once more on a fresh connection when that fails; raises one of AWAY after `timeout_s`."""
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
        for login in self._unclaimed:
            login.cancel()
        while self._idle:
            await self._idle.pop().connection.close()

    def _good(self, session: Session) -> bool:
        return session.usable() and time.monotonic() - session.born_s < AGE_MAX_S

    def _take(self, since_s: float = 0.0) -> Session | None:
        """Take the idle session that served last, if that was after a moment."""
        while self._idle and self._idle[-1].proved_s >= since_s:
            session = self._idle.pop()
            if self._good(session):
                return session
            session.connection.pgconn.finish()
        return None

    async def _connect(self, timeout_s: float, since_s: float = 0.0) -> Session:
        """Wait for a turn and log in, or take what has come back meanwhile."""
        async with asyncio.timeout(timeout_s):
            await self._logins.acquire()
            if session := self._take(since_s):
                self._logins.release()
                return session
            login = asyncio.create_task(self._login())
            try:
                return await asyncio.shield(login)
            except asyncio.CancelledError:
                self._unclaimed.add(login)
                login.add_done_callback(self._keep)
                raise

    async def _login(self) -> Session:
        """Open a connection; the caller has a turn, which ends with it, or after a while."""
        loop = asyncio.get_running_loop()
        over = loop.call_later(TURN_S, self._logins.release)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await AsyncConnection[DictRow].connect(
                    autocommit=True, row_factory=dict_row, **self._parameters
                )
        finally:
            if loop.time() < over.when():
                over.cancel()
                self._logins.release()
        return Session(connection, time.monotonic())

    def _keep(self, login: asyncio.Task[Session]) -> None:
        """Leave what nobody waits for any more to the next who comes."""
        self._unclaimed.discard(login)
        if login.cancelled() or login.exception():
            return
        if len(self._idle) < self._size:
            self._idle.append(login.result())
        else:
            login.result().connection.pgconn.finish()

    async def _give_back(self, session: Session) -> None:
        if self._good(session):
            session.proved_s = time.monotonic()
            self._idle.append(session)
        else:
            await session.connection.close()
