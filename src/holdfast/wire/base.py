"""The one way to reach a machine."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Protocol

from holdfast.model.watch import Output


class WireError(Exception):
    """A machine cannot be reached or the connection broke; the message says which machine and why."""


class Wire(Protocol):
    """An open door to one machine. Commands are argument vectors; they run as root."""

    async def run(self, argv: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> Output:
        """Run a command to its end. Exit code 124 when time ran out. Raises WireError."""
        ...

    def lines(self, argv: Sequence[str], stdin: AsyncIterable[bytes]) -> AsyncGenerator[str]:
        """Run a command and yield its standard output line by line, while standard input is fed from ``stdin``.

        Raises WireError, also when the command fails.
        """
        ...

    async def close(self) -> None:
        """Give the connection back."""
        ...
