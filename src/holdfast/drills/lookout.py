"""One machine under watch: a stream of events that is opened anew when it breaks, and what it told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from holdfast.drills.clocks import Clock, Tick, clock_of, tick
from holdfast.runner import agent
from holdfast.runner.agent import AskError
from holdfast.wire.base import Wire, WireError

Data = dict[str, Any]
Connect = Callable[[str], Awaitable[Wire]]

# The clock is asked often at the beginning and at the end, in between often enough to be heard (onhost.watch).
CLOCK_ASKS = 8
CLOCK_EVERY_S = 5.0
CLOCK_WAIT_S = 0.5
# Events come several times a second. A machine that is silent for so long is gone or stands still: the stream is kept
# in case it stands still, and another way in is tried in case it was gone.
SILENT_S = 3.0
# How many rounds the first answers may take: a server that is down gives none.
SETTLE_ROUNDS = 12
RETRY_S = 0.5
CLOSE_S = 2.0


@dataclass(slots=True)
class Log:
    """What one stream told: answers with the machine's own times, readings of its clocks, what watching cost."""

    place: str
    begun_s: float
    boot: str = ""
    mac: str = ""
    ticks: list[Tick] = field(default_factory=list)
    seen: list[Data] = field(default_factory=list)
    cost: Mapping[str, float] = field(default_factory=dict)
    last_s: float = 0.0

    @property
    def clock(self) -> Clock | None:
        """The machine's clocks, None before they were read."""
        return clock_of(self.ticks)


class Lookout:
    """Keeps one machine under watch. ``told``: called with its place and every event.

    ``ready`` is set when it is seen for the first time; ``trouble`` says why it cannot be reached, "" when it can.
    """

    def __init__(
        self,
        place: str,
        connect: Connect,
        request: Data,
        clock: Callable[[], float],
        told: Callable[[str, Data], None],
    ) -> None:
        self.place = place
        self.wire: Wire | None = None
        self.logs: list[Log] = []
        self.trouble = ""
        self.ready = asyncio.Event()
        self._connect = connect
        self._request = request
        self._clock = clock
        self._told = told
        self._over = asyncio.Event()
        self._heard_s = clock()
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._greeted = asyncio.Event()
        self._sent: dict[str, float] = {}
        self._answered = asyncio.Event()

    @property
    def silent_s(self) -> float:
        """How long nothing was heard of the machine."""
        return self._clock() - self._heard_s

    def probe(self, number: int) -> None:
        """Ask for the probes; their outputs come as an event with that number, if the machine answers."""
        if self._greeted.is_set():
            self._lines.put_nowait(f"probe {number}\n".encode())

    async def keep(self) -> None:
        """Watch until `end`; a stream that breaks is opened anew as soon as the machine answers again."""
        wire: Wire | None = None
        while not self._over.is_set():
            wire = wire or await self._open()
            if wire is None:
                await self._pause(RETRY_S)
                continue
            self.wire = wire
            wire = await self._follow(wire)

    async def end(self, limit_s: float = 5.0) -> None:
        """Read the clock once more and let the stream end by itself, as long as that takes no longer than a limit."""
        self._over.set()
        begun_s = self._clock()
        while self.logs and not self.logs[-1].last_s and self._clock() - begun_s < limit_s:
            if self.silent_s > SILENT_S:
                return
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Give the connection back."""
        self._over.set()
        if self.wire is not None:
            await _close(self.wire)

    async def _open(self) -> Wire | None:
        try:
            wire = await self._connect(self.place)
        except WireError as error:
            self.trouble = str(error)
            return None
        return wire

    async def _follow(self, wire: Wire) -> Wire | None:
        """Listen to a stream until it ends; return a new connection when the old one was found dead."""
        stream = asyncio.create_task(self._listen(wire))
        try:
            while not (await asyncio.wait({stream}, timeout=SILENT_S))[0]:
                fresh = await self._another(stream)
                if fresh is not None:
                    return fresh
            return None
        finally:
            await _drop(wire, stream)

    async def _another(self, stream: "asyncio.Task[None]") -> Wire | None:
        """Return a new connection if the machine gives one while the old stream stays silent."""
        if self.silent_s < SILENT_S or self._over.is_set():
            return None
        opening = asyncio.create_task(self._open())
        while not opening.done():
            await asyncio.wait({opening, stream}, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
            if self.silent_s < SILENT_S or self._over.is_set():
                opening.cancel()
                break
        with suppress(asyncio.CancelledError):
            fresh = await opening
            if fresh is not None and self.silent_s < SILENT_S:
                await _close(fresh)
                return None
            return fresh
        return None

    async def _listen(self, wire: Wire) -> None:
        log = Log(self.place, self._clock())
        self._sent, self._lines = {}, asyncio.Queue()
        self._greeted.clear()
        asking = asyncio.create_task(self._ask_clock())
        try:
            async for event in agent.events(wire, "watch", self._request, _each(self._lines)):
                self._take(log, event)
        except (WireError, AskError) as error:
            self.trouble = str(error)
        finally:
            asking.cancel()
            self._greeted.clear()
            log.last_s = log.last_s or self._clock()

    def _take(self, log: Log, event: Data) -> None:
        now_s = self._heard_s = self._clock()
        kind = event["event"]
        if kind == "hello":
            log.boot, log.mac = event["boot"], event["mac"]
            self.logs.append(log)
            self.trouble = ""
            self._greeted.set()
        elif kind == "clock" and event["n"] in self._sent:
            log.ticks.append(tick(self._sent.pop(event["n"]), now_s, event["mono_s"], event["wall_s"]))
            log.cost = {name: event[name] for name in ("own_cpu_s", "kept_cpu_s", "ended_cpu_s")}
            self._answered.set()
        elif kind == "seen":
            log.seen.append(event)
            if len(event["answers"]) == len(self._request["watches"]) or len(log.seen) > SETTLE_ROUNDS:
                self.ready.set()
        elif kind == "answer":
            # The helper may still wait for a probe that runs; nobody needs it any more.
            log.last_s = now_s
        self._told(self.place, event)

    async def _ask_clock(self) -> None:
        """Ask what the machine's clocks show; after the last time the stream may end."""
        # What is sent before the helper listens would be lost in its first buffer.
        await self._greeted.wait()
        number = 0
        while True:
            over = self._over.is_set()
            for _ in range(CLOCK_ASKS if over or not number else 1):
                number += 1
                self._answered.clear()
                self._sent[str(number)] = self._clock()
                self._lines.put_nowait(f"clock {number}\n".encode())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._answered.wait(), CLOCK_WAIT_S)
            if over:
                self._lines.put_nowait(None)
                return
            await self._pause(CLOCK_EVERY_S)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)


async def _each(lines: "asyncio.Queue[bytes | None]") -> AsyncIterator[bytes]:
    while (line := await lines.get()) is not None:
        yield line


async def _drop(wire: Wire, stream: "asyncio.Task[None]") -> None:
    """Close the connection first: a stream over a dead one would wait for the other side to agree."""
    if not stream.done():
        await _close(wire)
        stream.cancel()
        await asyncio.wait({stream}, timeout=CLOSE_S)


async def _close(wire: Wire) -> None:
    with suppress(TimeoutError, WireError):
        await asyncio.wait_for(wire.close(), CLOSE_S)
