"""The first and last word on a server: answers one request in JSON lines."""

import contextlib
import time
from importlib import import_module

from holdfast.runner.onhost.basics import Data, Failed, say, step_back

LOOKING = ("look", "observe")


def main(request: Data) -> None:
    """Answer one request by the module it asks for; every failure becomes an answer."""
    begun = time.monotonic()
    if request["ask"] in LOOKING:
        step_back()
    with contextlib.suppress(BrokenPipeError):
        try:
            answer = import_module(f"holdfast.runner.onhost.{request['ask']}").answer(request)
            say(event="answer", answer=answer, seconds=round(time.monotonic() - begun, 3))
        except Failed as failure:
            say(event="failed", why=str(failure))
        except Exception as error:
            say(event="failed", why=f"{type(error).__name__}: {error}")
