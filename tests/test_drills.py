"""The demo's customers, their numbers and their story, without a cluster."""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from holdfast.design.judge import DEGRADED, HEALTHY, Status
from holdfast.drills.demo import DemoError, DemoStage, Timing, progress, run_demo
from holdfast.drills.history import Kind, Operation, Outcome
from holdfast.drills.result import story, verdict
from holdfast.drills.workload import (
    REPEATS_AT_ONCE,
    Pace,
    ReadBackError,
    Workload,
    all_orders,
    judge_order,
    judge_read,
)
from holdfast.model.member import Member
from holdfast.model.watch import Reading, State
from holdfast.wire.base import NotSentError, UnansweredError
from holdfast.wire.http import Answer


def answer(status: int, data: Any, **headers: str) -> Answer:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Answer(status, headers, body)


def write(key: str, outcome: Outcome, order: int = 0, ended_s: float = 1.0, tries: int = 1) -> Operation:
    return Operation(Kind.WRITE, "/api/orders", 0.5, 0.6, ended_s, outcome, tries, key, order)


# Judging answers


@pytest.mark.parametrize(
    ("given_answer", "outcome"),
    [
        (answer(201, {"id": 7}), Outcome.OK),
        (answer(200, {"id": 7}), Outcome.OK),
        (answer(201, {}), Outcome.INDETERMINATE),
        (answer(201, b"<html>"), Outcome.INDETERMINATE),
        (answer(400, {"error": "no items"}), Outcome.FAIL),
        (answer(503, {"error": "later"}), Outcome.INDETERMINATE),
        (answer(502, b""), Outcome.INDETERMINATE),
        (answer(500, b"\xff"), Outcome.INDETERMINATE),
    ],
)
def test_only_a_number_is_an_acknowledgement_and_only_4xx_a_refusal(given_answer: Answer, outcome: Outcome) -> None:
    assert judge_order(given_answer).outcome is outcome


def test_a_read_must_show_goods() -> None:
    assert judge_read("/api/products", answer(200, {"products": [1]})).outcome is Outcome.OK
    assert judge_read("/api/products", answer(200, {"products": []})).outcome is Outcome.FAIL
    assert judge_read("/", answer(200, b"<html>")).outcome is Outcome.OK
    assert judge_read("/", answer(503, b"<html>")).outcome is Outcome.FAIL


# Customers


