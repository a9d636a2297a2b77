"""Talking to the helper modules that run on a server: one request, one round trip."""

import base64
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from functools import cache
from importlib.resources import files
from typing import Any

from holdfast.wire.base import Wire, WireError

_PACKAGE = "holdfast.runner.onhost"
_MODULES = {
    "look": ("basics", "look", "entry"),
    "act": ("basics", "look", "act", "entry"),
    "observe": ("basics", "observe", "entry"),
    "hold": ("basics", "hold", "entry"),
    "strike": ("basics", "switch", "strike", "entry"),
    "watch": ("basics", "observe", "neighbours", "watch", "entry"),
}
# The first line of standard input holds the modules and the request; what follows it is left for them to read.
_BOOT = (
    "import sys,json,types,zlib,base64\n"
    "d=json.loads(zlib.decompress(base64.b64decode(sys.stdin.buffer.readline())))\n"
    "for n,t in d['modules']:\n"
    " m=types.ModuleType(n);m.__path__=[];sys.modules[n]=m;exec(compile(t,n,'exec'),m.__dict__)\n"
    "m.main(d['request'])\n"
)
ARGV = ("python3", "-I", "-c", _BOOT)
Data = dict[str, Any]


class AskError(Exception):
    """A server answered that it could not do what was asked; the message is its reason."""


@cache
def _modules(ask: str) -> list[tuple[str, str]]:
    parents = [("holdfast", ""), ("holdfast.runner", ""), (_PACKAGE, "")]
    return parents + [(f"{_PACKAGE}.{name}", source(name)) for name in _MODULES[ask]]


def source(name: str) -> str:
    """Return the text of a helper module."""
    return (files(_PACKAGE) / f"{name}.py").read_text()


def payload(ask: str, request: Data) -> bytes:
    """Return what is sent over standard input for a request."""
    data = json.dumps({"modules": _modules(ask), "request": {"ask": ask} | request})
    return base64.b64encode(zlib.compress(data.encode(), 1)) + b"\n"


async def events(
    wire: Wire, ask: str, request: Data, talk: AsyncIterable[bytes] | None = None
) -> AsyncGenerator[Data]:
    """Ask and yield the server's events as they come; ``talk`` is what it hears after the request.

    Raises AskError for a failure, WireError for a lost wire.
    """
    answered = False
    async for line in wire.lines(ARGV, _after(payload(ask, request), talk)):
        event = event_of(line)
        if event["event"] == "failed":
            raise AskError(event["why"])
        answered = event["event"] == "answer"
        yield event
    if not answered:
        raise WireError("the server's helper ended without an answer")


async def ask(wire: Wire, ask: str, request: Data) -> Data:
    """Ask and return the answer. Raises AskError for a failure, WireError for a lost wire."""
    answer: Data = {}
    async for event in events(wire, ask, request):
        answer = event.get("answer", answer)
    return answer


async def once(data: bytes) -> AsyncIterator[bytes]:
    """Yield one chunk: standard input that ends after it."""
    yield data


async def _after(first: bytes, more: AsyncIterable[bytes] | None) -> AsyncIterator[bytes]:
    yield first
    if more is not None:
        async for chunk in more:
            yield chunk


def event_of(line: str) -> Data:
    """Return the event of a line that a server wrote. Raises WireError for anything else."""
    try:
        found: Data = json.loads(line)
    except ValueError:
        raise WireError(f"unexpected answer: {line[:200]}") from None
    return found
