"""Watching on a server during a drill: roles several times a second, and probes when asked, in one stream.

Every answer is told with two moments of CLOCK_MONOTONIC, when it was asked for and when it came: a machine that stood
still in between must not claim that something was so at its awakening.
"""

import os
import resource
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from holdfast.runner.onhost import observe
from holdfast.runner.onhost.basics import Data, say
from holdfast.runner.onhost.neighbours import Neighbours

# A command that ended is not started more often than this: a server that is down must not cost much.
RETRY_S = 0.5
# The operator's side asks for the time far more often.
SILENCE_S = 30.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TELLING = threading.Lock()


class Asker:
    """One command that is asked again and again; one question at a time, so a hung server leaves it waiting."""

    def __init__(self, key: str, argv: list[str], question: str) -> None:
        self.key = key
        self._argv = argv
        self._question = question.encode() + b"\n"
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_s: float | None = None
        self._text = b""
        self._retry_s = 0.0

    @property
    def fd(self) -> int | None:
        """The file descriptor its answers come from; None while it does not run."""
        return self._process.stdout.fileno() if self._process and self._process.stdout else None

    @property
    def pid(self) -> int | None:
        """The process; None while there is none."""
        return self._process.pid if self._process else None

    def ask(self, now_s: float) -> None:
        """Ask, unless the last question is not answered yet; start the command when it is time for that."""
        if self._process is None and now_s >= self._retry_s:
            self._start(now_s)
        if self._process is None or self._process.stdin is None or self._asked_s is not None:
            return
        with suppress(OSError):
            self._process.stdin.write(self._question)
            self._asked_s = now_s

    def hear(self, now_s: float) -> list[Any] | None:
        """Read what came; return the key, when it was asked and answered, and the answer, if there is a whole one."""
        fd = self.fd
        data = os.read(fd, 65536) if fd is not None else b""
        if not data:
            self.stop()
            return None
        *lines, self._text = (self._text + data).split(b"\n")
        if not lines or self._asked_s is None:
            return None
        asked_s, self._asked_s = self._asked_s, None
        return [self.key, asked_s, now_s, lines[0].decode(errors="replace")]

    def stop(self) -> None:
        """End the command and forget what was asked."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process, self._asked_s, self._text = None, None, b""

    def _start(self, now_s: float) -> None:
        self._retry_s = now_s + RETRY_S
        pipe = subprocess.PIPE
        with suppress(OSError):
            self._process = subprocess.Popen(
                self._argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0, cwd="/"
            )


class Post:
    """Everything that is watched on this server, and the operator's side that listens."""

    def __init__(self, request: Data) -> None:
        self._request = request
        self._probing: threading.Thread | None = None
        self._period_s = float(request["period_s"])
        self._askers = [Asker(each["key"], each["argv"], each["question"]) for each in request["watches"]]
        self._neighbours = Neighbours(request["address"]) if request["address"] else None
        self._answers: list[list[Any]] = []
        self._silent_rounds = 0
        self._heard = b""

    def keep(self) -> None:
        """Watch until standard input ends or is silent for `SILENCE_S`."""
        mac = self._neighbours.mac if self._neighbours else ""
        tell(event="hello", boot=BOOT_ID.read_text().strip(), mac=mac, **self._clock())
        # Rounds, not seconds: a machine that stood still for a while has not been silent for that long.
        while self._silent_rounds * self._period_s < SILENCE_S:
            self._silent_rounds += 1
            self._ask(time.monotonic())
            if not self._listen(time.monotonic() + self._period_s):
                return
            self._tell()

    def stop(self) -> None:
        """End every command."""
        for each in self._askers:
            each.stop()

    def _ask(self, now_s: float) -> None:
        for each in self._askers:
            each.ask(now_s)
        if self._neighbours:
            self._neighbours.ask(now_s)

    def _listen(self, until_s: float) -> bool:
        """Gather answers for one round; return whether the operator's side is still there."""
        while (left_s := until_s - time.monotonic()) > 0:
            sources: dict[int, Any] = {each.fd: each for each in self._askers if each.fd is not None}
            if self._neighbours and self._neighbours.fd is not None:
                sources[self._neighbours.fd] = self._neighbours
            ready = select.select([sys.stdin.fileno(), *sources], [], [], left_s)[0]
            now_s = time.monotonic()
            if sys.stdin.fileno() in ready and not self._hear_operator():
                return False
            heard = [sources[fd].hear(now_s) for fd in ready if fd in sources]
            self._answers += [each for each in heard if each]
        return True

    def _hear_operator(self) -> bool:
        # Unbuffered: select must see every line.
        data = os.read(sys.stdin.fileno(), 4096)
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            verb, _, number = line.decode(errors="replace").partition(" ")
            if verb == "probe":
                self._probe(number)
            else:
                tell(event="clock", n=number, **self._clock(), **self._cost())
        self._silent_rounds = 0
        return bool(data)

    def _probe(self, number: str) -> None:
        """Run the probes beside everything else, unless those of the last time have not come to an end yet."""
        if self._probing is None or not self._probing.is_alive():
            self._probing = threading.Thread(target=_probe, args=(self._request, number), daemon=True)
            self._probing.start()

    def _clock(self) -> Data:
        return {"mono_s": time.monotonic(), "wall_s": time.time()}

    def _cost(self) -> Data:
        """Return the CPU seconds of this process, of the commands it keeps, and of those that ended (the probes)."""
        own, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return {
            "own_cpu_s": own.ru_utime + own.ru_stime,
            "kept_cpu_s": sum(cpu_s(each.pid) for each in self._askers if each.pid),
            "ended_cpu_s": ended.ru_utime + ended.ru_stime,
        }

    def _tell(self) -> None:
        answers, self._answers = self._answers, []
        arp = self._neighbours.tell(time.monotonic()) if self._neighbours else None
        tell(event="seen", mono_s=time.monotonic(), answers=answers, arp=arp)


def answer(request: Data) -> Data:
    """Watch until the operator's side says that it is over, or is gone."""
    post = Post(request)
    try:
        post.keep()
    finally:
        post.stop()
    return {}


def _probe(request: Data, number: str) -> None:
    with suppress(BrokenPipeError):
        tell(event="probed", n=number, outputs=observe.answer(request, aside=True))


def tell(**event: Any) -> None:
    """Write one event; the probes have a thread of their own."""
    with _TELLING:
        say(**event)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