@dataclass
class FakeShop:
    """A shop in memory. ``trouble`` may raise, or answer in the shop's place, before or after an order is placed."""

    before: Callable[[str, str], Answer | None] = lambda _method, _key: None
    after: Callable[[str, str], Answer | None] = lambda _method, _key: None
    orders: dict[str, int] = field(default_factory=dict)
    delay_s: float = 0.0

    async def ask(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        await asyncio.sleep(self.delay_s)
        key = (headers or {}).get("Idempotency-Key", "")
        if early := self.before(method, key):
            return early
        return self._answer(method, path, key)

    def _answer(self, method: str, path: str, key: str) -> Answer:
        if method == "POST":
            number = self.orders.setdefault(key, len(self.orders) + 1)
            return self.after(method, key) or answer(201, {"id": number}, **{"x-served-by": "b"})
        if path.startswith("/api/orders"):
            after = int(path.split("after=")[1].split("&")[0])
            later = sorted((number, key) for key, number in self.orders.items() if number > after)
            return answer(200, {"orders": [{"id": number, "idempotency_key": key} for number, key in later[:3]]})
        return answer(200, {"products": [1]} if path.startswith("/api") else b"<html>")


FAST = Pace(reads_per_s=100, writes_per_s=100, patience_s=0.3, pause_s=0.01)


async def shop_for(door: FakeShop, for_s: float, pace: Pace = FAST) -> tuple[Operation, ...]:
    async with Workload(door, pace) as workload:
        await asyncio.sleep(for_s)
        await workload.stop()
    return workload.history


def writes_of(history: tuple[Operation, ...]) -> list[Operation]:
    return [each for each in history if each.kind is Kind.WRITE]


def test_customers_write_down_what_they_were_told() -> None:
    shop = FakeShop()
    history = asyncio.run(shop_for(shop, 0.3))
    assert {each.key: each.order for each in writes_of(history)} == shop.orders
    assert {each.outcome for each in history} == {Outcome.OK}
    assert {each.path for each in history} == {"/api/products", "/", "/api/orders"}
    assert {each.host for each in writes_of(history)} == {"b"}
    assert all(each.intended_s <= each.started_s <= each.ended_s for each in history)


def test_a_slow_shop_does_not_slow_its_customers_down() -> None:
    begun = len(writes_of(asyncio.run(shop_for(FakeShop(delay_s=0.2), 0.4))))
    assert begun >= 25, "of 40 intended; one customer after the other would have made two"


def test_an_order_in_doubt_is_repeated_under_its_key_and_is_one_order() -> None:
    asked: dict[str, int] = {}

    def fail_twice(_method: str, key: str) -> Answer | None:
        asked[key] = asked.get(key, 0) + 1
        if asked[key] == 1:
            raise UnansweredError("reset")
        return answer(503, {"error": "later"}) if asked[key] == 2 else None

    shop = FakeShop(after=fail_twice)
    writes = writes_of(asyncio.run(shop_for(shop, 0.2)))
    assert {each.tries for each in writes} == {3}
    assert {each.outcome for each in writes} == {Outcome.OK}
    assert {each.key: each.order for each in writes} == shop.orders
    assert len(shop.orders) == len(writes)


def test_patience_ends_and_doubt_stays_doubt() -> None:
    def silent_then_refused(method: str, key: str) -> Answer | None:
        if method == "POST" and key not in seen:
            seen.add(key)
            raise UnansweredError("timeout")
        return answer(409, {}) if method == "POST" else None

    seen: set[str] = set()
    writes = writes_of(asyncio.run(shop_for(FakeShop(before=silent_then_refused), 0.1)))
    assert {(each.outcome, each.tries) for each in writes} == {(Outcome.INDETERMINATE, 2)}


def test_repeats_take_turns_and_first_requests_do_not_wait_for_them() -> None:
    class Silent:
        first = repeats = most = 0

        def __init__(self) -> None:
            self.seen: set[str] = set()

        async def ask(self, method: str, _path: str, **more: Any) -> Answer:
            key = more["headers"]["Idempotency-Key"]
            again = key in self.seen
            self.seen.add(key)
            self.first += method == "POST" and not again
            self.repeats += again
            self.most = max(self.most, self.repeats)
            await asyncio.sleep(0.1)
            self.repeats -= again
            raise UnansweredError("silence")

    shop = Silent()
    writes = writes_of(asyncio.run(shop_for(cast("Any", shop), 0.5, replace(FAST, reads_per_s=0.0, patience_s=1.0))))
    assert shop.most == REPEATS_AT_ONCE
    assert shop.first == len(writes) >= 35, "of 50 intended"
    assert {each.outcome for each in writes} == {Outcome.INDETERMINATE}


def test_what_was_never_sent_certainly_failed() -> None:
    def closed(_method: str, _key: str) -> Answer | None:
        raise NotSentError("connection refused")

    history = asyncio.run(shop_for(FakeShop(before=closed), 0.1))
    assert {each.outcome for each in history} == {Outcome.FAIL}
    assert min(each.tries for each in writes_of(history)) > 1, "customers try again as long as they have patience"


def test_a_fault_of_the_client_is_not_taken_for_silence() -> None:
    def broken(_method: str, _key: str) -> Answer | None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(shop_for(FakeShop(before=broken), 0.05))


def test_all_orders_are_read_back_page_by_page_and_failures_are_repeated() -> None:
    failures = iter([UnansweredError("reset"), NotSentError("refused")])

    def fail_at_first(_method: str, _key: str) -> Answer | None:
        if (error := next(failures, None)) is not None:
            raise error
        return None

    shop = FakeShop(before=fail_at_first, orders={f"k{number}": number for number in range(1, 11)})
    assert dict(asyncio.run(all_orders(shop, pause_s=0.001))) == shop.orders


def test_a_list_that_cannot_be_read_is_no_empty_list() -> None:
    broken = FakeShop(before=lambda _method, _key: answer(500, b""))
    with pytest.raises(ReadBackError, match="HTTP 500"):
        asyncio.run(all_orders(broken, patience_s=0.05, pause_s=0.01))
    unsorted = FakeShop(before=lambda _m, _k: answer(200, {"orders": [{"id": 2, "idempotency_key": "a"}] * 2}))
    with pytest.raises(ReadBackError, match="order of their numbers"):
        asyncio.run(all_orders(unsorted))


# The story


@dataclass
class FakeCluster:
    """A shop whose leader can lose its power: no order for ``outage_s`` then, no read for a tenth of that."""

    outage_s: float = 0.3
    heals: bool = True
    loses: bool = False
    shop: FakeShop = field(default_factory=FakeShop)
    powered: bool = True
    power: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dark = threading.Event()
        self.shop.before = self.trouble

    def trouble(self, method: str, _key: str) -> Answer | None:
        if self._dark.is_set() and method == "POST":
            return answer(503, {"error": "no leader"})
        return None

    def off(self, host: str) -> None:
        self.power.append(f"off {host}")
        self.powered = False
        self._dark.set()
        if self.loses:
            self.shop.orders.popitem()
        if self.outage_s:
            threading.Timer(self.outage_s, self._dark.clear).start()

    def on(self, host: str) -> None:
        self.power.append(f"on {host}")
        self.powered = True

    async def status(self) -> Status:
        well = self.powered and (self.heals or not self.power)
        reading = Reading(State.OK) if well else Reading(State.DOWN, reason="host unreachable")
        health = HEALTHY if well else DEGRADED
        return Status("shop", "0" * 64, health, "", "", ((Member("store", "a"), reading),), ())

    def stage(self) -> DemoStage:
        return DemoStage(
            door=self.shop,
            status=self.status,
            leader=lambda _status: "b" if self.power else "a",
            power_off=self.off,
            power_on=self.on,
            say=self.said.append,
            live=self.said.append,
            promised_rto_s=2.0,
            pace=FAST,
            timing=Timing(0.2, 0.2, 2.0, 0.3, 0.02, 0.1),
        )


def test_the_story_of_a_good_failover() -> None:
    cluster = FakeCluster()
    result = asyncio.run(run_demo(cluster.stage()))
    assert cluster.power == ["off a", "on a"]
    assert 0.28 <= result.gap_s(Kind.WRITE) <= 1.0
    assert result.gap_s(Kind.READ) < 0.28
    assert result.account.clean
    assert result.account.read_back == len(cluster.shop.orders) == result.account.acknowledged
    assert result.kept is True
    assert result.as_json()["writes"]["failed_requests"] > 0
    assert json.loads(json.dumps(result.as_json()))["schema_version"] == 1
    text = "\n".join(story(result))
    assert f"0 of {result.account.acknowledged} acknowledged orders lost" in text
    assert "kept (1 power cut" in text
    assert any("no order for" in line or "0 orders" in line for line in cluster.said)


def test_a_lost_order_breaks_the_promise_and_is_named() -> None:
    result = asyncio.run(run_demo(FakeCluster(loses=True).stage()))
    assert len(result.account.lost) == 1
    assert result.kept is False
    assert result.account.lost[0] in "\n".join(story(result))
    assert "BROKEN" in verdict(result)


def test_a_machine_that_does_not_come_back_breaks_the_promise() -> None:
    result = asyncio.run(run_demo(FakeCluster(heals=False).stage()))
    assert result.healthy_after_s is None
    assert result.kept is False
    assert "did not become a healthy member" in "\n".join(story(result))


def test_orders_that_never_come_back_are_told_and_the_power_comes_back() -> None:
    cluster = FakeCluster(outage_s=0)
    stage = replace(cluster.stage(), timing=Timing(0.1, 0.1, 0.3, 0.2, 0.02, 0.1))
    result = asyncio.run(run_demo(stage))
    assert cluster.power == ["off a", "on a"]
    assert not result.writes_came_back
    assert result.kept is False


def test_no_machine_stays_dark_when_the_story_breaks_off() -> None:
    cluster = FakeCluster()

    def tired(_text: str) -> None:
        if not cluster.powered:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run_demo(replace(cluster.stage(), live=tired)))
    assert cluster.power == ["off a", "on a"]


def test_nothing_is_broken_that_is_broken_already() -> None:
    cluster = FakeCluster(powered=False)
    with pytest.raises(DemoError, match=r"degraded.*store@a: host unreachable"):
        asyncio.run(run_demo(cluster.stage()))
    with pytest.raises(DemoError, match="nobody leads"):
        asyncio.run(run_demo(replace(FakeCluster().stage(), leader=lambda _status: "")))
    assert cluster.power == []


def test_nothing_shown_is_unknown_not_kept() -> None:
    result = asyncio.run(run_demo(FakeCluster().stage()))
    empty = replace(result, history=())
    assert empty.kept is None
    assert "unknown" in verdict(empty)


def test_progress_says_what_is_missing() -> None:
    line = progress((write("a", Outcome.OK, 1, ended_s=3.0),), now_s=10.0, since_s=2.0, what="without it")
    assert line == "  8 s without it: 0 pages, 1 orders, 0 failed; no page for 8 s; no order for 7 s"
