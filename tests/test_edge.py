"""edge-watch: who is in use and why, echoes, what is read and written."""

import math
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.components.app.service.load import Looks, waited_us
from holdfast.components.nginx.service import echoes, standing
from holdfast.components.nginx.service.asking import parsed
from holdfast.components.nginx.service.law import Weight
from holdfast.components.nginx.service.server import Server, pressure, queue
from holdfast.components.nginx.service.standing import (
    BEAT_S,
    CHECK_S,
    DOUBT_BEAT_S,
    DOUBT_CHECK_S,
    Health,
    Pulse,
    patience,
)
from holdfast.components.nginx.service.views import metrics, weights

# Who is in use


@given(st.floats(0, 1))
def test_patience_makes_a_false_alarm_rare(loss: float) -> None:
    enough = patience(loss)
    assert standing.PATIENCE_MIN <= enough <= standing.PATIENCE_MAX
    assert enough == standing.PATIENCE_MAX or loss**enough <= standing.CHANCE * 1.001


def beats(pulse: Pulse, answered: Iterator[bool], start: float = 0.0) -> tuple[float, bool]:
    """Beat until the host counts as gone or nothing is left; return the time and whether it is gone.

    What is answered is heard at the next beat.
    """
    now = start
    for yes in answered:
        if pulse.gone(now):
            return now, True
        pause_s = DOUBT_BEAT_S if pulse.missed(now) else BEAT_S
        pulse.sent += 1
        now += pause_s
        if yes:
            pulse.heard(pulse.sent, now)
    return now, pulse.gone(now)


def test_a_dead_host_is_noticed_in_a_third_of_a_second() -> None:
    pulse = Pulse()
    now, gone = beats(pulse, iter([True] * 100 + [False] * 40))
    assert gone
    assert pulse.heard_at is not None
    # It may have died a beat before its last answer was heard.
    assert 0.22 < now - pulse.heard_at < 0.23
    assert now - pulse.heard_at + BEAT_S < 0.33


def test_one_lost_echo_makes_the_next_ones_come_faster() -> None:
    pulse = Pulse()
    assert not pulse.missed(0.0), "nothing was ever heard"
    beats(pulse, iter([True] * 10))
    assert not pulse.missed(1.0)
    pulse.sent += 1
    assert pulse.missed(1.1)
    pulse.heard(pulse.sent, 1.13)
    assert not pulse.missed(1.13)
    now, gone = beats(pulse, iter([False] * 40), 1.13)
    assert gone
    assert not pulse.missed(now), "whoever is dead is asked at the old pace"


def test_a_host_that_never_answered_an_echo_is_not_called_dead() -> None:
    assert not beats(Pulse(), iter([False] * 1000))[1]


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5])
def test_loss_alone_kills_nobody(loss: float) -> None:
    dice = random.Random(7)
    pulse = Pulse(loss=loss)
    assert not beats(pulse, (dice.random() >= loss for _ in range(72_000)))[1], "an hour at least"


def test_a_death_is_no_loss() -> None:
    pulse = Pulse()
    now, _ = beats(pulse, iter([True] * 100 + [False] * 40))
    pulse.sent += 600
    pulse.heard(pulse.sent, now + 30)
    assert pulse.loss < 0.001
    assert not pulse.gone(now + 30)


def test_a_late_loop_accuses_nobody() -> None:
    pulse = Pulse(sent=50, answered=40, heard_at=0.0)
    assert pulse.gone(0.5)
    pulse.forgive(0.45)
    assert not pulse.gone(0.5)


@pytest.mark.parametrize("number", [3, 9])
def test_old_and_strange_answers_are_no_sign_of_life(number: int) -> None:
    pulse = Pulse(sent=8, answered=5, heard_at=1.0)
    pulse.heard(number, 2.0)
    assert pulse.heard_at == 1.0


def test_one_refusal_is_enough_and_two_good_answers_bring_it_back() -> None:
    health = Health(0.0)
    health.answered("nothing listens", 1.0, refused=True)
    assert health.why == "nothing listens"
    health.answered("", 1.25)
    assert health.why
    health.answered("", 1.5)
    assert not health.why


def test_one_bad_answer_is_none_and_two_are() -> None:
    health = Health(0.0)
    for wrong, out in (("its health path answers 503", False), ("", False), ("x", False), ("y", True)):
        health.answered(wrong, 1.0)
        assert bool(health.why) == out


