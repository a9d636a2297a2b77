"""Machines reached by SSH."""

import asyncio
import contextlib
import json
import shlex
import socket
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from holdfast.model.watch import Output
from holdfast.wire.base import WireError

# A dead host is told apart from a slow one early: TCP answers within a round trip, a busy sshd does not.
DIAL_TIMEOUT_S = 3.0
LOGIN_TIMEOUT_S = 15.0
KEEPALIVE_S = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a machine is and who we are there; ``known_keys`` is the file of host keys seen before.

    ``patience_s``: a connection over which nothing comes for so long is given up.
    """

    host: str
    address: str
    port: int
    user: str
    key: Path | None
    known_keys: Path
    patience_s: float = 15.0


class KnownKeys:
    """Host keys by address: accepted when first seen, refused when changed (as OpenSSH's accept-new)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def accepts(self, address: str, key: str) -> bool:
        """Return whether a machine's key is the known one; a first key is written down."""
        known = self._read()
        if address not in known:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.write_text(json.dumps(known | {address: key}, indent=1, sort_keys=True) + "\n")
            return True
        return known[address] == key

    def _read(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return found


class _Client(asyncssh.SSHClient):
    def __init__(self, known: KnownKeys, address: str) -> None:
        self._known = known
        self._address = address

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return self._known.accepts(self._address, key.export_public_key("openssh").decode().strip())


class SshWire:
    """An open SSH connection to one machine."""

    def __init__(self, host: str, connection: asyncssh.SSHClientConnection, sudo: bool) -> None:
        self._host = host
        self._connection = connection
        self._prefix = ("sudo", "-n") if sudo else ()
        self._forwards: dict[tuple[str, int], asyncio.Task[asyncssh.SSHListener]] = {}

    async def run(self, argv: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> Output:
        """Run a command to its end; see `Wire.run`."""
        try:
            done = await asyncio.wait_for(
                self._connection.run(self._command(argv), input=stdin, encoding=None), timeout_s
            )
        except TimeoutError:
            return Output(124, stderr=f"no answer within {timeout_s:g} s")
        except (asyncssh.Error, OSError) as error:
            raise WireError(f"{self._host}: connection lost: {error}") from error
        code = done.exit_status if done.exit_status is not None else 255
        return Output(code, _text(done.stdout), _text(done.stderr))

    async def lines(self, argv: Sequence[str], stdin: AsyncIterable[bytes]) -> AsyncGenerator[str]:
        """Run a command and yield its output line by line; see `Wire.lines`."""
        try:
            async with self._connection.create_process(self._command(argv), encoding=None) as process:
                feeding = asyncio.create_task(_feed(process, stdin))
                try:
                    while line := await process.stdout.readline():
                        yield line.decode(errors="replace").rstrip("\n")
                finally:
                    feeding.cancel()
                stderr = await process.stderr.read()
                done = await process.wait()
        except (asyncssh.Error, OSError) as error:
            raise WireError(f"{self._host}: connection lost: {error}") from error
        if done.exit_status != 0:
            raise WireError(f"{self._host}: remote helper ended with {done.exit_status}: {_tail(_text(stderr))}")

    async def forward(self, port: int, address: str = "127.0.0.1") -> int:
        """Return a port of this computer that leads to a port of the machine; see `Wire.forward`."""
        if self._connection.is_closed():
            raise WireError(f"{self._host}: connection lost")
        opening = self._forwards.get((address, port))
        if opening is None:
            opening = asyncio.create_task(self._listen(port, address))
            self._forwards[address, port] = opening
        try:
            # Several clients may wait for it: one that gives up must not take it away from the others.
            return (await asyncio.shield(opening)).get_port()
        except (asyncssh.Error, OSError) as error:
            raise WireError(f"{self._host}: no way to its port {port}: {_reason(error)}") from error

    async def _listen(self, port: int, address: str) -> asyncssh.SSHListener:
        return await self._connection.forward_local_port("127.0.0.1", 0, address, port)

    async def close(self) -> None:
        """Close the connection, and every forwarded port with it."""
        self._connection.close()
        await self._connection.wait_closed()

    def _command(self, argv: Sequence[str]) -> str:
        # The only place where an argument vector becomes a shell string.
        return shlex.join((*self._prefix, *argv))


async def _feed(process: asyncssh.SSHClientProcess[bytes], stdin: AsyncIterable[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError, asyncssh.Error):
        async for chunk in stdin:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.write_eof()


def _text(data: bytes | str | None) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else data or ""


def _tail(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-3:])


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


async def connect(where: Address) -> SshWire:
    """Open a connection. Raises WireError with the reason in words."""
    known = KnownKeys(where.known_keys)
    try:
        line = await asyncio.wait_for(_dial(where), DIAL_TIMEOUT_S)
        connection = await asyncio.wait_for(_open(where, known, line), LOGIN_TIMEOUT_S)
    except TimeoutError:
        raise WireError(f"{where.host} ({where.address}): no answer on port {where.port}") from None
    except asyncssh.HostKeyNotVerifiable:
        raise WireError(
            f"{where.host} ({where.address}): its SSH host key is not the one seen before; "
            f"if the machine was rebuilt on purpose, remove its line from {where.known_keys}"
        ) from None
    except asyncssh.PermissionDenied:
        raise WireError(f"{where.host} ({where.address}): SSH refuses the key of user {where.user}") from None
    except (asyncssh.Error, OSError) as error:
        raise WireError(
            f"{where.host} ({where.address}): {error.strerror if isinstance(error, OSError) else error}"
        ) from error
    return SshWire(where.host, connection, sudo=where.user != "root")


async def _dial(where: Address) -> socket.socket:
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, (where.address, where.port))
    except BaseException:
        line.close()
        raise
    return line


async def _open(where: Address, known: KnownKeys, line: socket.socket) -> asyncssh.SSHClientConnection:
    # Fixed modern algorithms: one round trip less of negotiation and little CPU; every OpenSSH since 7.4 has them.
    common = {
        "sock": line,
        "username": where.user,
        "known_hosts": ([], [], []),
        "client_factory": lambda: _Client(known, where.address),
        "login_timeout": LOGIN_TIMEOUT_S,
        "keepalive_interval": KEEPALIVE_S,
        "keepalive_count_max": max(int(where.patience_s / KEEPALIVE_S), 1),
        "kex_algs": ["curve25519-sha256"],
        "encryption_algs": ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"],
        "compression_algs": None,
        "preferred_auth": ["publickey"],
    }
    own_key = {"client_keys": [str(where.key)], "agent_path": None, "config": None} if where.key else {}
    return await asyncssh.connect(where.address, **common, **own_key)
