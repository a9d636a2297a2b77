"""The hands that break and mend: blows are struck, shown to have bitten, and undone, wherever they fall."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from holdfast.model.fault import UNDERNEATH, Blow, Evidence
from holdfast.model.watch import Output
from holdfast.runner import agent
from holdfast.runner.agent import AskError
from holdfast.wire.base import Wire, WireError

Connect = Callable[[str], Awaitable[Wire]]
RETRY_S = 0.5


class HandsError(Exception):
    """A blow could not be struck or undone; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A blow that was struck; ``took_s``: how long its commands took on their place, without the way there."""

    id: str
    place: str
    took_s: float


@dataclass(frozen=True, slots=True)
class Healed:
    """A blow that was undone; ``by_switch``: its dead man's switch had done that before.

    ``after_s``: how long it took from the asking, waiting for the place to answer again included.
    """

    id: str
    place: str
    by_switch: bool
    after_s: float


@dataclass(frozen=True, slots=True)
class Pending:
    """A fault that a place remembers: armed and in force, or undone by its switch (``fired``).

    ``left_s``: seconds until the switch fires; negative afterwards. ``alive``: whether the switch still waits.
    ``complaints``: what the switch could not undo.
    """

    id: str
    place: str
    left_s: float
    fired: bool
    alive: bool
    complaints: tuple[str, ...]


class Hands:
    """Strikes blows and undoes them. ``connect`` opens a wire to a place (a host, or UNDERNEATH).

    Wires are kept, and opened anew when they broke: a cut network breaks them. ``limit_s``: how long undoing waits
    for a place to answer.
    """

    def __init__(self, connect: Connect, limit_s: float = 120.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._connect = connect
        self._limit_s = limit_s
        self._clock = clock
        self._wires: dict[str, Wire] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._struck: dict[tuple[str, str], Blow] = {}

    @property
    def struck(self) -> tuple[tuple[str, str], ...]:
        """Place and id of every blow that may be in force."""
        return tuple(self._struck)

    async def open(self, places: Iterable[str]) -> None:
        """Open the wires to places side by side, so that striking does not wait for that. Raises WireError."""
        await asyncio.gather(*(self._open(place) for place in places))

    async def strike(self, blow: Blow, id: str, undo_after_s: float) -> Struck:
        """Arm the undoing of a blow, then strike it. Raises HandsError; then it may be in force, so heal it.

        ``id`` names the blow on its place; ``undo_after_s``: when its dead man's switch undoes it.
        """
        if not blow.once:
            self._struck[blow.place, id] = blow
        request = {"do": "inject", "id": id, "undo_after_s": undo_after_s, "switch": agent.source("switch")}
        commands = {"inject": _plain(blow.inject), "heal": _plain(blow.heal)}
        try:
            answer = await self._ask(blow.place, request | commands)
        except AskError as error:
            raise HandsError(f"{_named(blow.place)}: {id} could not be struck: {error}") from error
        except WireError as error:
            raise HandsError(f"{id}: nobody knows whether it was struck: {error}") from error
        return Struck(id, blow.place, float(answer["took_s"]))

    async def evidence(self, blow: Blow) -> tuple[str, ...]:
        """Return the sentences that show that a blow bites now; none when any of them cannot be had."""
        found = await asyncio.gather(*(self._shown(blow.place, each) for each in blow.evidence))
        return tuple(found) if all(found) else ()

    async def heal(self, blow: Blow, id: str) -> Healed:
        """Undo a blow, however often the place must be asked. Raises HandsError when the limit has passed."""
        if blow.once:
            return Healed(id, blow.place, by_switch=False, after_s=0.0)
        healed = await self._heal(blow.place, id, _plain(blow.heal))
        self._struck.pop((blow.place, id), None)
        return healed

    async def heal_all(self) -> tuple[Healed, ...]:
        """Undo every blow that may be in force; what lies underneath first, for hosts may be unreachable until then.

        Raises HandsError with all that could not be undone, after everything was tried.
        """
        below = [each for each in self._struck if each[0] == UNDERNEATH]
        above = [each for each in self._struck if each[0] != UNDERNEATH]
        found = [*await self._heal_each(below), *await self._heal_each(above)]
        if wrong := [str(each) for each in found if isinstance(each, BaseException)]:
            raise HandsError("; ".join(wrong))
        return tuple(each for each in found if isinstance(each, Healed))

    async def pending(self, place: str) -> tuple[Pending, ...]:
        """Return the faults that a place remembers, left by whoever struck them. Raises WireError, HandsError."""
        try:
            answer = await self._ask(place, {"do": "pending"})
        except AskError as error:
            raise HandsError(f"{_named(place)}: {error}") from error
        return tuple(_pending(place, each) for each in answer["faults"])

    async def heal_pending(self, left: Pending) -> Healed:
        """Undo a fault that somebody else left, by the commands that its place remembers. Raises HandsError."""
        return await self._heal(left.place, left.id, [])

    async def close(self) -> None:
        """Give all wires back; nothing is undone by that."""
        wires, self._wires = self._wires, {}
        await asyncio.gather(*(wire.close() for wire in wires.values()), return_exceptions=True)

    async def _heal_each(self, which: list[tuple[str, str]]) -> list[Healed | BaseException]:
        tasks = [self.heal(self._struck[place, id], id) for place, id in which]
        return await asyncio.gather(*tasks, return_exceptions=True)

    async def _heal(self, place: str, id: str, commands: list[list[str]]) -> Healed:
        begun_s = self._clock()
        while True:
            try:
                answer = await self._ask(place, {"do": "heal", "id": id, "heal": commands})
            except (WireError, AskError) as error:
                waited_s = self._clock() - begun_s
                if waited_s > self._limit_s:
                    raise HandsError(f"{_named(place)}: {id} not undone after {waited_s:.0f} s: {error}") from error
            else:
                return Healed(id, place, bool(answer["by_switch"]), round(self._clock() - begun_s, 3))
            await asyncio.sleep(RETRY_S)

    async def _open(self, place: str) -> None:
        async with self._wire(place):
            pass

    async def _shown(self, place: str, evidence: Evidence) -> str:
        try:
            async with self._wire(place) as wire:
                output = await wire.run(evidence.argv, timeout_s=evidence.timeout_s)
        except WireError:
            return ""
        return _read(evidence, output)

    async def _ask(self, place: str, request: agent.Data) -> agent.Data:
        async with self._wire(place) as wire:
            return await agent.ask(wire, "strike", request)

    @asynccontextmanager
    async def _wire(self, place: str) -> AsyncIterator[Wire]:
        """The open wire to a place; one that breaks is given up, so that the next use opens another."""
        async with self._opening.setdefault(place, asyncio.Lock()):
            if place not in self._wires:
                self._wires[place] = await self._connect(place)
            wire = self._wires[place]
        try:
            yield wire
        except WireError:
            if self._wires.get(place) is wire:
                del self._wires[place]
                # A broken connection cannot say goodbye: waiting for that must not keep us from making a new one.
                await asyncio.wait([asyncio.create_task(wire.close())], timeout=RETRY_S)
            raise


def _plain(commands: tuple[tuple[str, ...], ...]) -> list[list[str]]:
    return [list(argv) for argv in commands]


def _named(place: str) -> str:
    return place or "underneath"


def _pending(place: str, told: agent.Data) -> Pending:
    return Pending(told["id"], place, told["left_s"], told["fired"], told["alive"], tuple(told["complaints"]))


def _read(evidence: Evidence, output: Output) -> str:
    """Return what an answer shows; one that cannot be read shows nothing."""
    try:
        return evidence.read(output)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""
