"""Rules for registers that are changed by compare-and-set and count their versions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from holdfast.drills.check.search import Value, explain, version_of
from holdfast.drills.check.values import RegisterHistory, RegisterRead, RegisterWrite
from holdfast.drills.check.words import at, few, judged, unknown
from holdfast.drills.history import Outcome
from holdfast.drills.record import Finding

Op = TypeVar("Op", RegisterWrite, RegisterRead)

SEARCHED = 5_000
"""The search is asked about registers with at most so many operations."""


@dataclass(frozen=True, slots=True)
class Cell:
    """All that happened to one register. ``final`` is None when it was not read; ``gone``: when others were."""

    key: str
    initial: Value
    acked: tuple[RegisterWrite, ...]
    doubtful: tuple[RegisterWrite, ...]
    reads: tuple[RegisterRead, ...]
    final: Value | None
    gone: bool

    @property
    def operations(self) -> int:
        """How many operations there were that may have had an effect or saw one."""
        return len(self.acked) + len(self.doubtful) + len(self.reads)


@dataclass(frozen=True, slots=True)
class Event:
    """An operation that tells a version: a write made it, a read saw it."""

    started_s: float
    ended_s: float
    version: int
    made: bool
    session: str

    @property
    def said(self) -> str:
        """The event in words."""
        return f"version {self.version} {'made' if self.made else 'read'} by {self.session} at {at(self.started_s)}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that looks at one register at a time. Texts may say ``{total}``, of the things it judged."""

    name: str
    judges: Callable[[Cell], int]
    violations: Callable[[Cell], Iterable[str]]
    kept: str
    broken: str
    nothing: str


def check_register(history: RegisterHistory, searched: int = SEARCHED) -> tuple[Finding, ...]:
    """Judge registers by every rule: one finding each, always in the same order.

    ``searched``: registers with more operations are judged by the local rules only. Raises ValueError for what
    cannot be a history: a register without initial value, an acknowledged write without version, an operation that
    ended before it began.
    """
    cells = cells_of(history)
    return (*(_finding(each, cells) for each in RULES), _linearizable(cells, searched))


def cells_of(history: RegisterHistory) -> tuple[Cell, ...]:
    """Return each register with what happened to it, in the order of keys."""
    _must_make_sense(history)
    writes, reads = _by_key(history.writes), _by_key(history.reads)
    return tuple(
        Cell(
            key=key,
            initial=initial,
            acked=tuple(each for each in writes.get(key, ()) if each.outcome is Outcome.OK),
            doubtful=tuple(each for each in writes.get(key, ()) if each.outcome is Outcome.INDETERMINATE),
            reads=tuple(reads.get(key, ())),
            final=history.final.get(key),
            gone=bool(history.final) and key not in history.final,
        )
        for key, initial in sorted(history.initial.items())
    )


def _by_key(operations: Iterable[Op]) -> dict[str, list[Op]]:
    found: dict[str, list[Op]] = {}
    for each in sorted(operations, key=lambda each: each.started_s):
        found.setdefault(each.key, []).append(each)
    return found


def _must_make_sense(history: RegisterHistory) -> None:
    operations: tuple[RegisterWrite | RegisterRead, ...] = (*history.writes, *history.reads)
    for each in operations:
        if each.key not in history.initial:
            raise ValueError(f"register {each.key} has no initial value")
        if not each.started_s <= each.ended_s:
            raise ValueError(f"an operation of {each.session} ended at {each.ended_s} and began at {each.started_s}")
    for write in history.writes:
        if write.outcome is Outcome.OK:
            version_of(write)


def _finding(rule: Rule, cells: Sequence[Cell]) -> Finding:
    total = sum(rule.judges(each) for each in cells)
    if not total:
        return unknown(rule.name, rule.nothing)
    violations = [f"{cell.key}: {text}" for cell in cells for text in rule.violations(cell)]
    return judged(rule.name, violations, rule.kept.format(total=total), rule.broken.replace("{total}", str(total)))


def _two_writers(cell: Cell) -> Iterator[str]:
    """Two acknowledgements of one version: one of the two updates is lost, so two leaders took writes."""
    for version, group in groupby(sorted(cell.acked, key=version_of), key=version_of):
        writers = [f"{each.session} at {at(each.ended_s)}" for each in group]
        if len(writers) > 1:
            yield f"version {version} was acknowledged to {few(writers)}"


def _values(cell: Cell) -> dict[int, str]:
    """Return the value of each version that has a known writer."""
    return {cell.initial[1]: cell.initial[0]} | {version_of(each): each.value for each in cell.acked}


def _odd_values(cell: Cell) -> Iterator[str]:
    """Whoever knows the value of a version knows the same one, and it comes from somebody."""
    values = _values(cell)
    for each in cell.acked:
        before = values.get(version_of(each) - 1, each.expected)
        if before != each.expected:
            yield f"version {each.version} replaced {each.expected} by {each.session}, but before it was {before}"
    seen: dict[int, str] = {}
    for read in cell.reads:
        known = values.get(read.version, seen.setdefault(read.version, read.value))
        if known != read.value:
            yield f"version {read.version} was read as {read.value} by {read.session}, but it is {known}"
        elif read.version not in values and not _begun(cell, read.value, read.ended_s):
            yield f"{read.value} was read by {read.session} at {at(read.started_s)}, but nobody had written it"


