"""The lock that keeps two operators apart: held on every server for as long as we are alive and heard."""

import asyncio
import getpass
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from holdfast.runner import agent
from holdfast.runner.fleet import Fleet
from holdfast.wire.base import Wire

# Far below the silence after which a server gives the lock free (onhost.hold.SILENCE_S, 30 s).
HEARTBEAT_S = 5.0


class LockedError(Exception):
    """Somebody else is changing the cluster; the message says who, from where and since when."""


@asynccontextmanager
async def locked(fleet: Fleet, verb: str) -> AsyncIterator[None]:
    """Hold the lock on every server while the block runs. Raises LockedError."""
    async with AsyncExitStack() as stack:
        for host, wire in sorted(fleet.wires.items()):
            await stack.enter_async_context(_held(host, wire, verb))
        yield


@asynccontextmanager
async def _held(host: str, wire: Wire, verb: str) -> AsyncIterator[None]:
    over = asyncio.Event()
    lines = wire.lines(agent.ARGV, _heartbeats(agent.payload("hold", {"owner": _owner(verb)}), over))
    answer = agent.event_of(await anext(lines))["answer"]
    if not answer["held"]:
        await lines.aclose()
        raise LockedError(f"{host}: {_words(answer['by'])}")
    try:
        yield
    finally:
        over.set()
        await lines.aclose()


async def _heartbeats(first: bytes, over: asyncio.Event) -> AsyncIterator[bytes]:
    yield first
    while not over.is_set():
        yield b"."
        try:
            await asyncio.wait_for(over.wait(), HEARTBEAT_S)
        except TimeoutError:
            continue


def _owner(verb: str) -> dict[str, str]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"user": getpass.getuser(), "machine": socket.gethostname(), "verb": verb, "since": since}


def _words(owner: str) -> str:
    try:
        data = json.loads(owner)
        return f"locked: {data['user']} on {data['machine']} runs 'holdfast {data['verb']}' since {data['since']}"
    except (ValueError, KeyError):
        return "locked by another operator"
