"""The law of the weights, alone and in closed loop with servers that slow down as they fill up."""

import math
import random
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.components.nginx.service import law
from holdfast.components.nginx.service.law import FLOOR, Load, Weight, ramp, steer, strains

figures = st.none() | st.floats(0, 1e6)
loads = st.builds(Load, figures, figures, figures, st.integers(0, 1000))
shares = st.builds(Weight, st.floats(math.log(FLOOR), 0), figures, st.floats(0, 1e4))
names = st.sampled_from("abcdef")


@given(st.dictionaries(names, shares, min_size=1), st.dictionaries(names, loads), st.integers(1, 30))
def test_weights_stay_bounded_whatever_is_measured(
    before: dict[str, Weight], seen: dict[str, Load], steps: int
) -> None:
    now = before
    for _ in range(steps):
        now = steer(now, seen)
    assert now.keys() == before.keys()
    assert all(FLOOR * law.RAMP_FROM <= each.share <= 1 for each in now.values())
    assert max(each.lean for each in now.values()) == 0, "the freest server always has its whole weight"


@given(st.dictionaries(names, loads, min_size=1))
def test_a_step_moves_no_weight_by_more_than_a_tenth(seen: dict[str, Load]) -> None:
    before = {name: Weight(-0.5) for name in seen} | {"z": Weight()}
    after = steer(before, seen)
    assert all(abs(after[name].lean - before[name].lean) < 0.14 for name in before)


@given(st.sets(names, min_size=1), loads)
def test_what_all_have_in_common_moves_nothing(hosts: set[str], same: Load) -> None:
    now = {name: Weight() for name in hosts}
    for _ in range(20):
        now = steer(now, dict.fromkeys(hosts, same))
    assert all(each.lean == pytest.approx(0, abs=1e-9) for each in now.values())


Change = Callable[[int], Mapping[str, float]]


def closed_loop(
    demand: float, capacity: Change, steps: int, noise: float = 0.0, seed: int = 0
) -> list[dict[str, float]]:
    """Servers that slow down as they fill up (M/M/1), weighed by the law, which sees them a second late."""
    dice = random.Random(seed)
    now = {name: Weight() for name in capacity(0)}
    seen: list[dict[str, Load]] = [{}]
    history = []
    for step in range(steps):
        found, sum_of_shares = capacity(step), sum(each.share for each in now.values())
        busy = {name: min(0.97, demand * now[name].share / sum_of_shares / found[name]) for name in now}
        seen.append({name: _load(busy[name], found[name], lambda: 1 + noise * dice.uniform(-1, 1)) for name in now})
        now = steer(now, seen[-2])
        history.append({name: each.share for name, each in now.items()})
    return history


def _load(busy: float, capacity: float, noise: Callable[[], float]) -> Load:
    return Load(busy**2 * noise(), busy / (1 - busy) * noise(), 0.01 / capacity / (1 - busy) * noise(), 50)


def turns(values: list[float], least: float) -> int:
    """Count how often values turn round after they had moved by at least so much."""
    found, direction, extreme = 0, 0, values[0]
    for value in values:
        if (direction >= 0 and value <= extreme - least) or (direction <= 0 and value >= extreme + least):
            now = 1 if value > extreme else -1
            found += direction != 0 and now != direction
            direction, extreme = now, value
        elif direction * (value - extreme) > 0 or direction == 0:
            extreme = value if direction else extreme
    return found


def test_turns_are_counted() -> None:
    assert turns([0, 1, 2, 3], 0.5) == 0
    assert turns([0, 1, 0, 1, 0], 0.5) == 3
    assert turns([0, 0.1, 0, 0.1], 0.5) == 0


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(names, st.floats(0.5, 2.0), min_size=2, max_size=6),
    st.floats(0.1, 0.85),
    st.floats(0.3, 1.0),
    st.integers(0, 1000),
)
def test_a_step_of_load_is_answered_without_oscillation(
    capacities: dict[str, float], used: float, left: float, seed: int
) -> None:
    victim = sorted(capacities)[0]
    after = capacities | {victim: capacities[victim] * left}
    demand = used * sum(after.values())
    seen = closed_loop(demand, lambda step: after if step >= 120 else capacities, 360, noise=0.1, seed=seed)
    for name in capacities:
        settled = [each[name] for each in seen[-60:]]
        assert max(settled) - min(settled) < 0.15, "after four minutes it stands still"
        assert turns([each[name] for each in seen[120:]], 0.15) <= 2, "it may overshoot once, and no more"


def test_half_a_processor_gets_half_of_the_requests_and_all_of_them_again_later() -> None:
    whole, half = {"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 1.0, "b": 0.5, "c": 1.0}
    seen = closed_loop(1.8, lambda step: half if 20 <= step < 140 else whole, 400)
    assert seen[19]["b"] == 1
    assert min(each["b"] for each in seen[20:40]) < 0.55, "within 20 s"
    assert 0.4 < seen[139]["b"] < 0.6
    assert seen[-1]["b"] > 0.9


def test_a_returned_server_starts_slowly_and_does_not_shift_the_others() -> None:
    now = {"a": Weight(), "b": Weight(), "c": Weight(since_s=0.0)}
    assert now["c"].share == pytest.approx(law.RAMP_FROM)
    rising = []
    for _ in range(9):
        now = steer(now, {"a": Load(0.4), "b": Load(0.4), "c": Load(0.0)})
        rising.append(now["c"].share)
    assert rising == sorted(rising)
    assert rising[4] == pytest.approx(0.55)
    assert now["a"].share == now["b"].share == 1, "with few requests it only looks free"
    assert ramp(law.RAMP_S) == ramp(math.inf) == 1


def test_an_unknown_load_is_an_ordinary_one() -> None:
    assert strains({"a": Load(), "b": Load(0.5)}) == {"b": 0.5}
    assert strains({"a": Load(0.5, 2.0), "b": Load(queue=2.0), "c": Load(0.7)})["b"] == pytest.approx(0.6 + 0.5)
    assert strains({"a": Load(latency_s=1.0, answers=law.ANSWERS_MIN - 1)}) == {}
    now = {"a": Weight(), "b": Weight()}
    for _ in range(30):
        now = steer(now, {"b": Load(1.0)})
    assert now["a"].share == now["b"].share == 1, "one known load is no difference"


def test_latency_counts_relative_to_the_others() -> None:
    found = strains({name: Load(latency_s=at, answers=9) for name, at in {"a": 0.01, "b": 0.01, "c": 0.02}.items()})
    assert found == {"a": 0, "b": 0, "c": pytest.approx(0.5 * math.log(2))}
