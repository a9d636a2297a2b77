"""Slow, plain searches for an order that explains a history. They share nothing with the checker but its values."""

import math
from itertools import combinations, permutations

from holdfast.drills.check.values import LedgerHistory, RegisterHistory, RegisterRead, RegisterWrite
from holdfast.drills.history import Outcome

Operation = tuple[float, float, bool, bool, frozenset[str]]
"""Start, end, whether it must have happened, whether it reads, and its keys."""


def possible_set(history: LedgerHistory) -> bool:
    """Whether some order of all primary reads and writes explains what a set's clients saw.

    Tries every operation that may come next, in every state; a state is the set of operations that happened.
    """
    answers = [each.keys for each in history.reads] + list(history.final.values())
    if any(len(set(keys)) < len(keys) for keys in answers):
        return False
    operations: list[Operation] = [
        (each.started_s, each.ended_s, True, True, frozenset(each.keys)) for each in history.reads
    ]
    operations += [(math.inf, math.inf, True, True, frozenset(keys)) for keys in history.final.values()]
    for each in history.writes:
        sure = each.outcome is Outcome.OK
        if each.outcome is not Outcome.FAIL:
            operations.append(
                (each.started_s, each.ended_s if sure else math.inf, sure, False, frozenset((each.key,)))
            )
    return _reaches_the_end(operations)


def _reaches_the_end(operations: list[Operation]) -> bool:
    waiting: list[frozenset[int]] = [frozenset()]
    tried: set[frozenset[int]] = set(waiting)
    while waiting:
        done = waiting.pop()
        rest = [place for place in range(len(operations)) if place not in done]
        must = [operations[place] for place in rest if operations[place][2]]
        if not must:
            return True
        there = frozenset().union(*(operations[place][4] for place in done if not operations[place][3]))
        latest_s = min(each[1] for each in must)
        for place in rest:
            started_s, _, _, reads, keys = operations[place]
            after = done | {place}
            if started_s <= latest_s and (not reads or keys == there) and after not in tried:
                tried.add(after)
                waiting.append(after)
    return False


def possible_register(history: RegisterHistory) -> bool:
    """Whether some order explains what clients of the one register saw: literally tries all orders, of all writes
    that were acknowledged and any of those in doubt."""
    sure: list[RegisterWrite | RegisterRead] = [each for each in history.writes if each.outcome is Outcome.OK]
    sure += history.reads
    doubtful = [each for each in history.writes if each.outcome is Outcome.INDETERMINATE]
    return any(
        any(_explains(history, order) for order in permutations([*sure, *chosen]))
        for count in range(len(doubtful) + 1)
        for chosen in combinations(doubtful, count)
    )


def _explains(history: RegisterHistory, order: tuple[RegisterWrite | RegisterRead, ...]) -> bool:
    return _keeps_time(order) and _ends_right(history, order)


def _keeps_time(order: tuple[RegisterWrite | RegisterRead, ...]) -> bool:
    began_s = -math.inf
    for each in order:
        doubtful = isinstance(each, RegisterWrite) and each.outcome is Outcome.INDETERMINATE
        if not doubtful and each.ended_s < began_s:
            return False
        began_s = max(began_s, each.started_s)
    return True


def _ends_right(history: RegisterHistory, order: tuple[RegisterWrite | RegisterRead, ...]) -> bool:
    ((key, (value, version)),) = history.initial.items()
    for each in order:
        if isinstance(each, RegisterRead):
            if (each.value, each.version) != (value, version):
                return False
            continue
        if each.expected != value or each.version not in (None, version + 1):
            return False
        value, version = each.value, version + 1
    return history.final.get(key, (value, version)) == (value, version)
