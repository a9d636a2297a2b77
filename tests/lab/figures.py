"""Figures that tests measure: printed by the test, and all together at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from holdfast.drills.numbers import rounded_up
from patience import PATIENCE

Figure = tuple[str, str, str]
FIGURES = pytest.StashKey[list[Figure]]()


class Measured:
    """Notes the figures of one test, and holds them against bounds."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def __call__(self, what: str, value: object) -> None:
        """Note one figure."""
        text = f"{rounded_up(value, 2):.2f}" if isinstance(value, float) else str(value)
        self._item.config.stash.setdefault(FIGURES, []).append((self._item.name, what, text))
        print(f"{what}: {text}")

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """Assert within what only a computer that has its processors can keep: what was done when, and what waited.

        Without them the test fails at first, and runs again; the next time it is noted that nothing could be judged.
        """
        try:
            yield
        except AssertionError as error:
            if not self.excuses(error):
                raise

    def excuses(self, error: AssertionError) -> bool:
        """Return whether a bound was missed without processors at the last attempt; that is noted then."""
        patience = self._item.config.stash[PATIENCE]
        if patience.judges(error, getattr(self._item, "execution_count", 1)):
            return False
        taken = f"{patience.lookout.robbed():.0%} of the processors was taken away"
        self(f"NOT JUDGED, up to {taken}", str(error).partition("\n")[0])
        return True


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Return what notes the figures of the running test."""
    return Measured(request.node)


def table(figures: list[Figure]) -> list[str]:
    """Return the figures as lines of a table."""
    rows = [("test", "figure", "value"), *figures]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
