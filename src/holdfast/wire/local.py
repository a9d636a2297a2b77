"""This computer as a machine: commands run here, without SSH. What lies under the machines of a lab is reached so."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterable, Sequence

from holdfast.model.watch import Output
from holdfast.wire.base import WireError

# The longest line that a command may print, in bytes.
LINE_LIMIT = 16 * 2**20


class LocalWire:
    """A door to this computer. Commands get a session of their own: Ctrl-C at our terminal does not reach them."""

    async def run(self, argv: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> Output:
        """Run a command to its end; see `Wire.run`. Exit code 127 when there is no such command."""
        try:
            process = await _begin(argv, stderr=PIPE)
        except OSError as error:
            return Output(127, stderr=f"{argv[0]}: {error.strerror}")
        try:
            async with asyncio.timeout(timeout_s):
                stdout, stderr = await process.communicate(stdin)
        except TimeoutError:
            return Output(124, stderr=f"no end within {timeout_s:g} s")
        finally:
            await _end(process)
        return Output(process.returncode or 0, stdout.decode(errors="replace"), stderr.decode(errors="replace"))

    async def lines(self, argv: Sequence[str], stdin: AsyncIterable[bytes]) -> AsyncGenerator[str]:
        """Run a command and yield its output line by line; see `Wire.lines`. What it complains of is not kept."""
        try:
            process = await _begin(argv, stderr=DEVNULL)
        except OSError as error:
            raise WireError(f"this computer: {argv[0]}: {error.strerror}") from error
        feeding = asyncio.create_task(_feed(process, stdin))
        try:
            assert process.stdout is not None
            while line := await process.stdout.readline():
                yield line.decode(errors="replace").rstrip("\n")
            await process.wait()
        finally:
            feeding.cancel()
            await _end(process)
        if process.returncode:
            raise WireError(f"this computer: local helper ended with {process.returncode}")

    async def forward(self, port: int, address: str = "127.0.0.1") -> int:
        """Return the port itself: this computer reaches its own ports already; see `Wire.forward`."""
        if address != "127.0.0.1":
            raise WireError(f"this computer: {address} is not one of its own addresses")
        return port

    async def close(self) -> None:
        """Do nothing: there is no connection."""


async def _begin(argv: Sequence[str], stderr: int) -> Process:
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=PIPE,
        stdout=PIPE,
        stderr=stderr,
        env=_environment(),
        start_new_session=True,
        limit=LINE_LIMIT,
    )


def _environment() -> dict[str, str]:
    # A login by SSH as root has sbin on its PATH too, and messages in English can be read by readers.
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {**os.environ, "PATH": f"{path}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


async def _feed(process: Process, stdin: AsyncIterable[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        async for chunk in stdin:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.write_eof()


async def _end(process: Process) -> None:
    """Leave nothing running of a command that was given up."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
