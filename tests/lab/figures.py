"""Figures that tests measure: printed by the test, and all together at the end."""

from collections.abc import Callable

import pytest

from holdfast.drills.numbers import rounded_up

Figure = tuple[str, str, str]
FIGURES = pytest.StashKey[list[Figure]]()
Measured = Callable[[str, object], None]


class LossError(AssertionError):
    """Something acknowledged was lost or is there twice: nothing that happens to the computer excuses it."""


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Return the function that notes one figure of the running test."""
    kept = request.config.stash.setdefault(FIGURES, [])

    def note(what: str, value: object) -> None:
        text = f"{rounded_up(value, 2):.2f}" if isinstance(value, float) else str(value)
        kept.append((request.node.name, what, text))
        print(f"{what}: {text}")

    return note


def table(figures: list[Figure]) -> list[str]:
    """Return the figures as lines of a table."""
    rows = [("test", "figure", "value"), *figures]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
