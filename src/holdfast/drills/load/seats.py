"""Sessions of clients: on which host each began, which are free, and what becomes of one whose operation failed."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from holdfast.drills.history import Outcome
from holdfast.drills.load.base import TOLD, DoubtError, outcome_of
from holdfast.wire.base import NotSentError, WireError


class Line(Protocol):
    """What a session speaks through."""

    def hang_up(self) -> None:
        """Break it at once."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


L = TypeVar("L", bound=Line)
T = TypeVar("T")
TURN_S = 1.0


class Turns:
    """Logins by the same way, one after the other: after an outage all loads come back at once.

    A login costs both sides some 10 ms of processor time, which are missing to the cluster that is looked at. Whoever
    takes longer than ``turn_s`` seconds goes on, and the next begins: it may be a server that does not answer.
    """

    def __init__(self, turn_s: float = TURN_S) -> None:
        self._turn_s = turn_s
        self._ways: defaultdict[Hashable, asyncio.Semaphore] = defaultdict(partial(asyncio.Semaphore, 1))

    @asynccontextmanager
    async def one(self, way: Hashable) -> AsyncIterator[None]:
        """Wait for a turn on a way and hold it for the block, or for ``turn_s`` of it."""
        turn, loop = self._ways[way], asyncio.get_running_loop()
        await turn.acquire()
        over = loop.call_later(self._turn_s, turn.release)
        try:
            yield
        finally:
            if loop.time() < over.when():
                over.cancel()
                turn.release()


@dataclass(slots=True, eq=False)
class Seat(Generic[L]):
    """A place for one session after another. ``session``: the name of the present one; ``asked``: its operations."""

    host: str
    session: str
    line: L | None = None
    busy: bool = False
    opening: bool = False
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """How an operation ended; ``value`` is None unless it was acknowledged."""

    outcome: Outcome
    value: T | None = None
    reason: str = ""


class Seats(Generic[L]):
    """The sessions of one load: some on every host from the beginning, more while those are busy, up to a limit.

    ``opener(host)`` opens a line; it raises NotSentError or WireError. ``refused`` counts what the limits refused: no
    more than ``most`` sessions on a host, and no more than ``each`` that are being opened. (A login costs far
    more than an insert. If every operation that finds no session began one, those who come back after an outage
    would keep each other from ever coming in, and the clients would measure nothing but themselves.)
    """

    def __init__(
        self, hosts: tuple[str, ...], opener: Callable[[str], Awaitable[L]], each: int, most: int, timeout_s: float
    ) -> None:
        self._opener = opener
        self._each = each
        self._most = most
        self._timeout_s = timeout_s
        self._made = 0
        self.hosts = hosts
        self.seats: list[Seat[L]] = []
        self.refused = 0
        for _ in range(each):
            for host in hosts:
                self._add(host)

    def _add(self, host: str) -> Seat[L]:
        seat: Seat[L] = Seat(host, self._name(host))
        self.seats.append(seat)
        return seat

    def _name(self, host: str) -> str:
        self._made += 1
        return f"{host}.{self._made}"

    async def fill(self) -> None:
        """Open the line of every seat. What cannot be opened now is tried again when its turn comes."""
        await asyncio.gather(*(self._open(seat) for seat in self.seats), return_exceptions=True)

    def take(self, host: str) -> Seat[L] | None:
        """Return a free seat of a host, the one that rested longest, or a new one; None when there may be no more."""
        own = [seat for seat in self.seats if seat.host == host]
        free = [seat for seat in own if not seat.busy]
        seat = next((seat for seat in free if seat.line), None)
        if seat is None and sum(seat.opening for seat in own) < self._each:
            seat = free[0] if free else self._add(host) if len(own) < self._most else None
        if seat is None:
            self.refused += 1
            return None
        seat.busy = True
        # To the end of the line, so that all have their turn.
        self.seats.remove(seat)
        self.seats.append(seat)
        return seat

    async def use(self, seat: Seat[L], work: Callable[[L], Awaitable[T]]) -> Done[T]:
        """Do one operation in a taken seat and leave it.

        A session whose operation is indeterminate ends: the next one in this seat has another name.
        """
        try:
            line = seat.line or await self._open(seat)
            done = Done(Outcome.OK, await work(line))
        except TOLD as error:
            done = Done(outcome_of(error), reason=str(error))
            if not isinstance(error, DoubtError):
                await self._drop(seat)
        except asyncio.CancelledError:
            await self._drop(seat)
            raise
        finally:
            seat.busy = False
        if done.outcome is Outcome.INDETERMINATE:
            seat.session, seat.asked = self._name(seat.host), 0
        return done

    async def _open(self, seat: Seat[L]) -> L:
        seat.opening = True
        try:
            async with asyncio.timeout(self._timeout_s):
                seat.line = await self._opener(seat.host)
        except WireError as error:
            raise NotSentError(str(error)) from error
        except TimeoutError as error:
            raise NotSentError(f"{seat.host}: no session within {self._timeout_s:g} s") from error
        finally:
            seat.opening = False
        return seat.line

    async def _drop(self, seat: Seat[L]) -> None:
        line, seat.line = seat.line, None
        if line:
            line.hang_up()
            await line.close()

    def hang_up(self) -> None:
        """Break the lines of all that are busy."""
        for seat in self.seats:
            if seat.busy and seat.line:
                seat.line.hang_up()

    async def close(self) -> None:
        """End all sessions."""
        self.hang_up()
        await asyncio.gather(*(self._drop(seat) for seat in self.seats), return_exceptions=True)
