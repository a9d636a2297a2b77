"""All loads of a drill together: one start, one stop, one clock."""

import asyncio
import gc
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from holdfast.design.design import Design
from holdfast.drills.check.values import BankHistory, CacheHistory, LedgerHistory, RegisterHistory
from holdfast.drills.history import History
from holdfast.drills.load import bank, ledger, register
from holdfast.drills.load.bank import Bank
from holdfast.drills.load.base import Clock, Load, LoadError, LoadPace
from holdfast.drills.load.cache import CacheDoor, CacheLoad
from holdfast.drills.load.front import Front
from holdfast.drills.load.ledger import Ledger
from holdfast.drills.load.numbers import path_numbers
from holdfast.drills.load.places import Ways, cache_places, sql_places
from holdfast.drills.load.register import Registers
from holdfast.drills.load.sql import SqlDoor, set_up, tear_down
from holdfast.drills.record import PathNumbers
from holdfast.runner.fleet import Connect
from holdfast.wire.http import Door


class Client(Load, Protocol):
    """A load of this bundle; ``missing``: what could not be read back, and why."""

    missing: dict[str, str]

    async def fill(self) -> None:
        """Get ready: open sessions, look what is there."""
        ...


@dataclass(frozen=True, slots=True)
class Use:
    """What the clients used themselves, and whether this computer let them.

    ``cpu_s``: of the whole program. ``late_s``: the longest time by which an operation began after its intended
    start. Where that is long, this computer was too busy, and latencies and gaps are partly its own.
    """

    cpu_s: float
    length_s: float
    operations: int
    late_s: float
    refused: Mapping[str, int]

    @property
    def cores(self) -> float:
        """CPU seconds in a second."""
        return self.cpu_s / self.length_s if self.length_s else 0.0


