"""A search for one order of operations that explains what everybody saw of a register (Wing and Gong, with Lowe's
memory of what was tried).

An order explains a history when it keeps real time (what ended before another began comes before it), every
acknowledged compare-and-set found the value it expected and made the version it was told, and every read saw the
value and version of that moment. A write in doubt may take effect at any time after it began, or never.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from holdfast.drills.check.values import RegisterRead, RegisterWrite
from holdfast.drills.history import Outcome

STATES = 100_000
"""So many states are tried at most; then the search gives up without an answer."""

Value = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Step:
    """What must have its place in the order: from ``before`` (None: it only reads) to ``after``, (value, version)."""

    started_s: float
    ended_s: float
    after: Value
    expected: str | None = None

    def next(self, state: Value) -> Value | None:
        """Return the state after it, None where it cannot happen."""
        fits = state == self.after if self.expected is None else state == (self.expected, self.after[1] - 1)
        return self.after if fits else None


@dataclass(frozen=True, slots=True)
class State:
    """How far an order got: bits of the steps it holds and of the doubtful writes it used, and the register."""

    done: int
    used: int
    value: Value


@dataclass(frozen=True, slots=True)
class Puzzle:
    """The steps sorted by their start, the doubtful writes by what they expect, versions that have a known writer."""

    steps: tuple[Step, ...]
    doubtful: Mapping[str, tuple[tuple[int, RegisterWrite], ...]]
    claimed: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Answer:
    """``explained``: None when the search gave up. ``placed``: how many steps of the best order found a place."""

    explained: bool | None
    placed: int
    value: Value


def explain(
    initial: Value, writes: Sequence[RegisterWrite], reads: Sequence[RegisterRead], final: Value | None
) -> Answer:
    """Search an order for one register. ``final``: what was there when everything was over, None if unread."""
    puzzle = _puzzle(writes, reads, final)
    best = start = _read_on(puzzle, State(0, 0, initial))
    waiting, tried = [start], {start}
    while waiting:
        state = waiting.pop()
        best = max(best, state, key=lambda each: each.done.bit_count())
        if state.done.bit_count() == len(puzzle.steps):
            return Answer(True, len(puzzle.steps), state.value)
        if len(tried) > STATES:
            return Answer(None, best.done.bit_count(), best.value)
        fresh = {_read_on(puzzle, each) for each in _written(puzzle, state)} - tried
        tried |= fresh
        waiting.extend(sorted(fresh, key=lambda each: (each.done, each.used)))
    return Answer(False, best.done.bit_count(), best.value)


def _puzzle(writes: Sequence[RegisterWrite], reads: Sequence[RegisterRead], final: Value | None) -> Puzzle:
    acked = [each for each in writes if each.outcome is Outcome.OK]
    steps = [Step(each.started_s, each.ended_s, (each.value, version_of(each)), each.expected) for each in acked]
    steps += [Step(each.started_s, each.ended_s, (each.value, each.version)) for each in reads]
    steps += [Step(math.inf, math.inf, final)] if final else []
    doubtful: dict[str, list[tuple[int, RegisterWrite]]] = {}
    for place, each in enumerate(each for each in writes if each.outcome is Outcome.INDETERMINATE):
        doubtful.setdefault(each.expected, []).append((place, each))
    return Puzzle(
        tuple(sorted(steps, key=lambda each: each.started_s)),
        {value: tuple(group) for value, group in doubtful.items()},
        frozenset(map(version_of, acked)),
    )


def version_of(write: RegisterWrite) -> int:
    """Return the version that an acknowledged write made. Raises ValueError when it was told none."""
    if write.version is None:
        raise ValueError(f"an acknowledged write of {write.session} to {write.key} has no version")
    return write.version


def _ready(puzzle: Puzzle, done: int) -> tuple[list[int], float]:
    """Return the steps that may come next, and until when whatever comes next must have begun."""
    deadline_s, ready = math.inf, []
    place = (~done & (done + 1)).bit_length() - 1
    while place < len(puzzle.steps) and puzzle.steps[place].started_s <= deadline_s:
        if not done >> place & 1:
            ready.append(place)
            deadline_s = min(deadline_s, puzzle.steps[place].ended_s)
        place += 1
    return ready, deadline_s


def _read_on(puzzle: Puzzle, state: State) -> State:
    """Give a place to every read that fits now: it changes nothing, so to wait can never be better."""
    done, grows = state.done, True
    while grows:
        ready, _ = _ready(puzzle, done)
        fitting = [each for each in ready if _reads(puzzle.steps[each], state.value)]
        grows = bool(fitting)
        for each in fitting:
            done |= 1 << each
    return State(done, state.used, state.value)


def _reads(step: Step, value: Value) -> bool:
    return step.expected is None and step.after == value


def _written(puzzle: Puzzle, state: State) -> Iterator[State]:
    """Return where the order can go on from here with a write."""
    ready, deadline_s = _ready(puzzle, state.done)
    for place in ready:
        step = puzzle.steps[place]
        after = step.next(state.value)
        if step.expected is not None and after:
            yield State(state.done | 1 << place, state.used, after)
    value, version = state.value
    if version + 1 in puzzle.claimed:
        return
    # Of doubtful writes that do the same, one is tried: what may begin now may begin later too.
    unused = [(place, each) for place, each in puzzle.doubtful.get(value, ()) if not state.used >> place & 1]
    begun = {each.value: place for place, each in unused if each.started_s <= deadline_s}
    for after_value, place in begun.items():
        yield State(state.done, state.used | 1 << place, (after_value, version + 1))
