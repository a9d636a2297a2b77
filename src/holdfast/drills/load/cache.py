"""Writes to the cache from the hosts of applications: fresh keys that go away by themselves."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from holdfast.drills.check.values import CacheHistory, Write
from holdfast.drills.history import History, Kind, Operation
from holdfast.drills.load.base import MARK, TOLD, Clock, Issuer, LoadError, LoadPace, Log
from holdfast.drills.load.places import CachePlaces, Ways
from holdfast.drills.load.seats import Seats
from holdfast.wire.base import WireError
from holdfast.wire.cache import CacheAddress, CacheSession, open_cache

T = TypeVar("T")
WRITE = "cache write"
# Longer than any drill; what a drill that broke off has left is gone after that.
EXPIRE_S = 3600
READ_TIMEOUT_S = 10.0
READ_LIMIT_S = 30.0
PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class CacheDoor:
    """How sessions are opened. The password comes from the vault and goes nowhere but to the server."""

    places: CachePlaces
    ways: Ways
    ca: Path
    password: str = field(repr=False)
    timeout_s: float = 3.0

    async def primary(self, host: str) -> CacheSession:
        """Open a session from a host through its own route. Raises NotSentError, WireError."""
        here = await self.ways.port(host, self.places.port)
        return await open_cache(CacheAddress(here, self.places.user, self.password, self.ca), self.timeout_s)


async def _put(session: CacheSession, key: str, timeout_s: float) -> bool:
    await session.put(key, "1", EXPIRE_S, timeout_s=timeout_s)
    return True


async def _keys(session: CacheSession, prefix: str) -> frozenset[str]:
    return await session.keys(prefix, timeout_s=READ_TIMEOUT_S)


async def _remove(session: CacheSession, prefix: str) -> None:
    await session.remove(await _keys(session, prefix), timeout_s=READ_TIMEOUT_S)


class CacheLoad:
    """Sets fresh keys; see `Load`."""

    def __init__(self, door: CacheDoor, pace: LoadPace, run: str, clock: Clock = time.monotonic) -> None:
        self._door = door
        self._pace = pace
        self._prefix = f"{MARK}:{run}:"
        self._clock = clock
        self._log = Log()
        self._issuer = Issuer(clock)
        self._seats: Seats[CacheSession] = Seats(
            door.places.clients, door.primary, pace.sessions_each, pace.sessions_max, pace.connect_timeout_s
        )
        self._writes: list[Write] = []
        self._final: frozenset[str] | None = None
        self.missing: dict[str, str] = {}

    @property
    def operations(self) -> Mapping[str, History]:
        """All operations that have ended, by path."""
        return self._log.operations

    @property
    def refused(self) -> int:
        """How many operations did not begin, because every session of their host was busy."""
        return self._seats.refused

    @property
    def present(self) -> Mapping[str, frozenset[str] | None]:
        """The keys that are there in the end."""
        return {WRITE: self._final}

    def history(self, bound_s: float, failures_s: tuple[tuple[float, float], ...] = ()) -> CacheHistory:
        """Return what the clients saw, with the promised bound and when the primary was struck."""
        return CacheHistory(tuple(self._writes), self._final, bound_s, failures_s)

    async def fill(self) -> None:
        """Open all sessions."""
        await self._seats.fill()

    async def start(self, begun_s: float) -> None:
        """Begin; see `Load.start`."""
        self._issuer.begin(self._pace.cache_writes_per_s, self._write, begun_s)

    async def _write(self, number: int, intended_s: float) -> None:
        hosts = self._seats.hosts
        if (seat := self._seats.take(hosts[number % len(hosts)])) is None:
            return
        seat.asked += 1
        session, started_s = seat.session, self._clock()
        key = f"{self._prefix}{session}:{seat.asked}"
        done = await self._seats.use(seat, partial(_put, key=key, timeout_s=self._pace.patience_s))
        ended_s = self._clock()
        self._log.note(
            Operation(Kind.WRITE, WRITE, intended_s, started_s, ended_s, done.outcome, key=key, reason=done.reason)
        )
        self._writes.append(Write(session, key, started_s, ended_s, done.outcome))

    async def stop(self) -> None:
        """Begin nothing more, wait for those inside; see `Load.stop`."""
        await self._issuer.stop(self._pace.grace_s, self._seats.hang_up)

    async def read_back(self) -> None:
        """Read which keys are there; the reason is in ``missing`` when nobody can."""
        try:
            self._final = await self._anywhere(partial(_keys, prefix=self._prefix), READ_LIMIT_S)
        except LoadError as error:
            self.missing = {"cache": str(error)}

    async def clear(self) -> None:
        """Remove the keys of this and of earlier drills. Raises LoadError."""
        await self._anywhere(partial(_remove, prefix=f"{MARK}:"), READ_LIMIT_S)

    async def _anywhere(self, work: Callable[[CacheSession], Awaitable[T]], limit_s: float) -> T:
        end_s = time.monotonic() + limit_s
        while True:
            reason = ""
            for host in self._door.places.clients:
                try:
                    session = await self._door.primary(host)
                    try:
                        return await work(session)
                    finally:
                        await session.close()
                except (*TOLD, WireError) as error:
                    reason = f"{host}: {error}"
            if time.monotonic() > end_s:
                raise LoadError(f"the cache could not be asked within {limit_s:g} s: {reason}")
            await asyncio.sleep(PAUSE_S)

    async def close(self) -> None:
        """End all sessions."""
        self._seats.hang_up()
        await self._issuer.close()
        await self._seats.close()
