"""The ledger: fresh keys into a table that forbids nothing, so that whatever happens to them can be seen."""

import time
from functools import partial
from typing import LiteralString

from holdfast.drills.check.values import PRIMARY, REPLICA, LedgerHistory, SetRead, Write
from holdfast.drills.history import Kind
from holdfast.drills.load.base import Clock, LoadPace
from holdfast.drills.load.seats import Done, Seat, Seats
from holdfast.drills.load.sql import (
    READ_TIMEOUT_S,
    SqlDoor,
    SqlLoad,
    from_every_member,
    read_only,
    told,
)
from holdfast.wire.sql import SqlSession

WRITE, READ, READ_REPLICA = "sql write", "sql read", "sql read replica"
# In a session that does nothing else: it never waits for a standby, so nothing but the route ends it.
READ_KEPT = "sql read in a kept session"
# No unique constraint: what is done twice must show.
TABLES: tuple[LiteralString, ...] = ("CREATE TABLE ledger (run text, session text, seq int)",)
# With the timeline that is written to now. (What the control file says comes late after a promotion.)
INSERT: LiteralString = """
    INSERT INTO ledger VALUES (%s, %s, %s)
    RETURNING ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int, host(inet_server_addr())
"""
KEYS: LiteralString = """
    SELECT coalesce(string_agg(run || '/' || session || '/' || seq, ' '), ''), host(inet_server_addr()) FROM ledger
"""


async def _keys(session: SqlSession) -> tuple[tuple[str, ...], str]:
    text, address = (await session.ask(KEYS, timeout_s=READ_TIMEOUT_S)).rows[0]
    return tuple(text.split()), str(address)


async def _insert(session: SqlSession, run: str, name: str, number: int, timeout_s: float) -> tuple[int, str]:
    timeline, address = (await told(session, INSERT, run, name, number, timeout_s=timeout_s)).rows[0]
    return int(timeline), str(address)


class Ledger(SqlLoad):
    """Inserts and reads of the whole set at the leader's route, and reads at the replicas' route.

    One session of every host does nothing but read at the leader's route, as those that a pool keeps: if nobody ends
    it, a leader that was replaced goes on serving it.
    """

    def __init__(self, door: SqlDoor, pace: LoadPace, run: str, clock: Clock = time.monotonic) -> None:
        super().__init__(door, pace, run, clock, pace.sessions_each)
        self._readers = self._made(door.replica, 1, 2)
        self._keepers = self._made(door.leader, 1, 1)
        self._writes: list[Write] = []
        self._reads: list[SetRead] = []
        self._final: dict[str, tuple[str, ...]] = {}

    @property
    def all_seats(self) -> tuple[Seats[SqlSession], ...]:
        """Every group of sessions of this load."""
        return (self._seats, self._readers, self._keepers)

    @property
    def present(self) -> dict[str, frozenset[str] | None]:
        """The keys that are on every member that could be read."""
        return {WRITE: frozenset.intersection(*map(frozenset, self._final.values())) if self._final else None}

    def history(self, replica_bound_s: float | None = None) -> LedgerHistory:
        """Return what the clients saw; ``replica_bound_s`` as the checker wants to know it."""
        return LedgerHistory(tuple(self._writes), tuple(self._reads), self._final, replica_bound_s)

    async def start(self, begun_s: float) -> None:
        """Begin; see `Load.start`. The sessions are open already, the tables are there."""
        self._issuer.begin(self._pace.sql_writes_per_s, self._write, begun_s)
        self._issuer.begin(self._pace.sql_reads_per_s, self._read, begun_s)
        self._issuer.begin(self._pace.sql_replica_reads_per_s, self._read_replica, begun_s)
        self._issuer.begin(self._pace.sql_kept_reads_per_s, self._read_kept, begun_s)

    async def _write(self, number: int, intended_s: float) -> None:
        if (seat := self.taken(number)) is None:
            return
        seat.asked += 1
        session, sequence, started_s = seat.session, seat.asked, self._clock()
        insert = partial(_insert, run=self._run, name=session, number=sequence, timeout_s=self._pace.patience_s)
        done = await self._seats.use(seat, insert)
        key = f"{self._run}/{session}/{sequence}"
        timeline, address = done.value or (None, "")
        node = self._door.places.node(address)
        ended_s = self.note(Kind.WRITE, WRITE, intended_s, started_s, done, key, node)
        self._writes.append(Write(session, key, started_s, ended_s, done.outcome, timeline, node))

    async def _read(self, number: int, intended_s: float) -> None:
        # In the seats of the writers: each session must see what it wrote itself.
        if seat := self.taken(number):
            await self._read_in(self._seats, seat, READ, PRIMARY, intended_s)

    async def _read_replica(self, number: int, intended_s: float) -> None:
        hosts = self._readers.hosts
        if seat := self._readers.take(hosts[number % len(hosts)]):
            await self._read_in(self._readers, seat, READ_REPLICA, REPLICA, intended_s)

    async def _read_kept(self, number: int, intended_s: float) -> None:
        hosts = self._keepers.hosts
        if seat := self._keepers.take(hosts[number % len(hosts)]):
            await self._read_in(self._keepers, seat, READ_KEPT, PRIMARY, intended_s)

    async def _read_in(
        self, seats: Seats[SqlSession], seat: Seat[SqlSession], path: str, endpoint: str, intended_s: float
    ) -> None:
        session, started_s = seat.session, self._clock()
        done: Done[tuple[tuple[str, ...], str]] = read_only(await seats.use(seat, _keys))
        keys, address = done.value or ((), "")
        node = self._door.places.node(address)
        ended_s = self.note(Kind.READ, path, intended_s, started_s, done, host=node)
        if done.value is not None:
            # Each group of seats counts its sessions by itself; only those of the writers owe what they wrote.
            name = session if path == READ else f"{session} of {path}"
            self._reads.append(SetRead(name, endpoint, started_s, ended_s, keys, node))

    async def read_back(self) -> None:
        """Read the whole set on every member directly, once it has replayed everything."""
        found, self.missing = await from_every_member(self._door, _keys)
        self._final = {member: keys for member, (keys, _) in found.items()}