def test_silence_puts_a_server_out_within_a_second_but_slowness_does_not() -> None:
    health = Health(10.0)
    said = []
    for now in (10.85, 10.91):
        health.looked(now)
        said.append(health.why)
    assert said == ["", "no good answer for 0.9 s"]
    slow = Health(0.0)
    for n in range(40):
        slow.answered("", n * CHECK_S)
        slow.looked(n * CHECK_S + CHECK_S - 0.01)
        assert not slow.why, "each answer may take long, as long as they keep coming"


def test_a_server_is_in_doubt_while_an_answer_is_overdue_or_bad_and_it_is_in_use() -> None:
    server = Server("a", "10.0.0.1", 80, "/", 81, health=Health(10.0))
    assert not server.in_doubt(10.0 + CHECK_S)
    assert server.in_doubt(10.0 + CHECK_S + 0.1)
    server.health.answered("", 10.6)
    assert not server.in_doubt(10.6)
    server.health.answered("its health path answers 503", 10.7)
    assert server.in_doubt(10.7)
    server.out = "drained"
    assert not server.in_doubt(10.7)


def test_an_answer_that_stays_out_is_asked_for_three_times_before_it_is_a_hang() -> None:
    assert asked_at(0.0, 0.005) == pytest.approx([CHECK_S, CHECK_S + DOUBT_CHECK_S, CHECK_S + 2 * DOUBT_CHECK_S])


@given(st.floats(0, 0.85))
def test_a_slow_and_steady_application_is_not_asked_more_often(latency_s: float) -> None:
    health = Health(0.0)
    for number in range(1, 20):
        # It was asked now; the answers to this and earlier questions come when they come.
        now = number * CHECK_S
        come = max(0, math.floor((now + DOUBT_CHECK_S - latency_s) / CHECK_S))
        health.answered("", max(health.good_at, min(come, number) * CHECK_S + latency_s if come else 0.0))
        assert number < 3 or not health.doubtful(now + DOUBT_CHECK_S)


def asked_at(good_at: float, step_s: float) -> list[float]:
    """Return when the loop asks after a last good answer at this time, until it is called a hang."""
    health, next_s, found = Health(good_at), good_at + CHECK_S, list[float]()
    now = good_at
    while not health.why:
        if now >= next_s:
            found.append(next_s)
            calm = not health.doubtful(now + DOUBT_CHECK_S)
            next_s += CHECK_S if calm else DOUBT_CHECK_S
        now += step_s
        health.looked(now)
    return found


# Echoes


def ip(payload: bytes) -> bytes:
    return bytes([0x45]) + bytes(19) + payload


def test_an_echo_is_as_the_protocol_wants_it() -> None:
    packet = echoes.packet(0x1234, 0x20005)
    assert packet[:2] == b"\x08\x00"
    assert echoes.checksum(packet) == 0, "with its checksum in it the sum is nothing"
    answer = ip(b"\x00\x00" + packet[2:])
    assert echoes.read(answer, 0x1234) == 5
    assert echoes.read(answer, 0x4321) is None, "somebody else's"
    assert echoes.read(ip(packet), 0x1234) is None, "a question"
    assert echoes.read(b"", 0x1234) is None
    assert echoes.read(ip(b"\x00"), 0x1234) is None


@given(st.integers(1, 10**7), st.integers(0, 60_000))
def test_sixteen_bits_are_enough_to_know_which_echo_was_answered(sent: int, ago: int) -> None:
    number = max(0, sent - ago)
    assert echoes.whole(number & 0xFFFF, sent) == number


# What is read and written


def test_two_looks_make_a_load() -> None:
    first = {"waited_at_us": 1_000_000, "waited_us": 500, "queue_sum": 10, "queue_looks": 5, "processors": 4}
    second = first | {"waited_at_us": 2_000_000, "waited_us": 250_500, "queue_sum": 70, "queue_looks": 15}
    assert (pressure(first, second), queue(first, second)) == (0.25, 1.5)
    for before, now in ((second, second), ({}, second), (first, {}), (second, first)):
        assert (pressure(before, now), queue(before, now)) == (None, None)
    assert pressure(second, second, 0.25) == 0.25, "the kernel has not counted anew"


