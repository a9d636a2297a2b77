"""Histories for the checker's tests: written by hand, of a small correct store, and random small ones."""

import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from holdfast.drills.check.values import (
    PRIMARY,
    REPLICA,
    LedgerHistory,
    RegisterHistory,
    RegisterRead,
    RegisterWrite,
    SetRead,
    Write,
)
from holdfast.drills.history import Outcome
from holdfast.drills.record import Finding, Verdict

OK, FAIL, DOUBT = Outcome.OK, Outcome.FAIL, Outcome.INDETERMINATE
MEMBERS = ("a", "b", "c")


def verdicts(findings: Iterable[Finding]) -> dict[str, Verdict]:
    return {each.rule: each.verdict for each in findings}


def broken(findings: Iterable[Finding]) -> set[str]:
    return {each.rule for each in findings if each.verdict is Verdict.BROKEN}


def write(
    key: str,
    started_s: float,
    ended_s: float,
    outcome: Outcome = OK,
    session: str = "s1",
    timeline: int | None = None,
    node: str = "",
) -> Write:
    return Write(session, key, started_s, ended_s, outcome, timeline, node)


def read(keys: str, started_s: float, ended_s: float, session: str = "r1", endpoint: str = PRIMARY) -> SetRead:
    """One letter for each key."""
    return SetRead(session, endpoint, started_s, ended_s, tuple(keys))


def ledger(*operations: Write | SetRead, final: str | None = None, bound_s: float | None = None) -> LedgerHistory:
    """``final``: one letter for each key that all three members have; None: unread."""
    return LedgerHistory(
        tuple(each for each in operations if isinstance(each, Write)),
        tuple(each for each in operations if isinstance(each, SetRead)),
        {} if final is None else {member: tuple(final) for member in MEMBERS},
        bound_s,
    )


# A correct store: every operation has one moment at which it happens, in which no other does


@dataclass
class Store:
    """Keys by the moment they were put in; what the store held at a moment is what was put in before."""

    effects: list[tuple[float, str]] = field(default_factory=list)

    def at(self, moment_s: float) -> tuple[str, ...]:
        count = bisect_right(self.effects, (moment_s, "~"))
        return tuple(key for _, key in self.effects[:count])


def latency_s(dice: random.Random) -> float:
    return 0.001 + dice.expovariate(20) + (dice.random() < 0.03) * dice.uniform(0.5, 3)


@dataclass(frozen=True)
class Draft:
    """A read before its answer is known: it will see what was there at a moment."""

    read: SetRead
    moment_s: float


BOUND_S = 0.8
TAKEOVERS_S = (4.0, 9.0)


def run(seed: int, sessions: int = 6, each: int = 60) -> LedgerHistory:
    """A run of a correct ledger: two failovers, doubts that come true late, replicas that lag within the bound."""
    dice = random.Random(seed)
    store = Store()
    writes: list[Write] = []
    drafts: list[Draft] = []
    for client in range(sessions):
        session, now_s = f"s{client}", dice.random()
        for number in range(each):
            started_s = now_s + dice.expovariate(10)
            now_s = started_s + latency_s(dice)
            if dice.random() < 0.3:
                drafts.append(draft(dice, session, started_s, now_s))
                continue
            made = attempt(dice, store, f"{client}-{number}", session, started_s, now_s)
            writes.append(made)
            if made.outcome is DOUBT:
                session = f"s{client}.{number}"
    store.effects.sort()
    reads = tuple(replace(each.read, keys=store.at(each.moment_s)) for each in drafts)
    final = {member: tuple(dice.sample(keys, len(keys))) for member in MEMBERS if (keys := store.at(1e9))}
    return LedgerHistory(tuple(writes), reads, final, BOUND_S)


def draft(dice: random.Random, session: str, started_s: float, ended_s: float) -> Draft:
    moment_s = dice.uniform(started_s, ended_s)
    if dice.random() < 0.3:
        return Draft(SetRead(session, REPLICA, started_s, ended_s, ()), moment_s - dice.uniform(0, BOUND_S))
    return Draft(SetRead(session, PRIMARY, started_s, ended_s, ()), moment_s)


