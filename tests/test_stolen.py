"""What counts as processors taken away, and how long tests wait for them."""

from itertools import accumulate

import pytest

from holdfast.lab.stolen import WINDOW_S, Lookout, Ticks, share, ticks_of, worst

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
    assert look.robbed() == 0.0


def test_no_test_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Lookout(0.05, readings=readings(*[ROBBED] * WINDOW_S))
    slept: list[float] = []
    monkeypatch.setattr("holdfast.lab.stolen.LOOK_S", 0.01)
    look.rest()
    assert look.patience_s <= 0
    monkeypatch.setattr("holdfast.lab.stolen.time.sleep", slept.append)
    look.rest()
    assert slept == [], "the patience is that of all tests together"
