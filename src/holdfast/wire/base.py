"""The one way to reach a machine."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Protocol

from holdfast.model.watch import Output


class WireError(Exception):
    """A machine cannot be reached or the connection broke; the message says which machine and why."""


class NotSentError(Exception):
    """The request certainly never reached the other side: no connection came about."""


class UnansweredError(Exception):
    """The request was, or may have been, sent, and no whole answer came back: it may have had its effect."""


class RefusedError(Exception):
    """The other side answered with an error. ``state``: its code, as the service defines it; the message says why."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


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

    async def forward(self, port: int, address: str = "127.0.0.1") -> int:
        """Return a port of this computer that leads to a port as the machine itself reaches it.

        The same answer every time, for as long as the connection lives. Raises WireError when it is lost.
        """
        ...

    async def close(self) -> None:
        """Give the connection back."""
        ...
