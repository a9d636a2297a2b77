"""Stand-ins for the sample shop's surroundings: a leader, replicas, a cache, a clock."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, TypeVar

from shop.catalogue import Readers
from shop.checkout import Line, NewOrder
from shop.schema import PRODUCTS

T = TypeVar("T")
GOODS: list[Mapping[str, Any]] = [{**row, "available": True} for row in json.loads(PRODUCTS.read_text())]
ORDER = NewOrder("k1", "Ann", (Line(1, 2), Line(3, 1)))
PLACED = {
    "id": 7,
    "idempotency_key": "k1",
    "customer": "<b>Ann</b>",
    "created_at": "2026-01-02T03:04:05.678+00:00",
    "items": [{"product_id": 1, "name": "Admiralty anchor", "quantity": 2, "price_cents": 18900}],
    "total_cents": 37800,
}


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def body(**fields: object) -> bytes:
    return json.dumps({"items": [{"product_id": 1, "quantity": 2}], **fields}).encode()


class ScriptedDatabase:
    """Stands in for the leader: each attempt meets the next of `script`, an exception or the warnings of a commit."""

    def __init__(self, *script: Exception | list[str]) -> None:
        self.script = list(script)
        self.fresh: list[bool] = []
        self.statements: list[str] = []
        self.goods = [{"id": 1, "name": "anchor", "stock": 2}, {"id": 3, "name": "cleat", "stock": 1}]
        self.at_the_end: Exception | None = None

    @asynccontextmanager
    async def session(self, timeout_s: float, *, fresh: bool = False) -> AsyncIterator[Any]:
        self.fresh.append(fresh)
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        connection = SimpleNamespace(pipeline=self._pipeline, execute=self._execute, rollback=self._rollback)
        yield SimpleNamespace(connection=connection, warnings=step)

    @asynccontextmanager
    async def _pipeline(self) -> AsyncIterator[None]:
        yield
        if self.at_the_end:
            raise self.at_the_end

    async def _execute(self, sql: str, parameters: object = ()) -> Any:
        self.statements.append(sql)

        async def fetchall() -> list[dict[str, Any]]:
            return self.found(sql)

        return SimpleNamespace(fetchall=fetchall)

    async def _rollback(self) -> None:
        self.statements.append("ROLLBACK")

    def found(self, sql: str) -> list[dict[str, Any]]:
        """Return what a statement finds."""
        if "INSERT INTO orders" in sql:
            return [{"id": 7, "attempts": len(self.fresh), "fingerprint": ORDER.fingerprint()}]
        if "name, stock FROM products" in sql:
            return self.goods
        time = SimpleNamespace(isoformat=lambda timespec: "now")
        return [{"id": 7, "key": "k1", "customer": "Ann", "created_at": time, "items": PLACED["items"]}]


class FakeRedis:
    """The few commands that the catalogue uses, in a dictionary; `broken` makes each fail, `hangs` never end."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {}
        self.calls = 0
        self.broken = False
        self.hangs = False

    async def _serve(self) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.broken:
            raise ConnectionError

    async def get(self, key: str) -> str | None:
        await self._serve()
        return self.data.get(key)

    async def set(self, key: str, value: str, ex: int) -> None:
        await self._serve()
        self.data[key] = value

    async def zrevrange(self, key: str, first: int, last: int, withscores: bool) -> list[tuple[str, float]]:
        await self._serve()
        return [(member, float(score)) for member, score in json.loads(self.data.get(key, "[]"))]

    def pipeline(self, transaction: bool) -> "FakePipeline":
        return FakePipeline(self)


class FakePipeline:
    """Takes any command and hands them to the client when executed."""

    def __init__(self, client: FakeRedis) -> None:
        self.client = client

    def __getattr__(self, command: str) -> Callable[..., "FakePipeline"]:
        return self._add

    def _add(self, *arguments: object, **options: object) -> "FakePipeline":
        return self

    async def execute(self) -> list[object]:
        await self.client._serve()
        return []


class Servers:
    """Replicas and leader that can be taken away."""

    def __init__(self) -> None:
        self.present = {"replica", "primary"}
        self.asked: list[str] = []

    def readers(self) -> Readers:
        return Readers(self._reader("replica"), self._reader("primary"), (ConnectionError,))

    def _reader(self, name: str) -> Callable[[Any], Any]:
        async def read(sql: str) -> list[Mapping[str, Any]]:
            self.asked.append(name)
            if name not in self.present:
                raise ConnectionError
            return GOODS if "slug" in sql else [{"id": 1, "sold": 3}, {"id": 2, "sold": 0}, {"id": 3, "sold": 9}]

        return read


class FakeOrders:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.known = False

    async def place(self, order: NewOrder) -> tuple[dict[str, Any], bool]:
        if self.error:
            raise self.error
        return PLACED, self.known

    async def get(self, order_id: int) -> dict[str, Any] | None:
        return PLACED if order_id == 7 else None
