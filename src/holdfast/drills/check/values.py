"""What clients saw, as the checker reads it. Times are seconds of one monotonic clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.drills.history import Outcome

PRIMARY, REPLICA = "primary", "replica"


@dataclass(frozen=True, slots=True)
class Write:
    """One insert of a fresh key. ``timeline`` and ``node``: which leader acknowledged it, where that was told.

    A retry that repeats the same key under a guard belongs to the same write.
    """

    session: str
    key: str
    started_s: float
    ended_s: float
    outcome: Outcome
    timeline: int | None = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class SetRead:
    """One read of the whole set. ``endpoint``: PRIMARY or REPLICA; a key that is there twice stands there twice."""

    session: str
    endpoint: str
    started_s: float
    ended_s: float
    keys: tuple[str, ...]
    node: str = ""


@dataclass(frozen=True, slots=True)
class LedgerHistory:
    """A grow-only set: its writes, its reads, and after everything was healed the whole set as each member has it.

    ``final`` is empty when no final read succeeded. ``replica_bound_s``: how stale a replica's answer may be; None:
    as stale as it likes.
    """

    writes: tuple[Write, ...]
    reads: tuple[SetRead, ...]
    final: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    replica_bound_s: float | None = None


@dataclass(frozen=True, slots=True)
class RegisterWrite:
    """A compare-and-set of one register: from ``old`` (version, value) to a new value.

    ``version``: the new version that the store returned (``ver + 1``), None unless acknowledged. An
    acknowledged operation that found another value than expected is a FAIL (it had no effect).
    """

    session: str
    key: str
    value: str
    expected: str
    version: int | None
    started_s: float
    ended_s: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class RegisterRead:
    """A read of one register at the primary endpoint."""

    session: str
    key: str
    value: str
    version: int
    started_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class RegisterHistory:
    """All that happened to the registers; ``initial``: key → (value, version); ``final`` empty when unread."""

    writes: tuple[RegisterWrite, ...]
    reads: tuple[RegisterRead, ...]
    initial: Mapping[str, tuple[str, int]]
    final: Mapping[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BankRead:
    """All balances as one transaction saw them; ``node`` where it was read."""

    session: str
    started_s: float
    ended_s: float
    balances: tuple[int, ...]
    node: str = ""


@dataclass(frozen=True, slots=True)
class BankHistory:
    """Transfers between accounts never change the total; ``total`` is what it was in the beginning."""

    total: int
    transfers_ok: int
    reads: tuple[BankRead, ...]
    final: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CacheHistory:
    """Keys set in the cache, and those that are there in the end (None: could not be read).

    ``bound_s``: an acknowledged key may be lost when it was acknowledged at most so long before or after a failure
    began; ``failures_s``: from when to when the cache's primary was struck.
    """

    writes: tuple[Write, ...]
    final: frozenset[str] | None
    bound_s: float
    failures_s: tuple[tuple[float, float], ...] = ()
