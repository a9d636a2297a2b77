"""A machine made of a dict: for trying plans and for tests, without any server."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence

from holdfast.model.watch import Output
from holdfast.wire.base import WireError

Answer = Callable[[tuple[str, ...], bytes], Output]


class FakeWire:
    """Answers every command by a function; remembers what was asked. ``down`` makes it unreachable.

    ``ports``: port of the machine → port of this computer where its fake service listens.
    """

    def __init__(self, host: str, answer: Answer) -> None:
        self.host = host
        self.asked: list[tuple[str, ...]] = []
        self.down = False
        self.ports: dict[int, int] = {}
        self._answer = answer

    async def run(self, argv: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> Output:
        """Return the function's answer; see `Wire.run`."""
        if self.down:
            raise WireError(f"{self.host}: no answer")
        self.asked.append(tuple(argv))
        return self._answer(tuple(argv), stdin)

    async def lines(self, argv: Sequence[str], stdin: AsyncIterable[bytes]) -> AsyncGenerator[str]:
        """Yield the lines of the function's answer to the first chunk of ``stdin``; see `Wire.lines`."""
        done = await self.run(argv, await anext(aiter(stdin)))
        for line in done.stdout.splitlines():
            yield line
        if done.exit_code:
            raise WireError(f"{self.host}: remote helper ended with {done.exit_code}: {done.stderr}")

    async def forward(self, port: int, address: str = "127.0.0.1") -> int:
        """Return the port of this computer that stands for it; see `Wire.forward`."""
        if self.down or port not in self.ports:
            raise WireError(f"{self.host}: no way to {address}:{port}")
        return self.ports[port]

    async def close(self) -> None:
        """Do nothing."""
