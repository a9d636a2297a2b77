"""The story of ``make demo``: customers shop, the leader's machine loses its power, and everything is counted."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from holdfast.design.judge import HEALTHY, Status, what_is_wrong
from holdfast.drills.history import History, Kind
from holdfast.drills.numbers import account, steady, successes
from holdfast.drills.result import DemoResult, Phase
from holdfast.drills.workload import Pace, Workload, all_orders
from holdfast.wire.http import Door

# Writes are back when they come without a longer pause than this.
PAUSE_MAX_S = 1.0


class DemoError(Exception):
    """The demo cannot begin or go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the parts of the story take, and when waiting ends."""

    calm_s: float = 10.0
    steady_s: float = 5.0
    outage_limit_s: float = 90.0
    healthy_limit_s: float = 180.0
    poll_s: float = 1.0
    ready_limit_s: float = 60.0


@dataclass(frozen=True, slots=True)
class DemoStage:
    """What the story is played with; it knows neither labs nor engines.

    ``leader(status)``: the host whose member leads the database, "" for none. ``power_off`` and ``power_on`` block
    until it is done. ``say``: a sentence that stays; ``live``: a line that the next may replace.
    """

    door: Door
    status: Callable[[], Awaitable[Status]]
    leader: Callable[[Status], str]
    power_off: Callable[[str], None]
    power_on: Callable[[str], None]
    say: Callable[[str], None]
    live: Callable[[str], None]
    promised_rto_s: float
    pace: Pace = field(default_factory=Pace)
    timing: Timing = field(default_factory=Timing)
    clock: Callable[[], float] = time.monotonic


async def run_demo(stage: DemoStage) -> DemoResult:
    """Play the story and return what was measured. The power comes back whatever happens.

    Raises DemoError when the cluster is not fit for it, ReadBackError when the orders cannot be counted.
    """
    host = await _leading_host(stage)
    async with Workload(stage.door, stage.pace, stage.clock) as workload:
        stage.say(
            f"customers come in: {stage.pace.reads_per_s:g} look at goods and {stage.pace.writes_per_s:g} order "
            "every second, through the floating address"
        )
        await _watch(stage, workload, stage.timing.calm_s, "all is well")
        outage, came_back = await _outage(stage, workload, host)
        healthy_s = await _return(stage, workload, host)
        await _watch(stage, workload, stage.timing.steady_s, "after that")
        stage.say("the customers leave")
        shut_s = await workload.stop()
    stage.say("reading every order back")
    return DemoResult(
        host=host,
        leader=stage.leader(await stage.status()),
        promised_rto_s=stage.promised_rto_s,
        calm=Phase(workload.begun_s, outage.from_s),
        outage=outage,
        comeback=Phase(outage.to_s, shut_s),
        healthy_after_s=healthy_s,
        writes_came_back=came_back,
        history=workload.history,
        account=account(workload.history, await all_orders(stage.door)),
    )


async def _leading_host(stage: DemoStage) -> str:
    status = await _wait_healthy(stage, stage.timing.ready_limit_s, "waiting for a healthy cluster")
    if status.health != HEALTHY:
        raise DemoError(f"the cluster is {status.health}, so nothing could be shown: {what_is_wrong(status)}")
    if not (host := stage.leader(status)):
        raise DemoError("nobody leads the database, so there is no leader whose power could be cut")
    return host


async def _outage(stage: DemoStage, workload: Workload, host: str) -> tuple[Phase, bool]:
    """Cut the power; return how long it was until orders came without a pause again, and whether they did."""
    stage.say(f"cutting the power of {host}, which leads the database")
    # Before the cut, not after it: the outage must not seem shorter by the time that cutting takes.
    cut_s = stage.clock()
    try:
        await asyncio.to_thread(stage.power_off, host)
        came_back = await _wait_for_writes(stage, workload, cut_s)
    except BaseException:
        # Armed before anything else can go wrong: no machine stays dark because the story broke off.
        await asyncio.shield(asyncio.to_thread(stage.power_on, host))
        raise
    return Phase(cut_s, stage.clock()), came_back


async def _wait_for_writes(stage: DemoStage, workload: Workload, cut_s: float) -> bool:
    while not _back(stage, workload.history, stage.clock(), cut_s):
        if stage.clock() - cut_s > stage.timing.outage_limit_s:
            stage.say(f"orders did not come back within {stage.timing.outage_limit_s:g} s")
            return False
        stage.live(progress(workload.history, stage.clock(), cut_s, "without it"))
        await asyncio.sleep(min(stage.timing.poll_s, stage.timing.steady_s / 5))
    stage.say(f"orders have come without a pause for {stage.timing.steady_s:g} s")
    return True


def _back(stage: DemoStage, history: History, now_s: float, since_s: float) -> bool:
    window_s = stage.timing.steady_s
    if now_s - since_s < window_s:
        return False
    return steady(successes(history, Kind.WRITE), now_s, window_s, min(PAUSE_MAX_S, window_s / 2))


async def _return(stage: DemoStage, workload: Workload, host: str) -> float | None:
    """Give the power back; return how long it took until the cluster was whole, None when it was not in time."""
    stage.say(f"switching {host} on again; the customers stay")
    on_s = stage.clock()
    await asyncio.to_thread(stage.power_on, host)
    status = await _wait_healthy(stage, stage.timing.healthy_limit_s, f"{host} comes back", workload, on_s)
    healthy_s = stage.clock() - on_s
    if status.health != HEALTHY:
        stage.say(f"the cluster is {status.health} after {healthy_s:.0f} s: {what_is_wrong(status)}")
        return None
    stage.say(f"{host} is back and every member is healthy")
    return healthy_s


async def _wait_healthy(
    stage: DemoStage, limit_s: float, what: str, workload: Workload | None = None, since_s: float | None = None
) -> Status:
    begun_s = stage.clock() if since_s is None else since_s
    while True:
        status = await stage.status()
        now_s = stage.clock()
        if status.health == HEALTHY or now_s - begun_s > limit_s:
            return status
        shopping = (
            progress(workload.history, now_s, begun_s, what) if workload else f"{what}: {now_s - begun_s:.0f} s"
        )
        stage.live(f"{shopping} ({what_is_wrong(status)})")
        await asyncio.sleep(stage.timing.poll_s)


async def _watch(stage: DemoStage, workload: Workload, for_s: float, what: str) -> None:
    begun_s = stage.clock()
    while (left_s := begun_s + for_s - stage.clock()) > 0:
        stage.live(progress(workload.history, stage.clock(), begun_s, what))
        await asyncio.sleep(min(stage.timing.poll_s, left_s))


def progress(history: History, now_s: float, since_s: float, what: str) -> str:
    """Return what customers see now, in one line; only the time before the first of them."""
    recent = [each for each in history if each.ended_s >= since_s]
    failed = sum(each.failed_requests for each in recent)
    pages, orders = successes(recent, Kind.READ), successes(recent, Kind.WRITE)
    seen = f": {len(pages)} pages, {len(orders)} orders, {failed} failed" if history else ""
    quiet = [_quiet("page", pages, now_s, since_s), _quiet("order", orders, now_s, since_s)] if history else []
    return "; ".join([f"{now_s - since_s:3.0f} s {what}{seen}", *(each for each in quiet if each)])


def _quiet(word: str, moments_s: tuple[float, ...], now_s: float, since_s: float) -> str:
    for_s = now_s - max(moments_s, default=since_s)
    return f"no {word} for {for_s:.0f} s" if for_s > PAUSE_MAX_S else ""
