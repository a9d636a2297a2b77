"""A value read through a row of sources, with the last good copy as the final one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .errors import Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """A value and where it came from; `stale` when it is a copy that no source confirmed just now."""

    value: T
    source: str
    age_s: float = 0.0

    @property
    def stale(self) -> bool:
        return self.source == "memory"


@dataclass(frozen=True, slots=True)
class Source(Generic[T]):
    """One place to ask, and the exceptions that mean that it is away."""

    name: str
    load: Callable[[], Awaitable[T]]
    away: tuple[type[Exception], ...]


class ReadThrough(Generic[T]):
    """Asks the sources in turn, for all waiting requests at once, and remembers the last answer.

    Somebody who waits longer than `patience_s` gets the last answer, marked stale, while the search goes on;
    for `rest_s` after a search in vain everybody gets it at once.
    """

    def __init__(
        self,
        sources: Sequence[Source[T]],
        clock: Callable[[], float],
        *,
        patience_s: float = 0.3,
        rest_s: float = 1.0,
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._patience_s = patience_s
        self._rest_s = rest_s
        self._rest_until_s = float("-inf")
        self._copy: tuple[T, float] | None = None
        self._search: asyncio.Task[Reading[T]] | None = None

    @property
    def filled(self) -> bool:
        """Whether there is a copy to fall back to."""
        return self._copy is not None

    def remember(self, value: T) -> None:
        self._copy = (value, self._clock())

    async def read(self) -> Reading[T]:
        """The value from the first source that answers; raises Unavailable when none ever did."""
        if self._copy is None:
            return await asyncio.shield(self._searching())
        if self._clock() >= self._rest_until_s:
            search = self._searching()
            await asyncio.wait({search}, timeout=self._patience_s)
            if search.done() and search.exception() is None:
                return search.result()
        value, born_s = self._copy
        return Reading(value, "memory", self._clock() - born_s)

    def _searching(self) -> "asyncio.Task[Reading[T]]":
        if self._search is None or self._search.done():
            self._search = asyncio.create_task(self._ask())
            # Nobody may be left to look at a search that failed after everybody's patience.
            self._search.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._search

    async def _ask(self) -> Reading[T]:
        for source in self._sources:
            try:
                value = await source.load()
            except source.away:
                continue
            self.remember(value)
            return Reading(value, source.name)
        self._rest_until_s = self._clock() + self._rest_s
        raise Unavailable("neither the cache nor any database server answers")