def attempt(dice: random.Random, store: Store, key: str, session: str, started_s: float, ended_s: float) -> Write:
    outcome = dice.choices((OK, FAIL, DOUBT), (8, 1, 1))[0]
    late_s = dice.uniform(0, 4) * (outcome is DOUBT)
    moment_s = dice.uniform(started_s, ended_s + late_s)
    if outcome is OK or (outcome is DOUBT and dice.random() < 0.5):
        store.effects.append((moment_s, key))
    reign = bisect_right(TAKEOVERS_S, moment_s)
    told = outcome is OK
    return Write(
        session, key, started_s, ended_s, outcome, reign + 1 if told else None, MEMBERS[reign] if told else ""
    )


# Random small histories of a set: some are possible, some are not


def small_ledger(dice: random.Random) -> LedgerHistory:
    """Up to five writes and four reads in two or three sessions, small whole times, so that many are equal."""
    writes: list[Write] = []
    moments: list[float] = []
    reads: list[Draft] = []
    for session in range(dice.randint(2, 3)):
        now_s = float(dice.randint(0, 3))
        for _ in range(dice.randint(1, 3)):
            started_s = now_s + dice.randint(0, 2)
            now_s = started_s + dice.randint(0, 4)
            if len(writes) < 5 and dice.random() < 0.55:
                made = small_write(dice, f"s{session}", "abcde"[len(writes)], started_s, now_s)
                writes.append(made)
                moments.append(small_moment(dice, made))
            elif len(reads) < 4:
                reads.append(
                    Draft(SetRead(f"s{session}", PRIMARY, started_s, now_s, ()), dice.uniform(started_s, now_s))
                )
    store = Store(
        sorted((moment_s, each.key) for moment_s, each in zip(moments, writes, strict=True) if moment_s >= 0)
    )
    answers = [replace(each.read, keys=store.at(each.moment_s)) for each in reads]
    final = {"a": store.at(1e9)} if dice.random() < 0.8 else {}
    return spoiled(dice, LedgerHistory(tuple(writes), tuple(answers), final))


def small_write(dice: random.Random, session: str, key: str, started_s: float, ended_s: float) -> Write:
    return Write(session, key, started_s, ended_s, dice.choices((OK, FAIL, DOUBT), (6, 1, 3))[0])


def small_moment(dice: random.Random, made: Write) -> float:
    """When it takes effect; negative: never."""
    if made.outcome is OK:
        return dice.uniform(made.started_s, made.ended_s)
    happens = made.outcome is DOUBT and dice.random() < 0.6
    return made.started_s + dice.uniform(0, 8) if happens else -1.0


def spoiled(dice: random.Random, history: LedgerHistory) -> LedgerHistory:
    """Return a history with none, one or two of its answers changed."""
    for _ in range(dice.choice((0, 1, 1, 2))):
        history = spoiled_once(dice, history)
    return history


def spoiled_once(dice: random.Random, history: LedgerHistory) -> LedgerHistory:
    target = dice.randint(0, len(history.reads))
    if target == len(history.reads):
        final = {member: other(dice, history, keys) for member, keys in history.final.items()}
        return replace(history, final=final)
    reads = list(history.reads)
    reads[target] = replace(reads[target], keys=other(dice, history, reads[target].keys))
    return replace(history, reads=tuple(reads))


def other(dice: random.Random, history: LedgerHistory, keys: tuple[str, ...]) -> tuple[str, ...]:
    """Other keys than those: one more, one less, one twice, a strange one."""
    chance = dice.random()
    if chance < 0.04:
        return (*keys, "z")
    if keys and chance < 0.08:
        return (*keys, dice.choice(keys))
    if not history.writes:
        return keys
    key = dice.choice(history.writes).key
    return tuple(each for each in keys if each != key) if key in keys else (*keys, key)


# Registers


@dataclass(frozen=True)
class Attempt:
    """A compare-and-set or a read of a register before anybody knows how it ends."""

    session: str
    started_s: float
    ended_s: float
    moment_s: float
    reads: bool
    doubt: bool = False


@dataclass
class Cell:
    """A correct register, and a memory of the values it had."""

    value: str = "v0"
    version: int = 0
    had: list[str] = field(default_factory=lambda: ["v0"])

    def swap(self, expected: str, value: str) -> int | None:
        if self.value != expected:
            return None
        self.value, self.version = value, self.version + 1
        self.had.append(value)
        return self.version


