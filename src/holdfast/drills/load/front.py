"""Customers through the front door: they read pages and, where there is a shop, order and read all orders."""

import time
from collections.abc import Mapping
from dataclasses import replace

from holdfast.drills.check.values import PRIMARY, LedgerHistory, SetRead, Write
from holdfast.drills.history import History, Kind, Operation, Outcome
from holdfast.drills.load.base import Clock, Issuer, LoadPace
from holdfast.drills.workload import ORDERS, PAGE, READ_PATHS, ReadBackError, Workload, all_orders, orders_page
from holdfast.wire.base import NotSentError, UnansweredError
from holdfast.wire.http import Answer, Door

READ, STATIC, WRITE = "read page", "read static", "write order"
# Where all orders are read back: one door, whoever answers behind it.
FRONT = "front door"
AUDITOR = "auditor"
STATIC_PATH = "/static/shop.css"
TIMEOUT_S = 5.0


class Front:
    """The shop's customers, or mere readers of the first page where there is no shop; see `Load`.

    While they shop an auditor reads all orders of this run. His reads are whole as long as they fit one page of the
    shop (1,000 orders): the rest is not a view of one moment, and is left out.
    """

    def __init__(self, door: Door, pace: LoadPace, run: str, clock: Clock = time.monotonic) -> None:
        self._door = door
        self._pace = pace
        self._mark = f"{run}-"
        self._clock = clock
        self._issuer = Issuer(clock)
        self._customers = Workload(door, pace.front, clock)
        self._begin = 0
        self._reads: list[SetRead] = []
        self._final: dict[str, tuple[str, ...]] = {}
        self.is_shop = False
        self.refused = 0
        self.missing: dict[str, str] = {}

    async def fill(self) -> None:
        """Ask whether this is a shop, and where its orders end at present. Raises ReadBackError."""
        orders, _ = await orders_page(self._door, 0, limit=1)
        self.is_shop = orders is not None
        paths: tuple[str, ...] = ("/",)
        if self.is_shop:
            known = await all_orders(self._door)
            self._begin = known[-1][1] if known else 0
            paths = (*READ_PATHS, STATIC_PATH) if await self._has(STATIC_PATH) else READ_PATHS
        pace = self._pace.front if self.is_shop else replace(self._pace.front, writes_per_s=0)
        self._customers = Workload(self._door, pace, self._clock, paths, self._mark)

    async def _has(self, path: str) -> bool:
        try:
            answer: Answer = await self._door.ask("GET", path, timeout_s=TIMEOUT_S)
        except (NotSentError, UnansweredError):
            return False
        return answer.status == 200

    async def start(self, begun_s: float) -> None:
        """Let the customers in; see `Load.start`."""
        self._customers.start(begun_s)
        if self.is_shop:
            self._issuer.begin(self._pace.order_reads_per_s, self._audit, begun_s)

    async def _audit(self, _number: int, _intended_s: float) -> None:
        started_s = self._clock()
        page, _ = await orders_page(self._door, self._begin)
        if page is not None and len(page) < PAGE:
            self._reads.append(SetRead(AUDITOR, PRIMARY, started_s, self._clock(), self._own(page)))

    def _own(self, orders: list[tuple[str, int]] | tuple[tuple[str, int], ...]) -> tuple[str, ...]:
        return tuple(key for key, _ in orders if key.startswith(self._mark))

    @property
    def operations(self) -> Mapping[str, History]:
        """All operations that have ended, by path."""
        found: dict[str, list[Operation]] = {}
        for each in self._customers.history:
            found.setdefault(path_of(each), []).append(each)
        return {path: tuple(each) for path, each in found.items()}

    @property
    def present(self) -> Mapping[str, frozenset[str] | None]:
        """The keys of the orders that are there in the end."""
        if not self.is_shop:
            return {}
        return {WRITE: frozenset(self._final[FRONT]) if FRONT in self._final else None}

    def history(self) -> LedgerHistory | None:
        """Return what the customers saw of their orders; None when this is no shop."""
        if not self.is_shop:
            return None
        writes = tuple(written(each) for each in self._customers.history if each.kind is Kind.WRITE)
        return LedgerHistory(writes, tuple(self._reads), self._final)

    async def stop(self) -> None:
        """Let nobody in any more, wait for those inside; see `Load.stop`."""
        await self._customers.stop()
        await self._issuer.stop(self._pace.grace_s, lambda: None)

    async def read_back(self) -> None:
        """Read all orders of this run; the reason is in ``missing`` when that fails."""
        if self.is_shop:
            try:
                self._final[FRONT] = self._own(await all_orders(self._door, begin=self._begin))
            except ReadBackError as error:
                self.missing = {FRONT: str(error)}

    async def close(self) -> None:
        """Send everybody away."""
        await self._issuer.close()
        await self._customers.__aexit__()


def path_of(operation: Operation) -> str:
    """Return the name of the path that an operation of a customer took."""
    if operation.path == ORDERS:
        return WRITE
    return STATIC if operation.path == STATIC_PATH else READ


def written(order: Operation) -> Write:
    """Return an order as the checker reads it. Every customer is a session of its own, the repeats included."""
    node = order.host if order.outcome is Outcome.OK else ""
    return Write(order.key, order.key, order.started_s, order.ended_s, order.outcome, node=node)
