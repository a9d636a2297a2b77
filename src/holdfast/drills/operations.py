"""What may go on while a drill strikes: operations of the operator, what became of one, and how it is undone."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Act = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that an operator does to a running cluster.

    ``do``: does it; what it returns, if anything, says what came of it; it raises what kept it from its end.
    ``tidy``: makes the cluster what it was before, whether ``do`` came to its end, failed or was cut off; None: there
    is nothing to undo.
    """

    do: Act
    tidy: Act | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """What became of an operation: in words, whether it failed, and what it left behind ("" for nothing)."""

    text: str = ""
    failed: bool = False
    left: str = ""
