"""SQL from the hosts of applications: sessions through their own routes, and what every load on them shares."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, LiteralString, TypeVar

from holdfast.drills.history import Kind, Operation, Outcome
from holdfast.drills.load.base import MARK, TOLD, Clock, DoubtError, Issuer, LoadError, LoadPace, Log
from holdfast.drills.load.places import Server, SqlPlaces, Ways
from holdfast.drills.load.seats import Done, Seat, Seats, Turns
from holdfast.wire.base import WireError
from holdfast.wire.sql import Rows, SqlAddress, SqlSession, open_session

T = TypeVar("T")
# On the server's side, should a client be cut off: nobody waits for its locks much longer. None of them ends a
# commit's wait for its standby.
LIMITS = (
    ("search_path", MARK),
    ("statement_timeout", "20s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "10s"),
)
SETUP_LIMIT_S = 30.0
READ_TIMEOUT_S = 10.0
PAUSE_S = 0.5
# A member that is not the leader must first have replayed what the leader had written when the writers had gone.
FINAL_LIMIT_S = 60.0

POSITION: LiteralString = "SELECT pg_current_wal_lsn()::text"
REPLAYED: LiteralString = "SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= %s::pg_lsn"


@dataclass(frozen=True, slots=True)
class SqlDoor:
    """How sessions are opened. The password comes from the vault and goes nowhere but to the server."""

    places: SqlPlaces
    ways: Ways
    ca: Path
    password: str = field(repr=False)
    timeout_s: float = 3.0
    turns: Turns = field(default_factory=Turns, repr=False)

    async def leader(self, host: str) -> SqlSession:
        """Open a session from a host through its own route to the leader. Raises NotSentError, WireError."""
        return await self._open(host, self.places.leader_port)

    async def replica(self, host: str) -> SqlSession:
        """Open a session from a host through its own route to a replica. Raises NotSentError, WireError."""
        return await self._open(host, self.places.replica_port)

    async def member(self, server: Server) -> SqlSession:
        """Open a session to one member, from its own host. Raises NotSentError, WireError."""
        return await self._open(server.host, server.port, server.address)

    async def _open(self, host: str, port: int, address: str = "127.0.0.1") -> SqlSession:
        here = await self.ways.port(host, port, address)
        places = self.places
        to = SqlAddress(here, places.database, places.user, self.password, self.ca, LIMITS)
        async with self.turns.one(here):
            return await open_session(to, self.timeout_s)


async def told(session: SqlSession, statement: LiteralString, *values: Any, timeout_s: float) -> Rows:
    """Run a statement that acknowledges something; a warning is a doubt. Raises what `SqlSession.ask` does."""
    answer = await session.ask(statement, values, timeout_s=timeout_s)
    if answer.warnings:
        raise DoubtError(answer.warnings[0])
    return answer


async def at_leader(door: SqlDoor, work: Callable[[SqlSession], Awaitable[T]], limit_s: float) -> T:
    """Do something on the leader, from whichever host can; try again for a while. Raises LoadError."""
    end_s = time.monotonic() + limit_s
    while True:
        reason = ""
        for host in door.places.clients:
            try:
                session = await door.leader(host)
                try:
                    return await work(session)
                finally:
                    await session.close()
            except (*TOLD, WireError) as error:
                reason = f"{host}: {error}"
        if time.monotonic() > end_s:
            raise LoadError(f"the database's leader could not be asked within {limit_s:g} s: {reason}")
        await asyncio.sleep(PAUSE_S)


async def set_up(door: SqlDoor, statements: tuple[LiteralString, ...]) -> None:
    """Make the schema of the loads anew; what an earlier drill left goes. Raises LoadError."""
    words = (f"DROP SCHEMA IF EXISTS {MARK} CASCADE", f"CREATE SCHEMA {MARK}", *statements)
    await at_leader(door, partial(_run_all, statements=words), SETUP_LIMIT_S)


async def tear_down(door: SqlDoor) -> None:
    """Drop the schema of the loads. Raises LoadError."""
    await at_leader(door, partial(_run_all, statements=(f"DROP SCHEMA IF EXISTS {MARK} CASCADE",)), SETUP_LIMIT_S)


async def _run_all(session: SqlSession, statements: tuple[LiteralString, ...]) -> None:
    for each in statements:
        await told(session, each, timeout_s=READ_TIMEOUT_S)


async def _position(session: SqlSession) -> str:
    return str((await session.ask(POSITION, timeout_s=READ_TIMEOUT_S)).rows[0][0])


async def from_every_member(
    door: SqlDoor, read: Callable[[SqlSession], Awaitable[T]], limit_s: float = FINAL_LIMIT_S
) -> tuple[dict[str, T], dict[str, str]]:
    """Read from every member directly, once each has replayed all that the leader has now.

    Returns the answers by member, and for those that gave none in time the reason.
    """
    try:
        position = await at_leader(door, _position, limit_s)
    except LoadError as error:
        return {}, {each.member: str(error) for each in door.places.servers}
    servers = door.places.servers
    found = await asyncio.gather(*(_from_member(door, each, position, read, limit_s) for each in servers))
    answers = {each.member: done.value for each, done in zip(servers, found, strict=True) if done.value is not None}
    missing = {each.member: done.reason for each, done in zip(servers, found, strict=True) if done.value is None}
    return answers, missing


async def _from_member(
    door: SqlDoor, server: Server, position: str, read: Callable[[SqlSession], Awaitable[T]], limit_s: float
) -> Done[T]:
    end_s = time.monotonic() + limit_s
    while True:
        try:
            session = await asyncio.wait_for(door.member(server), door.timeout_s)
            try:
                if (await session.ask(REPLAYED, (position,), timeout_s=READ_TIMEOUT_S)).rows[0][0]:
                    return Done(Outcome.OK, await read(session))
                reason = f"it has not replayed {position} yet"
            finally:
                await session.close()
        except (*TOLD, WireError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        if time.monotonic() > end_s:
            return Done(Outcome.FAIL, reason=f"not read within {limit_s:g} s: {reason}")
        await asyncio.sleep(PAUSE_S)


class SqlLoad:
    """What loads on SQL have in common: sessions at the leader, an issuer, a log. Not a load by itself."""

    def __init__(
        self, door: SqlDoor, pace: LoadPace, run: str, clock: Clock = time.monotonic, sessions_each: int = 1
    ) -> None:
        self._door = door
        self._pace = pace
        self._run = run
        self._clock = clock
        self._log = Log()
        self._issuer = Issuer(clock)
        self._seats = self._made(door.leader, sessions_each, pace.sessions_max)
        self.missing: dict[str, str] = {}

    def _made(self, opener: Callable[[str], Awaitable[SqlSession]], each: int, most: int) -> Seats[SqlSession]:
        return Seats(self._door.places.clients, opener, each, most, self._pace.connect_timeout_s)

    @property
    def operations(self) -> dict[str, tuple[Operation, ...]]:
        """All operations that have ended, by path."""
        return dict(self._log.operations)

    @property
    def all_seats(self) -> tuple[Seats[SqlSession], ...]:
        """Every group of sessions of this load."""
        return (self._seats,)

    @property
    def refused(self) -> int:
        """How many operations did not begin, because every session of their host was busy."""
        return sum(each.refused for each in self.all_seats)

    @property
    def present(self) -> dict[str, frozenset[str] | None]:
        """Nothing, unless a load writes keys that can be counted."""
        return {}

    def taken(self, number: int) -> Seat[SqlSession] | None:
        """Return a free seat; the hosts take turns."""
        hosts = self._seats.hosts
        return self._seats.take(hosts[number % len(hosts)])

    def note(
        self,
        kind: Kind,
        path: str,
        intended_s: float,
        started_s: float,
        done: Done[T],
        key: str = "",
        host: str = "",
    ) -> float:
        """Write an operation down that ends now; return when."""
        ended_s = self._clock()
        self._log.note(
            Operation(
                kind, path, intended_s, started_s, ended_s, done.outcome, key=key, host=host, reason=done.reason
            )
        )
        return ended_s

    async def fill(self) -> None:
        """Open all sessions."""
        await asyncio.gather(*(each.fill() for each in self.all_seats))

    async def stop(self) -> None:
        """Begin nothing more, wait for those inside; see `Load.stop`."""
        await self._issuer.stop(self._pace.grace_s, self._hang_up)

    def _hang_up(self) -> None:
        for each in self.all_seats:
            each.hang_up()

    async def close(self) -> None:
        """End all sessions."""
        self._hang_up()
        await self._issuer.close()
        await asyncio.gather(*(each.close() for each in self.all_seats))


def read_only(done: Done[T]) -> Done[T]:
    """Return how a read ended: one without an answer has failed, for it never had an effect."""
    return done if done.outcome is Outcome.OK else Done(Outcome.FAIL, reason=done.reason)
