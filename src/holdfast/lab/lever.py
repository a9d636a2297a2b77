"""The power switch of one machine as a command of its own, for faults: `python -m holdfast.lab.lever VERB LAB HOST`.

``off``, or ``show``, which prints ``on`` or ``off``. Loads little: the moment of the cut must not be blurred.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from holdfast.lab import network
from holdfast.lab.plan import LabError, link_name
from holdfast.lab.processes import running

GONE_WITHIN_S = 20.0
# How long nspawn may take to remove its own traces once its PID 1 is dead.
TIDY_WITHIN_S = 3.0
POLL_S = 0.02


def argv(verb: str, lab: str, host: str) -> tuple[str, ...]:
    """The command that does it."""
    return (sys.executable, "-I", "-m", "holdfast.lab.lever", verb, lab, host)


def kill(lab: str, host: str) -> None:
    """Cut the power: PID 1 dies by SIGKILL and everything in the machine with it. Raises LabError."""
    # The cable goes first: the kernel closes a dead process's connections politely, a dead server does not.
    network.remove_link(link_name(lab, host))
    started = time.monotonic()
    while (found := running(lab).get(host)) is not None:
        waited_s = time.monotonic() - started
        if waited_s > GONE_WITHIN_S:
            raise LabError(f"machine {host} does not die: process {found.supervisor} outlived SIGKILL")
        if found.init is not None:
            _kill(found.init)
        elif waited_s > TIDY_WITHIN_S:
            _kill(found.supervisor)
        time.sleep(POLL_S)
    network.remove_link(link_name(lab, host))


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main(arguments: Sequence[str]) -> str:
    """Move the lever or look at it; return what there is to say. Raises LabError."""
    verb, lab, host = arguments
    if verb == "off":
        kill(lab, host)
    return "on" if host in running(lab) else "off"


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except LabError as error:
        sys.exit(str(error))
