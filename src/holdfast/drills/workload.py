"""Customers of a shop: they read and order at their own pace, whatever the shop does, and write down what they see.

An open load: every operation has an intended start on one clock. A service that hangs does not slow its customers
down, so it cannot hide how many of them it kept waiting.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Any, Self
from uuid import uuid4

from holdfast.drills.history import History, Kind, Operation, Outcome
from holdfast.wire.base import NotSentError, UnansweredError
from holdfast.wire.http import Answer, Door

READ_PATHS = ("/api/products", "/")
ORDERS = "/api/orders"
ORDER = {"items": [{"product_id": 1, "quantity": 1}]}
PAGE = 1000
# How many customers may repeat an order at a time. First requests keep to their pace whatever happens; all repeats
# beside them made 70 to 200 requests a second of an outage, and a small computer did not come back from them.
REPEATS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """How many operations begin in a second, and how patient customers are.

    ``write_timeout_s`` is above the eight seconds for which the shop itself tries to place an order. A customer
    repeats an order that is in doubt, under its key, until ``patience_s`` after its first request: first after
    ``pause_s``, then after pauses that double up to ``pause_max_s``, and when it is his turn (`REPEATS_AT_ONCE`).
    """

    reads_per_s: float = 10.0
    writes_per_s: float = 10.0
    read_timeout_s: float = 2.5
    write_timeout_s: float = 10.0
    patience_s: float = 30.0
    pause_s: float = 0.5
    pause_max_s: float = 8.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request of an operation, judged; ``sent``: whether it may have reached the shop at all."""

    outcome: Outcome
    host: str = ""
    order: int = 0
    reason: str = ""
    sent: bool = True

    @property
    def repeatable(self) -> bool:
        """Whether a customer tries again: in doubt, or never sent; not when the shop refused (4xx)."""
        return self.outcome is Outcome.INDETERMINATE or not self.sent


