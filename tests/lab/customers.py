"""Customers in a thread of their own, so that a test can break things meanwhile in plain sentences."""

import asyncio
import gc
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from holdfast.drills.history import History, Kind
from holdfast.drills.numbers import Account, Gap, account, longest_gap, steady, successes, tally
from holdfast.drills.priority import go_first
from holdfast.drills.workload import Pace, Workload, all_orders
from holdfast.wire.http import HttpDoor
from patience import LateError, LossError

T = TypeVar("T")
Orders = tuple[tuple[str, int], ...]
# Customers are content when nothing took longer than this.
CALM_GAP_S = 0.75
# Customers who come later than this were starved by this computer.
LATE_S = 0.25


class Customers:
    """People who read and order through the front door from entering the block until leaving it.

    Afterwards: the gaps they saw, and the account of their orders, all of them read back.
    """

    def __init__(self, url: str, authority: Path, reads_per_s: float, writes_per_s: float) -> None:
        self._url, self._authority = url, authority
        self._pace = Pace(reads_per_s=reads_per_s, writes_per_s=writes_per_s)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._left_s = 0.0
        self.account: Account | None = None
        self.read_back: Orders = ()

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        try:
            self._left_s = self._do(self._leave())
            late = kind is not None and issubclass(kind, LateError)
            if kind is None or late:
                self.read_back = self._do(all_orders(self._door))
                self.account = account(self.history, self.read_back)
            if late:
                # The test ends here, and may be excused: but not a loss.
                self.assert_nothing_lost()
        finally:
            self._do(self._door.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()
            # A request cut off in the middle of a handshake leaves its socket behind: not to a later test.
            gc.collect()

    @property
    def history(self) -> History:
        """Everything that has happened so far."""
        return self._work.history

    def seconds(self) -> float:
        """Return for how long customers have been shopping."""
        return time.monotonic() - self._work.begun_s

    def shop_calmly(self, for_s: float = 3.0, within_s: float = 60.0) -> None:
        """Wait until everything has gone well for a while from now on: before a fault, and after it."""
        begun = time.monotonic()
        while not self._calm(begun, for_s):
            if time.monotonic() - begun > within_s:
                raise LateError(f"customers were not content within {within_s:g} s: {self._complaints()}")
            time.sleep(0.05)

    def gap(self, kind: Kind) -> Gap:
        """Return the longest time without success, from the first success until the customers left."""
        moments = successes(self.history, kind)
        assert moments, f"not one {kind} succeeded"
        return longest_gap(moments, moments[0], self._left_s or time.monotonic())

    def gap_between(self, kind: Kind, from_s: float, to_s: float) -> float:
        """Return the longest time (s) without success between two moments of the monotonic clock."""
        return longest_gap(successes(self.history, kind), from_s, to_s).length_s

    def reads_gap_s(self) -> float:
        """Return the longest time without a successful read."""
        return self.gap(Kind.READ).length_s

    def writes_gap_s(self) -> float:
        """Return the longest time without an acknowledged order."""
        return self.gap(Kind.WRITE).length_s

    def write_pauses_s(self, longer_than_s: float) -> list[float]:
        """Return every time without an acknowledged order that was longer."""
        moments = successes(self.history, Kind.WRITE)
        return [after - before for before, after in pairwise(moments) if after - before > longer_than_s]

    def troubles(self, kind: Kind) -> str:
        """Say when the longest gap was and what customers were told around it: for the message of a failure."""
        gap, origin_s = self.gap(kind), self._work.begun_s
        told = Counter(
            (each.host, each.reason)
            for each in self.history
            if each.kind is kind and each.failed_requests and each.ended_s > gap.from_s and each.started_s < gap.to_s
        )
        where = f"longest gap of {kind}s: {gap.from_s - origin_s:.2f} to {gap.to_s - origin_s:.2f} s of the visit"
        return "\n".join([where, *(f"  {n} × {host} {reason}" for (host, reason), n in told.most_common(12))])

    def failed_requests(self) -> dict[str, int]:
        """Count requests without a good answer, by reason; repeated orders count as failures too."""
        found: dict[str, int] = {}
        for each in self.history:
            if each.failed_requests:
                reason = f"{each.kind} {each.reason or 'answered only when repeated'}"
                found[reason] = found.get(reason, 0) + each.failed_requests
        return found

    def failures(self) -> str:
        """Say how many requests got no good answer, of how many, and why."""
        failed = Counter(self.failed_requests())
        total = sum(tally(self.history, kind).requests for kind in Kind)
        reasons = ", ".join(f"{count} × {reason}" for reason, count in failed.most_common(4))
        late_s = max((each.started_s - each.intended_s for each in self.history), default=0.0)
        late = f"; customers themselves were up to {late_s:.2f} s late" if late_s > LATE_S else ""
        return f"{failed.total()} of {total}" + (f" ({reasons})" if reasons else "") + late

    def assert_gaps(self, reads_s: float, writes_s: float) -> None:
        """The longest gaps are within their bounds (s); a failure says what customers saw meanwhile."""
        assert self.reads_gap_s() <= reads_s, self.troubles(Kind.READ)
        assert self.writes_gap_s() <= writes_s, self.troubles(Kind.WRITE)

    def assert_nothing_lost(self) -> int:
        """No acknowledged order is lost, none is there twice, none was made against its word; return their number."""
        assert self.account is not None
        assert self.account.acknowledged > 0
        if self.account.lost or self.account.doubled or self.account.resurrected:
            raise LossError(self.account)
        return self.account.acknowledged

    async def _open(self) -> None:
        go_first()
        self._door = HttpDoor(self._url, self._authority)
        self._work = Workload(self._door, self._pace)
        await self._work.__aenter__()

    async def _leave(self) -> float:
        try:
            return await self._work.stop()
        finally:
            await self._work.__aexit__()

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(180)

    def _calm(self, begun_s: float, for_s: float) -> bool:
        now = time.monotonic()
        if now - begun_s < for_s:
            return False
        history = self.history
        return all(steady(successes(history, kind), now, for_s, CALM_GAP_S) for kind in Kind)

    def _complaints(self) -> str:
        return ", ".join(f"{count} × {reason}" for reason, count in self.failed_requests().items()) or "they wait"
