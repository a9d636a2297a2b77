"""What may go on while a drill strikes: operations of the operator, what became of one, and how it is undone."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

UnderWay = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that an operator does to a running cluster.

    ``do``: does it, and calls what it is given as soon as it changes something (again is no matter); what it returns,
    if anything, says what came of it; it raises what kept it from its end.
    ``tidy``: makes the cluster what it was before, whether ``do`` came to its end, failed or was cut off; None: there
    is nothing to undo.
    """

    do: Callable[[UnderWay], Awaitable[object]]
    tidy: Callable[[], Awaitable[object]] | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """What became of an operation, in words.

    ``failed``: it did not come to its end; ``begun``: it had begun to change something. ``left``: what it left behind
    although it was undone, "" for nothing.
    """

    text: str = ""
    failed: bool = False
    begun: bool = True
    left: str = ""