class Workload:
    """Customers at work from `start` to `stop`; look at `history` at any time.

    As ``async with`` block it sends everybody away when something goes wrong. ``paths``: the pages that are read in
    turn. ``mark``: what the keys of all orders begin with. A pace of 0 leaves reading or ordering out.
    """

    def __init__(
        self,
        door: Door,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
        paths: tuple[str, ...] = READ_PATHS,
        mark: str = "",
    ) -> None:
        self._door = door
        self._pace = pace
        self._clock = clock
        self._paths = paths
        self._mark = mark
        self._done: list[Operation] = []
        self._issuing: list[asyncio.Task[None]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._repeats = asyncio.Semaphore(REPEATS_AT_ONCE)
        self._broken: BaseException | None = None
        self.begun_s = 0.0

    @property
    def history(self) -> History:
        """All operations that have ended, in the order of their ends."""
        return tuple(self._done)

    def start(self, begun_s: float | None = None) -> None:
        """Let the customers in; ``begun_s``: when, now by default. To be called in a running event loop."""
        self.begun_s = self._clock() if begun_s is None else begun_s
        self._issuing = [
            asyncio.create_task(self._issue(self._pace.reads_per_s, self._read)),
            asyncio.create_task(self._issue(self._pace.writes_per_s, self._write)),
        ]

    async def __aenter__(self) -> Self:
        """Start."""
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Send away those who are still inside: after `stop` there are none."""
        left = [*self._issuing, *self._running]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def stop(self) -> float:
        """Let nobody in any more, wait for those inside; return when the door was shut.

        Raises what went wrong in the customers themselves.
        """
        for task in self._issuing:
            task.cancel()
        shut_s = self._clock()
        for task in self._issuing:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await asyncio.gather(*self._running)
        if self._broken:
            raise self._broken
        return shut_s

    async def _issue(self, per_s: float, act: Callable[[int, float], Awaitable[Operation]]) -> None:
        for number in count() if per_s > 0 else ():
            intended_s = self.begun_s + number / per_s
            await asyncio.sleep(max(0.0, intended_s - self._clock()))
            task = asyncio.create_task(self._record(act(number, intended_s)))
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def _record(self, operation: Awaitable[Operation]) -> None:
        self._done.append(await operation)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        # A fault of the client itself must not pass as silence of the service.
        if not task.cancelled() and task.exception():
            self._broken = self._broken or task.exception()

    async def _read(self, number: int, intended_s: float) -> Operation:
        path = self._paths[number % len(self._paths)]
        started_s = self._clock()
        try:
            answer = await self._door.ask("GET", path, timeout_s=self._pace.read_timeout_s)
            made = judge_read(path, answer)
        except (NotSentError, UnansweredError) as error:
            made = Attempt(Outcome.FAIL, reason=str(error))
        return self._operation(Kind.READ, path, intended_s, started_s, made)

    async def _write(self, _number: int, intended_s: float) -> Operation:
        key = f"{self._mark}{uuid4().hex}"
        started_s = self._clock()
        made = first = await self._order(key)
        tries, in_doubt = 1, made.outcome is Outcome.INDETERMINATE
        while made.repeatable and self._clock() - started_s < self._pace.patience_s:
            await asyncio.sleep(min(self._pace.pause_s * 2 ** (tries - 1), self._pace.pause_max_s))
            async with self._repeats:
                if self._clock() - started_s >= self._pace.patience_s:
                    break
                made = await self._order(key)
            tries, in_doubt = tries + 1, in_doubt or made.outcome is Outcome.INDETERMINATE
        if in_doubt and made.outcome is Outcome.FAIL:
            # A later refusal says nothing about an earlier request that got no answer.
            made = replace(made, outcome=Outcome.INDETERMINATE)
        made = replace(made, reason=first.reason)
        return self._operation(Kind.WRITE, ORDERS, intended_s, started_s, made, tries, key)

    async def _order(self, key: str) -> Attempt:
        headers = {"Idempotency-Key": key}
        timeout_s = self._pace.write_timeout_s
        try:
            return judge_order(await self._door.ask("POST", ORDERS, timeout_s=timeout_s, data=ORDER, headers=headers))
        except NotSentError as error:
            return Attempt(Outcome.FAIL, reason=str(error), sent=False)
        except UnansweredError as error:
            return Attempt(Outcome.INDETERMINATE, reason=str(error))

    def _operation(
        self,
        kind: Kind,
        path: str,
        intended_s: float,
        started_s: float,
        made: Attempt,
        tries: int = 1,
        key: str = "",
    ) -> Operation:
        ended_s = self._clock()
        return Operation(
            kind, path, intended_s, started_s, ended_s, made.outcome, tries, key, made.order, made.host, made.reason
        )


def judge_read(path: str, answer: Answer) -> Attempt:
    """Judge a reader's answer: a success shows goods, not only a status."""
    host = answer.headers.get("x-served-by", "")
    if answer.status != 200:
        return Attempt(Outcome.FAIL, host, reason=f"HTTP {answer.status}")
    shown = bool(_json(answer).get("products")) if path.startswith("/api/") else bool(answer.body)
    return Attempt(Outcome.OK if shown else Outcome.FAIL, host, reason="" if shown else "an empty answer")


def judge_order(answer: Answer) -> Attempt:
    """Judge the answer to an order. Only 4xx says for certain that nothing was ordered."""
    host = answer.headers.get("x-served-by", "")
    number = _json(answer).get("id")
    if answer.status in (200, 201) and isinstance(number, int) and number > 0:
        return Attempt(Outcome.OK, host, number)
    refused = 400 <= answer.status < 500
    outcome = Outcome.FAIL if refused else Outcome.INDETERMINATE
    return Attempt(outcome, host, reason=f"HTTP {answer.status}")


def _json(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class ReadBackError(Exception):
    """The orders could not be read back whole; the message says why."""


async def all_orders(
    door: Door, patience_s: float = 60.0, pause_s: float = 0.5, begin: int = 0
) -> tuple[tuple[str, int], ...]:
    """Return key and number of every order after number ``begin``, page by page. Raises ReadBackError.

    To be called when all writers have stopped: orders may commit in another order than their numbers.
    """
    found: list[tuple[str, int]] = []
    deadline_s = time.monotonic() + patience_s
    while True:
        after = found[-1][1] if found else begin
        page, reason = await orders_page(door, after)
        if page == []:
            return tuple(found)
        if page is None:
            if time.monotonic() > deadline_s:
                raise ReadBackError(f"orders after {after} could not be read within {patience_s:g} s: {reason}")
            await asyncio.sleep(pause_s)
            continue
        if any(later <= earlier for earlier, later in pairwise([after, *(order for _, order in page)])):
            raise ReadBackError(f"the shop lists orders after {after} that are not in the order of their numbers")
        found += page


async def orders_page(door: Door, after: int, limit: int = PAGE) -> tuple[list[tuple[str, int]] | None, str]:
    """Return key and number of the orders after a number, at most ``limit``; or None and why there is no answer."""
    try:
        answer = await door.ask("GET", f"{ORDERS}?after={after}&limit={limit}", timeout_s=10.0)
        orders = _json(answer)["orders"]
        return [(str(each["idempotency_key"]), int(each["id"])) for each in orders], ""
    except (NotSentError, UnansweredError) as error:
        return None, str(error)
    except (KeyError, TypeError, ValueError):
        return None, f"HTTP {answer.status} with an answer that is no list of orders"
