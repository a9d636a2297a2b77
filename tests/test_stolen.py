"""What counts as processors taken away, and how long tests wait for them."""

import time
from itertools import accumulate
from types import SimpleNamespace
from typing import cast

import pytest

from holdfast.lab.stolen import TOLERATED, WINDOW_S, Lookout, Ticks, share, ticks_of, worst
from lab.figures import FIGURES, Measured
from patience import PATIENCE, LateError, LossError, Patience

# The first line of a real one (user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice).
STAT = "cpu  1161932 1873 455016 1227786 9124 0 31042 630677 0 0\n"
CALM, ROBBED = Ticks(150, 10), Ticks(60, 140)


def readings(*seconds: Ticks) -> list[Ticks]:
    return list(accumulate(seconds, lambda a, b: Ticks(a.used + b.used, a.stolen + b.stolen), initial=Ticks(0, 0)))


def test_waiting_and_idling_are_neither_used_nor_stolen() -> None:
    assert ticks_of(STAT) == Ticks(1161932 + 1873 + 455016 + 31042, 630677)


def test_the_share_is_of_the_wanted_time_only() -> None:
    assert share(Ticks(100, 50), Ticks(160, 90)) == pytest.approx(0.4)
    assert share(Ticks(100, 50), Ticks(100, 50)) == 0.0, "nobody wanted any"


def test_a_thief_of_a_second_is_none_but_one_of_a_window_is() -> None:
    assert worst(readings(*[CALM] * 4, ROBBED, *[CALM] * 4)) < 0.5
    assert worst(readings(*[CALM] * 4, *[ROBBED] * WINDOW_S, *[CALM] * 40)) == pytest.approx(0.7)
    assert worst(readings(CALM)) == 0.0, "too few to tell"


def test_what_was_before_a_rest_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Lookout(60.0, readings=readings(*[ROBBED] * WINDOW_S))
    monkeypatch.setattr(
        "holdfast.lab.stolen.time.sleep", lambda _: look.readings.extend(readings(*[CALM] * WINDOW_S)[1:])
    )
    assert look.robbed() > 0.5
    look.rest()
    assert look.robbed() < TOLERATED


def test_one_who_looks_shorter_than_a_window_is_told_of_the_window_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Lookout(60.0, readings=readings(*[CALM] * 30, *[ROBBED] * WINDOW_S))
    monkeypatch.setattr("holdfast.lab.stolen.time.sleep", pytest.fail)
    look.begin()
    assert look.robbed() == pytest.approx(0.7)
    look.readings = readings(*[ROBBED] * 30, *[CALM] * WINDOW_S)
    look.begin()
    assert look.robbed() < TOLERATED


def test_no_test_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Lookout(0.05, readings=readings(*[ROBBED] * WINDOW_S))
    slept: list[float] = []
    monkeypatch.setattr("holdfast.lab.stolen.LOOK_S", 0.01)
    look.rest()
    assert look.patience_s <= 0
    monkeypatch.setattr("holdfast.lab.stolen.time.sleep", slept.append)
    look.rest()
    assert slept == [], "the patience is that of all tests together"


@pytest.mark.parametrize(
    ("second", "error", "attempt", "left_s", "excused"),
    [
        pytest.param(ROBBED, LateError("late"), 1, 300.0, False, id="it runs once more first"),
        pytest.param(ROBBED, LateError("late"), 1, 60.0, True, id="but not a long one that would end too late"),
        pytest.param(ROBBED, LateError("late"), 2, 300.0, True, id="the second time nothing can be judged"),
        pytest.param(ROBBED, LateError("late"), 1, -1.0, True, id="nor when it is too late for a second time"),
        pytest.param(ROBBED, LossError("lost"), 2, 300.0, False, id="a loss is never excused"),
        pytest.param(CALM, LateError("late"), 2, -1.0, False, id="nor is anything with the processors there"),
    ],
)
def test_who_is_late_is_excused_only_without_processors_and_at_last(
    second: Ticks, error: AssertionError, attempt: int, left_s: float, *, excused: bool
) -> None:
    config = SimpleNamespace(stash=pytest.Stash())
    item = cast("pytest.Item", SimpleNamespace(name="it", execution_count=attempt, config=config))
    look = Lookout(0.0, readings=readings(*[second] * WINDOW_S))
    item.config.stash[PATIENCE] = Patience(look, time.monotonic() + left_s)
    assert Measured(item).excuses(error) is excused
    noted = [what for _, what, _ in item.config.stash.get(FIGURES, [])]
    assert [each.startswith("NOT JUDGED") for each in noted] == [True] * excused
