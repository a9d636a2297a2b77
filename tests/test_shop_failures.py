"""The sample shop while its database and its cache fail: what it acknowledges, and what it shows."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from shop.cache import Breaker, Cache
from shop.catalogue import PRODUCTS_KEY, SOLD_KEY, Catalogue, Products, best_of
from shop.checkout import Line, NewOrder
from shop.db import Database
from shop.errors import Refused, Unavailable
from shop.feed import Feed
from shop.orders import Orders
from shop.readthrough import Reading, ReadThrough, Source

from shopkit import GOODS, ORDER, Clock, FakeRedis, ScriptedDatabase, Servers, run

# Orders


def place(database: ScriptedDatabase, order: NewOrder = ORDER, budget_s: float = 5) -> tuple[dict[str, Any], bool]:
    orders = Orders(cast(Database, database), cast(Database, database), budget_s)
    return run(orders.place(order))


def test_an_order_is_placed_at_once_on_a_healthy_database() -> None:
    database = ScriptedDatabase([])
    order, known = place(database)
    assert (order["id"], order["total_cents"], known) == (7, 37800, False)
    assert any("UPDATE products" in sql for sql in database.statements)


def test_failures_that_pass_are_repeated_on_fresh_connections() -> None:
    database = ScriptedDatabase(
        psycopg.errors.ReadOnlySqlTransaction(), psycopg.OperationalError("lost"), TimeoutError(), []
    )
    order, _known = place(database)
    assert order["id"] == 7
    assert database.fresh == [False, True, True, True]


def test_a_commit_with_a_warning_is_not_acknowledged_but_repeated_with_a_write() -> None:
    database = ScriptedDatabase(["canceling wait for synchronous replication due to user request"], [])
    order, known = place(database)
    assert (order["id"], known) == (7, True)
    claims = [sql for sql in database.statements if "INSERT INTO orders" in sql]
    assert len(claims) == 2
    assert all("DO UPDATE SET attempts" in sql for sql in claims)
    assert sum("UPDATE products" in sql for sql in database.statements) == 1


def test_a_warning_that_never_ends_is_never_acknowledged() -> None:
    with pytest.raises(Unavailable):
        place(ScriptedDatabase(*[["might not have been replicated"]] * 50), budget_s=0.3)


@pytest.mark.parametrize(("down_for", "comes_back"), [(3, True), (10**6, False)])
def test_the_leader_is_asked_again_while_it_may_be_changing(
    down_for: int, comes_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def rows(_sql: str, _parameters: object, *, timeout_s: float) -> list[dict[str, Any]]:
        nonlocal asked
        asked += 1
        assert timeout_s > 0
        if asked <= down_for:
            raise psycopg.OperationalError("the server closed the connection")
        return []

    # Long where it must not run out, however busy the computer of this test is.
    monkeypatch.setattr("shop.orders.READ_TIMEOUT_S", 60.0 if comes_back else 1.0)
    orders = Orders(cast(Database, SimpleNamespace(rows=rows)), cast(Database, None), 5)
    if comes_back:
        assert run(orders.page(0, 10)) == []
        return
    with pytest.raises(Unavailable):
        run(orders.page(0, 10))
    assert asked > 3


def test_a_mistake_of_the_program_is_not_repeated() -> None:
    database = ScriptedDatabase(psycopg.errors.SyntaxError(), [])
    with pytest.raises(psycopg.errors.SyntaxError):
        place(database)
    assert database.fresh == [False]


@pytest.mark.parametrize(
    ("order", "status"),
    [
        (NewOrder("k1", "Ann", (Line(1, 3),)), 422),  # another order under a known key
        (ORDER, 409),  # more than there is
        (ORDER, 422),  # no such product
    ],
)
def test_refusals_are_not_repeated(order: NewOrder, status: int) -> None:
    database = ScriptedDatabase([])
    database.goods = [{"id": 1, "name": "anchor", "stock": 0}] if status == 409 else []
    with pytest.raises(Refused) as caught:
        place(database, order)
    assert caught.value.status == status
    assert database.fresh == [False]
    assert database.statements[-1] == "ROLLBACK"


def test_who_comes_just_too_late_for_the_last_piece_is_refused() -> None:
    database = ScriptedDatabase([])
    database.at_the_end = psycopg.errors.CheckViolation()
    with pytest.raises(Refused) as caught:
        place(database)
    assert caught.value.status == 409


def test_the_stock_is_locked_taken_and_committed_without_waiting_in_between() -> None:
    database = ScriptedDatabase([])
    place(database)
    locked = next(number for number, sql in enumerate(database.statements) if "FOR NO KEY UPDATE" in sql)
    assert "UPDATE products" in database.statements[locked + 1]
    assert database.statements[-1] == "COMMIT"


# The cache


def test_the_breaker_lets_one_probe_through_at_a_time() -> None:
    clock = Clock()
    breaker = Breaker(clock, open_s=1.0)
    assert breaker.allows()
    breaker.report(success=False)
    assert not breaker.allows()
    clock.now_s = 1.0
    assert breaker.allows()
    assert not breaker.allows()
    breaker.report(success=True)
    assert breaker.allows()


def test_a_broken_cache_is_an_empty_cache_and_is_left_alone_for_a_while() -> None:
    async def scene() -> tuple[Any, int]:
        client = FakeRedis()
        client.broken = True
        cache = Cache(client, (), Clock())
        answers = [await cache.get("x") for _ in range(5)]
        assert not cache.answers
        return answers, client.calls

    assert run(scene()) == ([None] * 5, 1)


def test_a_silent_cache_costs_a_quarter_of_a_second_once() -> None:
    async def scene() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        client = FakeRedis()
        client.hangs = True
        cache = Cache(client, (), Clock())
        begin_s = loop.time()
        for _ in range(5):
            await cache.get("x")
        return loop.time() - begin_s, client.calls

    took_s, calls = run(scene())
    assert calls == 1
    assert 0.2 < took_s < 1.5


def test_without_a_cache_nothing_is_cached_and_nothing_fails() -> None:
    async def scene() -> Any:
        cache = Cache(None, (), Clock())
        await cache.set("x", 1, 5)
        await cache.announce("x", [(1, 1)], "m")
        await cache.replace_scores("x", {1: 1}, 5)
        await cache.ping()
        return await cache.get("x"), await cache.top("x", 5), cache.present, cache.answers

    assert run(scene()) == (None, None, False, False)


# The catalogue


def test_the_catalogue_falls_back_from_cache_to_replica_to_leader_to_memory() -> None:
    async def scene() -> list[str]:
        servers, client, clock = Servers(), FakeRedis(), Clock()
        catalogue = Catalogue(Cache(client, (), clock), servers.readers(), clock)
        assert not catalogue.filled
        sources = [(await catalogue.products()).source, (await catalogue.products()).source]
        client.broken = True
        sources.append((await catalogue.products()).source)
        servers.present = {"primary"}
        sources.append((await catalogue.products()).source)
        servers.present = set()
        last = await catalogue.products()
        assert last.stale
        assert len(last.value) == len(GOODS)
        servers.asked.clear()
        await catalogue.products()
        assert servers.asked == []  # after a search in vain there is a rest
        servers.present, clock.now_s = {"replica"}, 2.0
        sources += [last.source, (await catalogue.products()).source]
        return sources

    assert run(scene()) == ["replica", "cache", "replica", "primary", "memory", "replica"]


@pytest.mark.parametrize("rubbish", ['{"a": 1}', "[1]", '[{"id": 1}]', "not json", '"text"', "[]"])
def test_rubbish_in_the_cache_is_no_catalogue(rubbish: str) -> None:
    async def scene() -> Reading[Products]:
        client = FakeRedis()
        client.data[PRODUCTS_KEY] = rubbish
        return await Catalogue(Cache(client, (), Clock()), Servers().readers(), Clock()).products()

    assert run(scene()).source == "replica"


def test_a_catalogue_that_was_never_seen_is_unavailable() -> None:
    async def scene() -> None:
        servers = Servers()
        servers.present = set()
        await Catalogue(Cache(None, (), Clock()), servers.readers(), Clock()).products()

    with pytest.raises(Unavailable):
        run(scene())


def test_best_sellers_come_from_the_cache_or_are_counted() -> None:
    async def scene() -> tuple[Any, Any]:
        client = FakeRedis()
        catalogue = Catalogue(Cache(client, (), Clock()), Servers().readers(), Clock())
        client.data[SOLD_KEY] = '[["2", 5], ["1", 0]]'
        cached = await catalogue.best_sellers(2)
        client.broken = True
        return (cached.source, cached.value), (await catalogue.best_sellers(2)).value

    assert run(scene()) == (("cache", [(2, 5)]), [(3, 9), (1, 3)])


def test_best_sellers_are_ranked_by_pieces_then_by_id() -> None:
    assert best_of({4: 1, 2: 7, 1: 7, 9: 0}, 2) == [(1, 7), (2, 7)]


def test_a_slow_search_is_shared_and_shows_the_old_copy_meanwhile() -> None:
    async def scene() -> tuple[list[str], int]:
        asked = 0

        async def slow() -> str:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.2)
            return "new"

        reader = ReadThrough([Source("replica", slow, (OSError,))], Clock(), patience_s=0.02)
        reader.remember("old")
        early = await asyncio.gather(*(reader.read() for _ in range(10)))
        await asyncio.sleep(0.25)
        assert {reading.source for reading in early} == {"memory"}
        assert asked == 1
        return [reading.value for reading in early], asked

    values, _asked = run(scene())
    assert values == ["old"] * 10


# The feed


def test_the_feed_shows_each_order_once_and_ends_when_the_shop_closes() -> None:
    async def scene() -> list[bytes]:
        feed = Feed(Cache(None, (), Clock()), cast(Any, None))
        feed.emit({"id": 1})
        feed.emit({"id": 2})
        stream = feed.stream(after=1)
        events = [await anext(stream), await anext(stream)]
        feed.emit({"id": 2})
        feed.emit({"id": 3})
        events.append(await anext(stream))
        feed.close()
        events += [event async for event in stream]
        assert feed.watchers == 0
        return events

    first, *orders = run(scene())
    assert first.startswith(b"retry:")
    assert [order.split(b"\n")[0] for order in orders] == [b"id: 2", b"id: 3"]
