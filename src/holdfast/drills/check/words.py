"""Findings in words: one place decides how a count, a moment and a violation are said."""

from collections.abc import Iterable, Sequence

from holdfast.drills.record import Finding, Verdict

EXAMPLES = 5
"""So many violations are named; the count in the text is always that of all."""


def judged(rule: str, violations: Iterable[str], kept: str, broken: str) -> Finding:
    """Return what was found: broken with the first violations when there are any; ``broken`` may say ``{count}``."""
    found = tuple(violations)
    if not found:
        return Finding(rule, Verdict.KEPT, kept)
    return Finding(rule, Verdict.BROKEN, broken.format(count=len(found)), found[:EXAMPLES])


def unknown(rule: str, why: str) -> Finding:
    """Return that there was nothing to judge a rule by, and why."""
    return Finding(rule, Verdict.UNKNOWN, why)


def at(moment_s: float) -> str:
    """Return a moment of the drill's clock for people."""
    return f"{moment_s:.3f} s"


def few(names: Sequence[str]) -> str:
    """Return some names, and how many more there are."""
    more = f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more
