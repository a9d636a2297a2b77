"""What all loads share: operations begin on time whatever became of the earlier ones, and doubt is never success."""

import asyncio
import time

import pytest

from holdfast.drills.history import Outcome
from holdfast.drills.load.base import DoubtError, Issuer, UndoneError, outcome_of
from holdfast.wire.base import NotSentError, RefusedError, UnansweredError


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotSentError("connection refused"), Outcome.FAIL),
        (UndoneError("no COMMIT was sent"), Outcome.FAIL),
        (RefusedError("25006", "cannot execute INSERT in a read-only transaction"), Outcome.FAIL),
        (RefusedError("57P03", "the database system is starting up"), Outcome.FAIL),
        (RefusedError("53300", "too many clients"), Outcome.FAIL),
        (RefusedError("READONLY", "You can't write against a read only replica."), Outcome.FAIL),
        (RefusedError("NOREPLICAS", "Not enough good replicas to write."), Outcome.FAIL),
        (RefusedError("57P01", "terminating connection due to administrator command"), Outcome.INDETERMINATE),
        (RefusedError("57P02", "terminating connection because of crash"), Outcome.INDETERMINATE),
        (RefusedError("40003", "statement completion unknown"), Outcome.INDETERMINATE),
        (RefusedError("XX000", "something"), Outcome.INDETERMINATE),
        (UnansweredError("reset by peer"), Outcome.INDETERMINATE),
        (DoubtError("canceling wait for synchronous replication"), Outcome.INDETERMINATE),
    ],
)
def test_only_what_certainly_had_no_effect_has_failed(error: Exception, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome


def test_operations_begin_on_time_though_earlier_ones_hang() -> None:
    begun: list[float] = []

    async def hang(_number: int, intended_s: float) -> None:
        begun.append(time.monotonic() - intended_s)
        await asyncio.sleep(60)

    async def play() -> None:
        issuer = Issuer()
        issuer.begin(100, hang, time.monotonic())
        await asyncio.sleep(0.3)
        await issuer.close()

    asyncio.run(play())
    assert len(begun) >= 5
    assert min(begun) >= 0.0


def test_nothing_begins_at_a_pace_of_zero() -> None:
    async def never(_number: int, _intended_s: float) -> None:
        raise AssertionError("begun")

    async def play() -> None:
        issuer = Issuer()
        issuer.begin(0, never, time.monotonic())
        await asyncio.sleep(0.05)
        await issuer.stop(0.1, lambda: None)

    asyncio.run(play())


def test_a_stop_waits_a_while_and_then_breaks_the_lines() -> None:
    async def play() -> tuple[list[str], float]:
        broken, ended = asyncio.Event(), []

        async def hang(_number: int, _intended_s: float) -> None:
            await broken.wait()
            ended.append("ended by itself")

        issuer = Issuer()
        issuer.begin(1, hang, time.monotonic())
        await asyncio.sleep(0.05)
        begun_s = time.monotonic()
        await issuer.stop(0.2, broken.set)
        return ended, time.monotonic() - begun_s

    ended, took_s = asyncio.run(play())
    assert ended == ["ended by itself"]
    assert 0.2 <= took_s < 2.0


def test_a_fault_of_the_client_is_no_silence_of_the_service() -> None:
    async def wrong(_number: int, _intended_s: float) -> None:
        raise ZeroDivisionError

    async def play() -> None:
        issuer = Issuer()
        issuer.begin(100, wrong, time.monotonic())
        await asyncio.sleep(0.05)
        await issuer.stop(1.0, lambda: None)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(play())
