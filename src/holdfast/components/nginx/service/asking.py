"""Questions over HTTP: one connection each, so that no old connection hides a dead server."""

import asyncio
import json
import socket
from typing import Any

ANSWER_MAX_BYTES = 65536


async def get(address: str, port: int, path: str, limit_s: float, *, whole: bool = False) -> tuple[int, bytes]:
    """Return the status, and the body if it is wanted whole: then the other side must close the connection.

    Raises OSError (TimeoutError, ConnectionRefusedError, ...), ValueError for what is no HTTP.
    """
    loop = asyncio.get_running_loop()
    # A bare socket: streams cost half as much again.
    async with asyncio.timeout(limit_s):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as bare:
            bare.setblocking(False)
            await loop.sock_connect(bare, (address, port))
            head = f"GET {path} HTTP/1.0\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n"
            await loop.sock_sendall(bare, head.encode())
            answer = await loop.sock_recv(bare, ANSWER_MAX_BYTES)
            while whole and len(answer) < ANSWER_MAX_BYTES and (more := await loop.sock_recv(bare, ANSWER_MAX_BYTES)):
                answer += more
            return parsed(answer)


def parsed(answer: bytes) -> tuple[int, bytes]:
    """Return status and body of an answer. Raises ValueError when it is no HTTP."""
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise ValueError("no HTTP")
    return int(words[1]), body


async def get_json(address: str, port: int, path: str, limit_s: float) -> dict[str, Any]:
    """Return a JSON object, an empty one when there is none to be had."""
    try:
        status, body = await get(address, port, path, limit_s, whole=True)
        found = json.loads(body) if status == 200 else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