def _begun(cell: Cell, value: str, until_s: float) -> bool:
    """Return whether a write in doubt may have brought a value about until then."""
    return any(each.value == value and each.started_s <= until_s for each in cell.doubtful)


def _events(cell: Cell) -> tuple[Event, ...]:
    made = [Event(each.started_s, each.ended_s, version_of(each), True, each.session) for each in cell.acked]
    seen = [Event(each.started_s, each.ended_s, each.version, False, each.session) for each in cell.reads]
    return tuple(sorted((*made, *seen), key=lambda each: each.started_s))


def _late(cell: Cell) -> Iterator[tuple[Event, str]]:
    """Return events whose version is too old for what was known when they began, and what was known.

    A write makes a version newer than all known ones, a read sees none that is older.
    """
    events = _events(cell)
    ended = sorted(events, key=lambda each: each.ended_s)
    newest, known, taken = cell.initial[1], "the initial one", 0
    for each in events:
        while ended[taken].ended_s < each.started_s:
            if ended[taken].version > newest:
                newest, known = ended[taken].version, ended[taken].said
            taken += 1
        if each.version < newest + each.made:
            yield each, f"{each.said} after {known}"


def _odd_end(cell: Cell) -> Iterator[str]:
    """What is there in the end is the newest that is known, or a write in doubt that came later."""
    if cell.gone:
        yield "it is gone in the end"
    if cell.final is None:
        return
    value, version = cell.final
    values = _values(cell)
    newest = max((each.version for each in _events(cell)), default=cell.initial[1])
    if version < newest:
        yield f"it ended with version {version}, but version {newest} was known"
    if values.get(version, value) != value:
        yield f"it ended as {value}, but version {version} was {values[version]}"
    if version not in values and not any(each.value == value for each in cell.doubtful):
        yield f"it ended as {value}, and nobody wrote that"
    nameless = version - cell.initial[1] - sum(cell.initial[1] < each <= version for each in values)
    if nameless > len(cell.doubtful):
        yield f"{nameless} of its versions were acknowledged to nobody, and only {len(cell.doubtful)} are in doubt"


RULES = (
    Rule(
        name="register writers",
        judges=lambda cell: len(cell.acked),
        violations=_two_writers,
        kept="Each of {total} acknowledged versions has one writer.",
        broken="{count} versions were acknowledged to two writers ({total} acknowledgements): an update is lost.",
        nothing="No write to a register was acknowledged.",
    ),
    Rule(
        name="register values",
        judges=lambda cell: len(cell.acked) + len(cell.reads),
        violations=_odd_values,
        kept="{total} acknowledgements and reads agree on the value of each version.",
        broken="{count} of {total} acknowledgements and reads contradict others about a value.",
        nothing="No register was written or read.",
    ),
    Rule(
        name="register order",
        judges=lambda cell: len(cell.acked),
        violations=lambda cell: (text for each, text in _late(cell) if each.made),
        kept="The versions of {total} acknowledged writes are in the order of time.",
        broken="{count} of {total} acknowledged writes made a version that was known to be passed.",
        nothing="No write to a register was acknowledged.",
    ),
    Rule(
        name="register stale",
        judges=lambda cell: len(cell.reads),
        violations=lambda cell: (text for each, text in _late(cell) if not each.made),
        kept="Each of {total} reads saw the newest version known when it began, or a newer one.",
        broken="{count} of {total} reads saw an older version than was known when they began.",
        nothing="No register was read.",
    ),
    Rule(
        name="register final",
        judges=lambda cell: cell.gone + (cell.final is not None),
        violations=_odd_end,
        kept="{total} registers ended as their acknowledgements say.",
        broken="{count} contradictions between the end of {total} registers and their acknowledgements.",
        nothing="No register could be read in the end.",
    ),
)


def _linearizable(cells: Sequence[Cell], searched: int) -> Finding:
    name, total = "register linearizable", sum(each.operations for each in cells)
    if not total:
        return unknown(name, "No register was written or read.")
    small = [each for each in cells if each.operations <= searched]
    answers = {each.key: explain(each.initial, each.acked + each.doubtful, each.reads, each.final) for each in small}
    wrong = [
        f"{key}: no order gets farther than {each.placed} operations, to version {each.value[1]} ({each.value[0]})"
        for key, each in answers.items()
        if each.explained is False
    ]
    left = [each.key for each in cells if each.key not in answers or answers[each.key].explained is None]
    if left and not wrong:
        return unknown(name, f"Too large to search an order for: {few(left)} (of {len(cells)} registers).")
    return judged(
        name,
        wrong,
        f"One order explains all {total} operations on each of {len(cells)} registers.",
        f"{{count}} of {len(cells)} registers have operations that no order explains ({total} operations).",
    )
