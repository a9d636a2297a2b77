"""A ledger's history made ready for judging: every set of keys becomes one large integer, one bit for each key.

Bits are given by the start of the writes, so the highest bit of a read is the latest write it saw, and whether one
read contains another is one operation of the processor for 64 keys.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import repeat
from operator import and_, or_

from holdfast.drills.check.values import PRIMARY, REPLICA, LedgerHistory, SetRead, Write
from holdfast.drills.history import Outcome

ONE = ord("1")


@dataclass(frozen=True, slots=True)
class Keys:
    """A multiset of keys: ``bits`` of those that somebody wrote, keys that stand there ``doubled``, and strangers."""

    bits: int
    doubled: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """A read and the keys it saw."""

    read: SetRead
    keys: Keys

    @property
    def bits(self) -> int:
        """The keys that somebody wrote, as bits."""
        return self.keys.bits


@dataclass(frozen=True, slots=True)
class View:
    """A history by bits. Bit n stands for ``writes[n]``; ``writes`` are sorted by their start.

    ``known_s``: for each bit, from when on every later primary read had to see it: the end of its acknowledgement or
    of the first primary read that saw it, infinity when neither happened.
    """

    writes: tuple[Write, ...]
    acked: int
    refused: int
    primary: tuple[Seen, ...]
    replicas: tuple[Seen, ...]
    finals: Mapping[str, Keys]
    replica_bound_s: float | None
    known_s: tuple[float, ...]

    @property
    def reads(self) -> tuple[Seen, ...]:
        """Return all reads but the final ones."""
        return self.primary + self.replicas

    @property
    def answers(self) -> tuple[Keys, ...]:
        """Return every multiset that was ever read, the final ones too."""
        return (*(each.keys for each in self.reads), *self.finals.values())

    @property
    def kept_everywhere(self) -> int:
        """Return the keys that every member has in the end; only to be asked when there is a final read."""
        return reduce(and_, (each.bits for each in self.finals.values()))

    def names(self, bits: int) -> tuple[str, ...]:
        """Return the keys behind bits."""
        return tuple(self.writes[place].key for place in places(bits))


def view_of(history: LedgerHistory) -> View:
    """Make a history ready. Raises ValueError when it cannot be one: a key that two operations wrote, an operation
    that ended before it began, an endpoint nobody knows.
    """
    _must_make_sense(history)
    writes = tuple(sorted(history.writes, key=lambda each: each.started_s))
    index = {each.key: place for place, each in enumerate(writes)}
    reads = tuple(Seen(each, keys_of(each.keys, index)) for each in history.reads)
    primary = tuple(each for each in reads if each.read.endpoint == PRIMARY)
    return View(
        writes=writes,
        acked=_with_outcome(writes, Outcome.OK),
        refused=_with_outcome(writes, Outcome.FAIL),
        primary=primary,
        replicas=tuple(each for each in reads if each.read.endpoint == REPLICA),
        finals={member: keys_of(keys, index) for member, keys in history.final.items()},
        replica_bound_s=history.replica_bound_s,
        known_s=known(writes, primary),
    )


def keys_of(keys: Sequence[str], index: Mapping[str, int]) -> Keys:
    """Return a multiset of keys by bits."""
    try:
        bits, strangers = bits_of(map(index.__getitem__, keys), len(index)), set()
    except KeyError:
        bits = bits_of((index[key] for key in keys if key in index), len(index))
        strangers = set(keys) - index.keys()
    whole = len(keys) == bits.bit_count() + len(strangers)
    doubled = () if whole else tuple(sorted(key for key, count in Counter(keys).items() if count > 1))
    return Keys(bits, doubled, tuple(sorted(strangers)))


def bits_of(found: Iterable[int], size: int) -> int:
    """Return the integer with these bits, all of them below ``size``."""
    flags = bytearray(b"0") * (size + 1)
    # A queue that keeps nothing: millions of keys go through here, and a loop takes three times as long.
    deque(map(flags.__setitem__, found, repeat(ONE)), maxlen=0)
    flags.reverse()
    return int(flags, 2)


def places(bits: int) -> Iterator[int]:
    """Return which bits are set, the lowest first."""
    text = bin(bits)[:1:-1]
    place = text.find("1")
    while place >= 0:
        yield place
        place = text.find("1", place + 1)


def union(sets: Iterable[int]) -> int:
    """Return the bits that any of them has."""
    return reduce(or_, sets, 0)


def known(writes: Sequence[Write], primary: Iterable[Seen]) -> tuple[float, ...]:
    """Return for each write from when on it had to be seen.

    Reads of replicas do not count: a replica may show a commit before the leader does, on a healthy cluster too.
    """
    known_s = [each.ended_s if each.outcome is Outcome.OK else math.inf for each in writes]
    before = 0
    for seen in sorted(primary, key=lambda each: each.read.ended_s):
        for place in places(seen.bits & ~before):
            known_s[place] = min(known_s[place], seen.read.ended_s)
        before |= seen.bits
    return tuple(known_s)


def _with_outcome(writes: Sequence[Write], outcome: Outcome) -> int:
    return bits_of((place for place, each in enumerate(writes) if each.outcome is outcome), len(writes))


def _must_make_sense(history: LedgerHistory) -> None:
    twice = [key for key, count in Counter(each.key for each in history.writes).items() if count > 1]
    if twice:
        raise ValueError(f"key {twice[0]} is written by two operations: a retry belongs to the same write")
    operations: tuple[Write | SetRead, ...] = (*history.writes, *history.reads)
    for each in operations:
        if not each.started_s <= each.ended_s:
            raise ValueError(f"an operation of {each.session} ended at {each.ended_s} and began at {each.started_s}")
    strange = sorted({each.endpoint for each in history.reads} - {PRIMARY, REPLICA})
    if strange:
        raise ValueError(f"no endpoint is called {strange[0]!r}: a read is judged as {PRIMARY} or as {REPLICA}")
