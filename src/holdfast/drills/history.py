"""The history of a run: every operation that clients began, and how it ended."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What an operation does."""

    READ = "read"
    WRITE = "write"


class Outcome(StrEnum):
    """How an operation ended.

    ``ok``: acknowledged. ``fail``: certainly without effect. ``indeterminate``: nobody knows whether it had one.
    """

    OK = "ok"
    FAIL = "fail"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a client; times are seconds of one monotonic clock.

    ``intended_s``: when it should have begun (a late client must not make the service look better).
    ``tries``: requests it took; repeats use the same ``key`` and so are the same operation.
    ``order``: the number the shop gave it. ``host``: who answered. ``reason``: why it did not succeed at first.
    """

    kind: Kind
    path: str
    intended_s: float
    started_s: float
    ended_s: float
    outcome: Outcome
    tries: int = 1
    key: str = ""
    order: int = 0
    host: str = ""
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was acknowledged."""
        return self.outcome is Outcome.OK

    @property
    def failed_requests(self) -> int:
        """How many of its requests got no good answer."""
        return self.tries - 1 if self.ok else self.tries

    def as_json(self) -> dict[str, Any]:
        """Return the operation as plain data."""
        return asdict(self)


History = tuple[Operation, ...]


def of_kind(history: Iterable[Operation], kind: Kind) -> History:
    """Return the operations of one kind."""
    return tuple(each for each in history if each.kind is kind)
