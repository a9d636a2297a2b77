"""Scenarios: which faults strike when, at what, and what must hold. Values only; the drill runner plays them."""

import random
from dataclasses import dataclass

# What may go on meanwhile.
SWITCHOVER = "switchover"
RELEASE = "release"
BAD_RELEASE = "bad release"
APPLY = "apply"
DURING = ("", SWITCHOVER, RELEASE, BAD_RELEASE, APPLY)


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault of a scenario.

    ``target``: a word (`targets.resolve`), "" for the fault's own. ``at_s``: seconds after the beginning of the
    disturbance, or after the operation that goes on meanwhile has begun to change something. ``hold_s``: how long it
    stays in force, None for the fault's own time.
    """

    fault: str
    target: str = ""
    at_s: float = 0.0
    hold_s: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A drill before it is run: one or more strikes, and perhaps an operation that they meet.

    ``codes``: where it stands in the catalogue of faults. ``during``: what begins with the first strike (or is
    the whole disturbance, when there is none): ``switchover``, ``release``, ``bad release`` (a version that does not
    start) or ``apply``; "" for nothing. ``settle_s``: how long the load goes on after the last heal before the
    cluster must be healthy. ``promise``: what must hold. ``fast``: it belongs to the suite of ten minutes.
    ``gives_up``: nobody may lead while the faults last, so writing must stop, and the promised time counts from the
    healing.
    ``stays``: nobody else may take the lead of the database.
    ``pause_s``: of a planned deed, the longest pause that clients may feel, where it is shorter than the promised
    time to recover; and then no request at the front door may fail. 0: as promised for faults.
    """

    name: str
    title: str
    codes: tuple[str, ...]
    strikes: tuple[Strike, ...]
    promise: str
    during: str = ""
    settle_s: float = 60.0
    fast: bool = False
    gives_up: bool = False
    stays: bool = False
    pause_s: float = 0.0


def other_seed(seed: int, name: str) -> int:
    """Return the seed of one drill of a suite: the same for the same suite seed and name."""
    return random.Random(f"{seed}/{name}").randrange(1_000_000)  # noqa: S311
