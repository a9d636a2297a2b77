"""Writes to the cache, with a cache in memory; and what the words of its client mean."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import exceptions

from holdfast.drills.history import Outcome
from holdfast.drills.load.base import LoadPace
from holdfast.drills.load.cache import WRITE, CacheDoor, CacheLoad
from holdfast.drills.load.places import CachePlaces, Ways
from holdfast.wire.base import NotSentError, RefusedError, UnansweredError, Wire, WireError
from holdfast.wire.cache import CacheSession, translated

PACE = LoadPace(cache_writes_per_s=100, patience_s=0.2, grace_s=0.5)


async def no_wire(host: str) -> Wire:
    raise WireError(f"{host}: no answer")


def nothing(_key: str) -> None:
    pass


@dataclass
class Store:
    rule: Callable[[str], None] = nothing
    down: bool = False
    keys: dict[str, int] = field(default_factory=dict)


@dataclass
class Session:
    store: Store

    async def put(self, key: str, value: str, expire_s: int, *, timeout_s: float) -> None:
        self.store.rule(key)
        self.store.keys[key] = expire_s

    async def keys(self, prefix: str, *, timeout_s: float) -> frozenset[str]:
        return frozenset(key for key in self.store.keys if key.startswith(prefix))

    async def remove(self, keys: frozenset[str], *, timeout_s: float) -> None:
        for key in keys:
            del self.store.keys[key]

    def hang_up(self) -> None:
        pass

    async def close(self) -> None:
        pass


class FakeDoor(CacheDoor):
    """Leads to a store in memory from every host."""

    def __init__(self, store: Store) -> None:
        super().__init__(CachePlaces(("a", "b"), 5002, "app", "cache/app"), Ways(no_wire), Path("ca.crt"), "hush")
        object.__setattr__(self, "store", store)

    async def primary(self, host: str) -> CacheSession:
        store: Store = getattr(self, "store")  # noqa: B009
        if store.down:
            raise NotSentError("connection refused")
        return Session(store)


def load_on(store: Store, for_s: float = 0.3) -> CacheLoad:
    async def play() -> CacheLoad:
        load = CacheLoad(FakeDoor(store), PACE, "run", asyncio.get_running_loop().time)
        await load.fill()
        await load.start(asyncio.get_running_loop().time())
        await asyncio.sleep(for_s)
        await load.stop()
        store.down = False
        await load.read_back()
        await load.close()
        return load

    return asyncio.run(play())


def test_keys_are_fresh_expire_and_are_read_back() -> None:
    store = Store(keys={"holdfast_drill:earlier:a.1:1": 1, "cart:7": 1})
    load = load_on(store)
    history = load.history(bound_s=1.0, failures_s=((2.0, 3.0),))
    assert len(history.writes) >= 5
    assert {each.outcome for each in history.writes} == {Outcome.OK}
    assert len({each.key for each in history.writes}) == len(history.writes)
    assert history.final == frozenset(each.key for each in history.writes)
    assert all(store.keys[each.key] >= 600 for each in history.writes)
    assert (history.bound_s, history.failures_s) == (1.0, ((2.0, 3.0),))
    assert {each.session[0] for each in history.writes} == {"a", "b"}


def test_what_loads_have_left_is_removed_and_nothing_else() -> None:
    store = Store(keys={"holdfast_drill:earlier:a.1:1": 1, "cart:7": 1})
    asyncio.run(CacheLoad(FakeDoor(store), PACE, "run").clear())
    assert set(store.keys) == {"cart:7"}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RefusedError("READONLY", "a replica"), Outcome.FAIL),
        (RefusedError("NOREPLICAS", "too few"), Outcome.FAIL),
        (UnansweredError("reset by peer"), Outcome.INDETERMINATE),
        (RefusedError("ERR", "something"), Outcome.INDETERMINATE),
    ],
)
def test_errors_are_judged_by_what_they_say_about_the_effect(error: Exception, outcome: Outcome) -> None:
    def refuse(_key: str) -> None:
        raise error

    load = load_on(Store(rule=refuse))
    assert {each.outcome for each in load.operations[WRITE]} == {outcome}


def test_without_a_connection_nothing_was_set() -> None:
    load = load_on(Store(down=True))
    assert {each.outcome for each in load.operations[WRITE]} == {Outcome.FAIL}
    assert load.present == {WRITE: frozenset()}


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (exceptions.ReadOnlyError("You can't write", status_code="READONLY"), "READONLY"),
        (exceptions.BusyLoadingError("loading", status_code="LOADING"), "LOADING"),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), "NOREPLICAS"),
        (exceptions.ResponseError("MASTERDOWN Link with MASTER is down"), "MASTERDOWN"),
    ],
)
def test_an_answer_keeps_its_first_word(error: Exception, state: str) -> None:
    found = translated(error)
    assert isinstance(found, RefusedError)
    assert found.state == state


def test_a_lost_connection_is_no_answer_and_a_mistake_of_ours_stays_one() -> None:
    assert isinstance(translated(exceptions.ConnectionError("reset by peer")), UnansweredError)
    assert isinstance(translated(ConnectionResetError("reset")), UnansweredError)
    assert translated(TypeError("a mistake")) is None
