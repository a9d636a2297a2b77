"""What all loads share: their pace, when operations begin, and how an operation that failed is judged.

An open load: every operation has an intended start. None waits for an earlier one to end, so a cluster that hangs
cannot hide how many clients it kept waiting.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from holdfast.drills.history import History, Operation, Outcome
from holdfast.drills.workload import Pace
from holdfast.wire.base import NotSentError, RefusedError, UnansweredError

Clock = Callable[[], float]
Act = Callable[[int, float], Awaitable[None]]
# The name of all that loads make in the cluster: a schema, a prefix of keys.
MARK = "holdfast_drill"
# After the last moment of patience: lines that were broken end within a round trip.
LAST_WORDS_S = 5.0


class LoadError(Exception):
    """A load cannot begin or end properly; the message says why."""


@dataclass(frozen=True, slots=True)
class LoadPace:
    """How many operations begin in a second, and how patient clients are. Zero leaves a kind of operation out.

    ``sessions_each``: ledger sessions opened on every host before anything else (the other loads on SQL have one);
    ``sessions_max``: how many a load may have on a host when earlier ones are still busy. ``patience_s``: how long
    a statement may take before its client gives up and calls it indeterminate. ``grace_s``: how long those inside
    may take when the load stops.
    """

    front: Pace = field(default_factory=Pace)
    order_reads_per_s: float = 0.5
    sql_writes_per_s: float = 10.0
    sql_reads_per_s: float = 1.0
    sql_replica_reads_per_s: float = 2.0
    sql_kept_reads_per_s: float = 1.5
    register_per_s: float = 4.0
    transfers_per_s: float = 4.0
    bank_reads_per_s: float = 1.0
    cache_writes_per_s: float = 10.0
    sessions_each: int = 2
    sessions_max: int = 8
    connect_timeout_s: float = 3.0
    patience_s: float = 30.0
    grace_s: float = 10.0


class Load(Protocol):
    """One kind of clients at work."""

    @property
    def operations(self) -> Mapping[str, History]:
        """All operations that have ended, by the name of their path (``sql write``)."""
        ...

    @property
    def refused(self) -> int:
        """How many operations did not begin, because every session of their host was busy."""
        ...

    @property
    def present(self) -> Mapping[str, frozenset[str] | None]:
        """Path of writes → keys that were read back in the end; None: they could not be read."""
        ...

    async def start(self, begun_s: float) -> None:
        """Open sessions, then begin. Operations are intended from ``begun_s`` on. Raises LoadError."""
        ...

    async def stop(self) -> None:
        """Begin nothing more, and wait for those inside. Raises what went wrong in the clients themselves."""
        ...

    async def read_back(self) -> None:
        """Read what is there in the end; what could not be read is missing."""
        ...

    async def close(self) -> None:
        """End all sessions, at once."""
        ...


class Issuer:
    """Begins operations at their intended times, whatever became of earlier ones."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._issuing: list[asyncio.Task[None]] = []
        self._running: set[asyncio.Future[None]] = set()
        self._broken: BaseException | None = None

    def begin(self, per_s: float, act: Act, begun_s: float) -> None:
        """Issue operations from ``begun_s`` on; none at all when ``per_s`` is 0."""
        if per_s > 0:
            self._issuing.append(asyncio.create_task(self._issue(per_s, act, begun_s)))

    async def _issue(self, per_s: float, act: Act, begun_s: float) -> None:
        for number in count():
            intended_s = begun_s + number / per_s
            await asyncio.sleep(max(0.0, intended_s - self._clock()))
            task = asyncio.ensure_future(act(number, intended_s))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[None]) -> None:
        self._running.discard(task)
        # A fault of the client itself must not pass as silence of the service.
        if not task.cancelled() and task.exception():
            self._broken = self._broken or task.exception()

    async def stop(self, grace_s: float, hang_up: Callable[[], None]) -> None:
        """Begin nothing more; after ``grace_s`` seconds break the lines of those still inside.

        Raises what went wrong in the clients themselves.
        """
        await _cancelled(self._issuing)
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        if self._running:
            hang_up()
            await asyncio.wait(self._running, timeout=LAST_WORDS_S)
        await self.close()
        if self._broken:
            raise self._broken

    async def close(self) -> None:
        """Drop everything at once."""
        await _cancelled([*self._issuing, *self._running])


async def _cancelled(tasks: list[asyncio.Task[None]] | list[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Log:
    """The operations of a load that have ended, by path."""

    def __init__(self) -> None:
        self._done: dict[str, list[Operation]] = {}

    @property
    def operations(self) -> Mapping[str, History]:
        """All operations, by the name of their path."""
        return {path: tuple(each) for path, each in self._done.items()}

    def note(self, operation: Operation) -> None:
        """Write one down."""
        self._done.setdefault(operation.path, []).append(operation)


class UndoneError(Exception):
    """A transaction was given up before its COMMIT was sent: it certainly had no effect."""


class DoubtError(Exception):
    """It was acknowledged with a warning: nobody knows whether it holds."""


# Answers that come instead of an effect. In order: a server that only reads, one that starts or stops, no room for a
# session; a conflict with others (its transaction is rolled back), a lock that was not to be had, a statement
# that took too long, a constraint.
WITHOUT_EFFECT = frozenset({"25006", "57P03", "53300", "40001", "40P01", "55P03", "57014", "23505", "23514"})
# The same of a cache: a replica, one with too few replicas, one without its primary, one that starts, a full one.
WITHOUT_EFFECT_IN_CACHE = frozenset({"READONLY", "NOREPLICAS", "MASTERDOWN", "LOADING", "OOM"})


def outcome_of(error: Exception) -> Outcome:
    """Judge a write that raised an error: it failed only when it certainly had no effect."""
    if isinstance(error, NotSentError | UndoneError):
        return Outcome.FAIL
    certain = WITHOUT_EFFECT | WITHOUT_EFFECT_IN_CACHE
    return Outcome.FAIL if isinstance(error, RefusedError) and error.state in certain else Outcome.INDETERMINATE


TOLD = (NotSentError, RefusedError, UnansweredError, UndoneError, DoubtError)