def attempts(dice: random.Random, sessions: int, each: int, pause_s: float, spread_s: float) -> list[Attempt]:
    made = []
    for client in range(sessions):
        session, now_s = f"s{client}", dice.uniform(0, pause_s)
        for number in range(each):
            started_s = now_s + dice.uniform(0, pause_s)
            now_s = started_s + dice.uniform(0, spread_s)
            doubt = dice.random() < 0.15
            end_s = now_s + doubt * dice.uniform(0, 3 * spread_s)
            moment_s = dice.uniform(started_s, end_s)
            reads = dice.random() < 0.35
            made.append(
                Attempt(session, started_s, now_s, moment_s if not reads else min(moment_s, now_s), reads, doubt)
            )
            if doubt and not reads:
                session = f"s{client}.{number}"
    return sorted(made, key=lambda each: each.moment_s)


def cell_run(dice: random.Random, key: str, plan: Sequence[Attempt], fresh: bool) -> RegisterHistory:
    """What happens when a correct register is asked these things. Without ``fresh``, values come again."""
    cell = Cell()
    writes: list[RegisterWrite] = []
    reads: list[RegisterRead] = []
    for number, each in enumerate(plan):
        if each.reads:
            found = RegisterRead(each.session, key, cell.value, cell.version, each.started_s, each.ended_s)
            reads.append(found)
            continue
        expected = cell.value if dice.random() < 0.8 else dice.choice(cell.had)
        value = f"v{number + 1}" if fresh else f"v{dice.randint(0, 2)}"
        happens = not each.doubt or dice.random() < 0.6
        version = cell.swap(expected, value) if happens else None
        outcome = DOUBT if each.doubt else (OK if version else FAIL)
        told = version if outcome is OK else None
        writes.append(RegisterWrite(each.session, key, value, expected, told, each.started_s, each.ended_s, outcome))
    return RegisterHistory(tuple(writes), tuple(reads), {key: ("v0", 0)}, {key: (cell.value, cell.version)})


def register_run(seed: int, keys: int = 3, sessions: int = 5, each: int = 40) -> RegisterHistory:
    """A run of correct registers."""
    dice = random.Random(seed)
    runs = [cell_run(dice, f"k{key}", attempts(dice, sessions, each, 0.1, 0.08), True) for key in range(keys)]
    return RegisterHistory(
        tuple(write for one in runs for write in one.writes),
        tuple(read for one in runs for read in one.reads),
        {key: value for one in runs for key, value in one.initial.items()},
        {key: value for one in runs for key, value in one.final.items()},
    )


def small_register(dice: random.Random) -> RegisterHistory:
    """Up to six operations on one register, with small whole times; some possible, some not."""
    plan = [
        replace(each, started_s=float(round(each.started_s)), ended_s=float(round(each.ended_s)))
        for each in attempts(dice, dice.randint(2, 3), dice.randint(1, 2), 2, 4)
    ]
    history = cell_run(dice, "k", plan, dice.random() < 0.5)
    if dice.random() < 0.25:
        history = replace(history, final={})
    for _ in range(dice.choice((0, 1, 1, 2))):
        history = spoiled_register(dice, history)
    return history


def spoiled_register(dice: random.Random, history: RegisterHistory) -> RegisterHistory:
    writes, reads, final = list(history.writes), list(history.reads), dict(history.final)
    acked = [place for place, each in enumerate(writes) if each.version is not None]
    kind = dice.randint(0, 4)
    if kind == 0 and acked:
        place = dice.choice(acked)
        writes[place] = replace(writes[place], version=(writes[place].version or 0) + dice.choice((-1, 1)))
    elif kind == 1 and reads:
        place = dice.randrange(len(reads))
        reads[place] = replace(reads[place], version=max(0, reads[place].version + dice.choice((-1, 1))))
    elif kind == 2 and reads:
        place = dice.randrange(len(reads))
        reads[place] = replace(reads[place], value=f"v{dice.randint(0, 4)}")
    elif kind == 3 and final:
        value, version = final["k"]
        final["k"] = dice.choice(
            ((value, max(0, version + dice.choice((-1, 1)))), (f"v{dice.randint(0, 4)}", version))
        )
    elif kind == 4 and acked:
        place = dice.choice(acked)
        writes[place] = replace(writes[place], expected=f"v{dice.randint(0, 3)}")
    return replace(history, writes=tuple(writes), reads=tuple(reads), final=final)