class Loads:
    """Clients of every layer that a design has, from `start` to `stop`; look at what they saw at any time.

    Afterwards, when the cluster is whole again: `read_back`, then the histories, then `clear`. As ``async with``
    block it sends everybody away in any case. A layer that the design lacks has no load (None).
    """

    def __init__(
        self,
        front: Front | None,
        sql_door: SqlDoor | None,
        cache: CacheLoad | None,
        ways: Ways,
        pace: LoadPace,
        run: str,
        clock: Clock = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self.front = front
        self.ledger = Ledger(sql_door, pace, run, clock) if sql_door else None
        self.registers = Registers(sql_door, pace, run, clock) if sql_door else None
        self.bank = Bank(sql_door, pace, run, clock) if sql_door else None
        self.cache = cache
        self._sql_door = sql_door
        self._ways = ways
        self._clock = clock
        self._cpu = cpu
        self._cpu_s = [0.0, 0.0]
        self.begun_s = 0.0
        self.ended_s = 0.0

    @classmethod
    def standard(
        cls,
        design: Design,
        values: Mapping[str, str],
        connect: Connect,
        door: Door | None,
        ca: Path,
        run: str,
        pace: LoadPace | None = None,
        clock: Clock = time.monotonic,
        hosts: tuple[str, ...] = (),
    ) -> Self:
        """Return the loads that fit a design.

        ``values``: the vault's. ``connect``: opens a wire to a host; the loads make connections of their own.
        ``door``: the front door, None without one. ``ca``: the file with the CA's certificate. ``run``: a short
        name of this drill, of letters, digits and ``-``. ``hosts``: of applications, whose clients sit there; none:
        all of them. Raises ValueError for a name that is not so.
        """
        if not re.fullmatch(r"[A-Za-z0-9-]{1,40}", run):
            raise ValueError(f"{run!r} cannot name a run: it becomes part of keys; use letters, digits and -")
        pace, ways = pace or LoadPace(), Ways(connect)
        sql, cache = sql_places(design, hosts), cache_places(design, hosts)
        timeout_s = pace.connect_timeout_s
        sql_door = SqlDoor(sql, ways, ca, values[sql.secret], timeout_s) if sql else None
        cache_door = CacheDoor(cache, ways, ca, values[cache.secret], timeout_s) if cache else None
        return cls(
            front=Front(door, pace, run, clock) if door else None,
            sql_door=sql_door,
            cache=CacheLoad(cache_door, pace, run, clock) if cache_door else None,
            ways=ways,
            pace=pace,
            run=run,
            clock=clock,
        )

    @property
    def all(self) -> tuple[Client, ...]:
        """Every load there is."""
        each: tuple[Client | None, ...] = (self.front, self.ledger, self.registers, self.bank, self.cache)
        return tuple(one for one in each if one is not None)

    async def start(self) -> None:
        """Make what the loads need, open all sessions, then begin all at once.

        Raises LoadError, or ReadBackError, when the cluster is not fit for it.
        """
        if self._sql_door:
            await set_up(self._sql_door, (*ledger.TABLES, *register.TABLES, *bank.TABLES))
        if self.cache:
            await self.cache.clear()
        await asyncio.gather(*(each.fill() for each in self.all))
        # What is loaded by now stays: to look through it again takes 50 ms, in which no client is heard.
        gc.freeze()
        self.begun_s, self._cpu_s[0] = self._clock(), self._cpu()
        for each in self.all:
            await each.start(self.begun_s)

    async def stop(self) -> None:
        """Begin nothing more, wait for those inside. Raises what went wrong in the clients themselves."""
        self.ended_s = self._clock()
        done = await asyncio.gather(*(each.stop() for each in self.all), return_exceptions=True)
        self._cpu_s[1] = self._cpu()
        for error in done:
            if isinstance(error, BaseException):
                raise error

    async def read_back(self) -> Mapping[str, str]:
        """Read what is there in the end, on every member; return what could not be read, and why.

        To be called when the cluster is healed. Replicas are given time to replay.
        """
        errors = await asyncio.gather(*(each.read_back() for each in self.all), return_exceptions=True)
        missing: dict[str, str] = {}
        for each, error in zip(self.all, errors, strict=True):
            missing |= each.missing
            if isinstance(error, LoadError):
                missing[type(each).__name__.lower()] = str(error)
            elif isinstance(error, BaseException):
                raise error
        return missing

    async def clear(self) -> None:
        """Remove all that the loads made in the cluster. Raises LoadError."""
        if self._sql_door:
            await tear_down(self._sql_door)
        if self.cache:
            await self.cache.clear()

    async def close(self) -> None:
        """End all sessions and connections; safe to call again."""
        await asyncio.gather(*(each.close() for each in self.all), return_exceptions=True)
        await self._ways.close()

    async def __aenter__(self) -> Self:
        """Start; when that fails nothing stays open."""
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close."""
        await self.close()

    @property
    def operations(self) -> Mapping[str, History]:
        """All operations that have ended, by the name of their path (``write order``, ``sql write``, …)."""
        return {path: history for each in self.all for path, history in each.operations.items()}

    @property
    def present(self) -> Mapping[str, frozenset[str] | None]:
        """Path of writes → keys that were read back in the end; None: they could not be read."""
        return {path: keys for each in self.all for path, keys in each.present.items()}

    def numbers(self, first_fault_s: float | None) -> tuple[PathNumbers, ...]:
        """Return every path in numbers, up to now or to the stop."""
        end_s = self.ended_s or self._clock()
        present = self.present
        return tuple(
            path_numbers(path, history, self.begun_s, end_s, first_fault_s, present.get(path))
            for path, history in self.operations.items()
        )

    def use(self) -> Use:
        """Return what the clients themselves used between start and stop."""
        done = [each for history in self.operations.values() for each in history]
        return Use(
            cpu_s=self._cpu_s[1] - self._cpu_s[0],
            length_s=self.ended_s - self.begun_s,
            operations=len(done),
            late_s=max((each.started_s - each.intended_s for each in done), default=0.0),
            refused={type(each).__name__.lower(): each.refused for each in self.all},
        )

    def orders(self) -> LedgerHistory | None:
        """Return the ledger through the front door, None where there is no shop."""
        return self.front.history() if self.front else None

    def sql(self, replica_bound_s: float | None = None) -> LedgerHistory | None:
        """Return the ledger in SQL, None where there is no such layer."""
        return self.ledger.history(replica_bound_s) if self.ledger else None

    def register(self) -> RegisterHistory | None:
        """Return the registers' history, None where there is no such layer."""
        return self.registers.history if self.registers else None

    def accounts(self) -> BankHistory | None:
        """Return the bank's history, None where there is no such layer."""
        return self.bank.history if self.bank else None

    def cached(self, bound_s: float, failures_s: tuple[tuple[float, float], ...] = ()) -> CacheHistory | None:
        """Return the cache's history, None where there is no such layer."""
        return self.cache.history(bound_s, failures_s) if self.cache else None
