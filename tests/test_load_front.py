"""Customers at the front door: a shop is recognised, and their orders become a ledger."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.drills.history import Kind, Operation, Outcome
from holdfast.drills.load.base import LoadPace
from holdfast.drills.load.front import FRONT, READ, STATIC, WRITE, Front, path_of, written
from holdfast.drills.workload import ORDERS, Pace
from holdfast.wire.base import UnansweredError
from holdfast.wire.http import Answer

PACE = LoadPace(front=Pace(reads_per_s=100, writes_per_s=100, patience_s=0.2, pause_s=0.01), order_reads_per_s=20)


def answer(status: int, data: Any) -> Answer:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Answer(status, {"x-served-by": "b"}, body)


@dataclass
class Site:
    """A site in memory: with or without a shop behind it, and with a page size of its own."""

    shop: bool = True
    page: int = 1000
    dead: bool = False
    orders: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def ask(
        self, method: str, path: str, *, timeout_s: float, data: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        await asyncio.sleep(0)
        self.asked.append(f"{method} {path.split('?')[0]}")
        if self.dead:
            raise UnansweredError("silence")
        if path.startswith("/api") and not self.shop:
            return answer(404, {"error": "no such page"})
        if method == "POST":
            key = (headers or {})["Idempotency-Key"]
            return answer(201, {"id": self.orders.setdefault(key, len(self.orders) + 1)})
        if path.startswith(ORDERS):
            return self._listed(int(path.split("after=")[1].split("&")[0]), int(path.split("limit=")[1]))
        return answer(200, {"products": [1]} if path.startswith("/api") else b"<html>")

    def _listed(self, after: int, limit: int) -> Answer:
        later = sorted((number, key) for key, number in self.orders.items() if number > after)
        page = later[: min(limit, self.page)]
        return answer(200, {"orders": [{"id": number, "idempotency_key": key} for number, key in page]})


def visited(site: Site, for_s: float = 0.3, pace: LoadPace = PACE) -> Front:
    async def play() -> Front:
        front = Front(site, pace, "run-1", asyncio.get_running_loop().time)
        await front.fill()
        await front.start(asyncio.get_running_loop().time())
        await asyncio.sleep(for_s)
        await front.stop()
        await front.read_back()
        await front.close()
        return front

    return asyncio.run(play())


def test_orders_become_a_ledger_that_was_read_while_it_grew() -> None:
    front = visited(Site(orders={"of-somebody-else": 1}))
    history = front.history()
    assert history is not None
    assert len(history.writes) >= 5
    assert {each.outcome for each in history.writes} == {Outcome.OK}
    assert sorted(history.final[FRONT]) == sorted(each.key for each in history.writes)
    assert {each.node for each in history.writes} == {"b"}
    sizes = [len(each.keys) for each in history.reads]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 1
    assert front.present == {WRITE: frozenset(history.final[FRONT])}


def test_the_paths_have_names() -> None:
    found = visited(Site()).operations
    assert set(found) == {READ, STATIC, WRITE}
    assert all(len(history) >= 5 for history in found.values())


def test_without_a_shop_only_the_first_page_is_read() -> None:
    site = Site(shop=False)
    front = visited(site)
    assert front.history() is None
    assert front.present == {}
    assert set(front.operations) == {READ}
    assert set(site.asked) == {"GET /api/orders", "GET /"}


def test_a_view_that_needs_more_than_one_page_is_not_of_one_moment() -> None:
    # The shop's page is 1,000 orders: all that an auditor may take for the whole.
    full = Site(orders={f"run-1-{number}": number for number in range(1, 1001)})

    async def play() -> int:
        front = Front(full, PACE, "run-1", asyncio.get_running_loop().time)
        front.is_shop = True
        await front._audit(0, 0.0)
        history = front.history()
        assert history is not None
        return len(history.reads)

    assert asyncio.run(play()) == 0


def test_orders_in_doubt_stay_in_doubt() -> None:
    async def play() -> Front:
        site = Site()
        front = Front(site, PACE, "run-1", asyncio.get_running_loop().time)
        await front.fill()
        site.dead = True
        await front.start(asyncio.get_running_loop().time())
        await asyncio.sleep(0.1)
        await front.stop()
        return front

    history = asyncio.run(play()).history()
    assert history is not None
    assert history.writes
    assert {each.outcome for each in history.writes} == {Outcome.INDETERMINATE}
    assert history.final == {}


def test_a_customer_is_a_session_and_its_repeats_belong_to_it() -> None:
    order = Operation(Kind.WRITE, ORDERS, 1.0, 1.1, 9.0, Outcome.INDETERMINATE, 3, "run-1-k", 0, "b", "silence")
    write = written(order)
    assert (write.session, write.key, write.started_s, write.ended_s) == ("run-1-k", "run-1-k", 1.1, 9.0)
    assert write.node == ""
    assert path_of(order) == WRITE
