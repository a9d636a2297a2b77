"""Registers: few keys that many sessions compare and set, so that two writers at once cannot both be right."""

import time
from functools import partial
from typing import LiteralString

from holdfast.drills.check.values import RegisterHistory, RegisterRead, RegisterWrite
from holdfast.drills.history import Kind, Outcome
from holdfast.drills.load.base import Clock, LoadPace
from holdfast.drills.load.seats import Done, Seat
from holdfast.drills.load.sql import FINAL_LIMIT_S, READ_TIMEOUT_S, SqlDoor, SqlLoad, at_leader, read_only, told
from holdfast.wire.sql import SqlSession

READ, SET = "register read", "register set"
NAMES = ("x", "y", "z")
INITIAL = ("0", 0)
TABLES: tuple[LiteralString, ...] = (
    "CREATE TABLE register (k text PRIMARY KEY, v text NOT NULL, ver bigint NOT NULL)",
    "INSERT INTO register SELECT k, '0', 0 FROM unnest(ARRAY['x', 'y', 'z']) AS k",
)
GET: LiteralString = "SELECT v, ver FROM register WHERE k = %s"
CAS: LiteralString = "UPDATE register SET v = %s, ver = ver + 1 WHERE k = %s AND v = %s RETURNING ver"
ALL: LiteralString = "SELECT k, v, ver FROM register"


async def _get(session: SqlSession, key: str) -> tuple[str, int]:
    value, version = (await session.ask(GET, (key,), timeout_s=READ_TIMEOUT_S)).rows[0]
    return str(value), int(version)


async def _set(session: SqlSession, key: str, value: str, expected: str, timeout_s: float) -> int:
    """Compare and set; return the new version, 0 when another value was found: versions begin at 1."""
    rows = (await told(session, CAS, value, key, expected, timeout_s=timeout_s)).rows
    return int(rows[0][0]) if rows else 0


async def _all(session: SqlSession) -> dict[str, tuple[str, int]]:
    rows = (await session.ask(ALL, timeout_s=READ_TIMEOUT_S)).rows
    return {str(key): (str(value), int(version)) for key, value, version in rows}


class Registers(SqlLoad):
    """Each turn reads a register and then sets it, if it still has the value that was read."""

    def __init__(self, door: SqlDoor, pace: LoadPace, run: str, clock: Clock = time.monotonic) -> None:
        super().__init__(door, pace, run, clock)
        self._writes: list[RegisterWrite] = []
        self._reads: list[RegisterRead] = []
        self._final: dict[str, tuple[str, int]] = {}

    @property
    def history(self) -> RegisterHistory:
        """What the clients saw."""
        initial = dict.fromkeys(NAMES, INITIAL)
        return RegisterHistory(tuple(self._writes), tuple(self._reads), initial, self._final)

    async def start(self, begun_s: float) -> None:
        """Begin; see `Load.start`. The sessions are open already, the tables are there."""
        self._issuer.begin(self._pace.register_per_s, self._turn, begun_s)

    async def _turn(self, number: int, intended_s: float) -> None:
        if (seat := self.taken(number)) is None:
            return
        # Not in step with the hosts' turns, or each host would have a register of its own.
        key = NAMES[(number // len(self._seats.hosts)) % len(NAMES)]
        if (value := await self._read(seat, key, intended_s)) is not None:
            seat.busy = True
            await self._set(seat, key, value)

    async def _read(self, seat: Seat[SqlSession], key: str, intended_s: float) -> str | None:
        session, started_s = seat.session, self._clock()
        done = read_only(await self._seats.use(seat, partial(_get, key=key)))
        ended_s = self.note(Kind.READ, READ, intended_s, started_s, done, key)
        if done.value is None:
            return None
        value, version = done.value
        self._reads.append(RegisterRead(session, key, value, version, started_s, ended_s))
        return value

    async def _set(self, seat: Seat[SqlSession], key: str, expected: str) -> None:
        seat.asked += 1
        session, started_s = seat.session, self._clock()
        value = f"{session}:{seat.asked}"
        work = partial(_set, key=key, value=value, expected=expected, timeout_s=self._pace.patience_s)
        done = settled(await self._seats.use(seat, work))
        ended_s = self.note(Kind.WRITE, SET, started_s, started_s, done, key)
        self._writes.append(
            RegisterWrite(session, key, value, expected, done.value, started_s, ended_s, done.outcome)
        )

    async def read_back(self) -> None:
        """Read all registers at the leader. Raises LoadError."""
        self._final = await at_leader(self._door, _all, FINAL_LIMIT_S)


def settled(done: Done[int]) -> Done[int]:
    """Return how a compare-and-set ended: one that found another value has failed."""
    if done.outcome is Outcome.OK and not done.value:
        return Done(Outcome.FAIL, reason="another value was there")
    return done
