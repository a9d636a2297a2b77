"""The hands of an imported experiment: processes, requests and, where allowed, functions, for real."""

import asyncio
import importlib
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from holdfast.drills.chaos.running import Hands, Work
from holdfast.drills.chaos.values import Http, Process, Provider, Python
from holdfast.wire.http import Answer, HttpDoor

# What an activity that names no timeout may take: a wait without an end would keep the rollbacks from running.
LONGEST_S = 300.0


def real_hands(ca: Path | None = None) -> Hands:
    """Return hands that do things for real; ``ca``: whom requests trust, None for whom the system trusts."""
    return Hands(perform=lambda provider: perform(provider, ca), sleep=time.sleep, now=_now, begin=_begin)


def _now() -> datetime:
    return datetime.now(UTC)


def _begin(work: Work) -> Work:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future.result


def perform(provider: Provider, ca: Path | None = None) -> Any:
    """Carry out a provider and return its answer, as `Hands` says.

    Raises what went wrong: OSError for a program that cannot be started, subprocess.TimeoutExpired,
    NotSentError and UnansweredError for a request without an answer, and whatever a function raises.
    """
    match provider:
        case Process(argv, timeout_s):
            return _process(argv, timeout_s or LONGEST_S)
        case Http():
            return asyncio.run(_request(provider, ca))
        case Python(module, function, arguments):
            called: Callable[..., Any] = getattr(importlib.import_module(module), function)
            return called(**arguments)


def _process(argv: tuple[str, ...], timeout_s: float) -> dict[str, Any]:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    return {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


async def _request(provider: Http, ca: Path | None) -> dict[str, Any]:
    url = urlsplit(provider.url)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    door = HttpDoor(f"{url.scheme}://{url.netloc}", ca if url.scheme == "https" else None)
    try:
        answer = await door.ask(
            provider.method,
            path,
            timeout_s=provider.timeout_s or LONGEST_S,
            data=provider.body,
            headers=provider.headers,
        )
    finally:
        await door.close()
    return _answer(answer)


def _answer(answer: Answer) -> dict[str, Any]:
    body = answer.body.decode(errors="replace")
    return {"status": answer.status, "headers": dict(answer.headers), "body": body}