def test_a_missed_question_is_no_news_and_five_are() -> None:
    server = Server("a", "10.0.0.1", 80, "/", 81)
    told = {"waited_at_us": 0, "waited_us": 0, "queue_sum": 0, "queue_looks": 0, "processors": 2}
    server.note_load(told)
    server.note_load(told | {"waited_at_us": 1000, "waited_us": 300, "queue_sum": 4, "queue_looks": 1})
    for missed in range(1, 6):
        assert (server.load.pressure, server.load.queue) == (0.3, 2.0), missed
        server.note_load({})
    assert (server.load.pressure, server.load.queue) == (None, None)


@pytest.mark.parametrize("strange", [math.nan, math.inf, "many", None, [1]])
def test_a_strange_load_is_no_load(strange: Any) -> None:
    first = {"waited_at_us": 1, "waited_us": 0, "queue_sum": 0, "queue_looks": 0, "processors": 4}
    second = {"waited_at_us": 2, "waited_us": strange, "queue_sum": strange, "queue_looks": 1, "processors": 4}
    assert (pressure(first, second), queue(first, second)) == (None, None)


def test_answers_make_a_latency_until_the_front_door_starts_anew() -> None:
    server = Server("a", "10.0.0.1", 80, "/", 81)
    for count, seconds in ((100, 1.0), (150, 2.0)):
        server.note_answers(count, seconds)
    assert server.load.answers == 50
    assert server.load.latency_s == pytest.approx(0.02)
    server.note_answers(3, 0.1)
    assert (server.load.answers, server.load.latency_s) == (0, None)


def test_weights_are_lines_with_their_time() -> None:
    server = Server("a", "10.0.0.1", 80, "/", 81, weight=Weight(math.log(0.5)))
    sick = left_out(Server("b", "10.0.0.2", 80, "/", 81), "its host is silent")
    view = {"a": server.view(), "b": sick.view()}
    assert weights(view, 1763712000.7) == "at 1763712001\na 0.5\nb 0\n"
    assert 'holdfast_edge_weight{server="b"} 0.0\n' in metrics(view)
    assert "None" not in metrics(view)


def left_out(server: Server, out: str) -> Server:
    server.out = out
    return server


@pytest.mark.parametrize("answer", [b"", b"\0\1", b"SSH-2.0-x\r\n", b"HTTP/1.1", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"no HTTP|invalid literal"):
        parsed(answer)
    assert parsed(b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\nbody") == (204, b"body")


def total(us: int) -> str:
    return f"some avg10=0.00 avg60=0.00 avg300=0.00 total={us}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def test_a_host_tells_its_load(tmp_path: Path) -> None:
    kernel, group, average = tmp_path / "kernel", tmp_path / "group", tmp_path / "loadavg"
    found = Looks((group, kernel), average)
    for running in (4, 1, 7):
        average.write_text(f"0.10 0.20 0.30 {running}/300 1234\n")
        found.look(1)
    told = found.told()
    assert (told["queue_sum"], told["queue_looks"]) == (9, 3)
    assert "waited_us" not in told, "a kernel without pressures"
    kernel.write_text(total(77))
    found.look(2)
    assert found.told()["waited_us"] == 77
    group.write_text(total(5))
    found.look(3)
    assert found.told()["waited_us"] == 5, "a control group that is the machine comes first"


def test_a_pressure_has_the_time_at_which_the_kernel_counted(tmp_path: Path) -> None:
    kernel, average = tmp_path / "kernel", tmp_path / "loadavg"
    average.write_text("0.10 0.20 0.30 1/300 1234\n")
    found = Looks((kernel,), average)
    times = []
    for at_s, us in ((1.0, 10), (1.1, 10), (2.0, 20), (3.0, 20), (4.4, 20), (4.6, 20)):
        kernel.write_text(total(us))
        found.look(int(at_s * 1_000_000))
        times.append(found.told()["waited_at_us"] / 1_000_000)
    assert times == [1, 1, 2, 2, 2, 4.6]
    with pytest.raises(ValueError, match="no pressure"):
        waited_us("full avg10=0.00 total=0\n")


def test_the_internet_checksum_of_known_bytes() -> None:
    # The example of RFC 1071, section 3.
    assert echoes.checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF
    assert struct.calcsize("!BBHHH") == 8
