"""How much a session bears of a computer whose processors are taken away, and what it judges then."""

import time
from dataclasses import dataclass

import pytest

from holdfast.lab.stolen import TOLERATED, Lookout

# For how long all tests together wait for processors, and from when on none is begun a second time: all has to end.
WAIT_S, AGAIN_WITHIN_S = 240.0, 2400.0


class LossError(AssertionError):
    """Something acknowledged was lost or is there twice: nothing that happens to the computer excuses it."""


class LateError(AssertionError):
    """Something did not come in time: of a computer without processors that says nothing."""


@dataclass
class Patience:
    """Looks at the processors, and knows when no test is begun a second time any more (s, monotonic)."""

    lookout: Lookout
    until_s: float

    def robbed(self) -> bool:
        """Return whether too much was taken away since the running test began."""
        return self.lookout.robbed() > TOLERATED

    def again(self, error: BaseException | None) -> bool:
        """Return whether a test that failed so says nothing yet."""
        return self.robbed() and time.monotonic() < self.until_s and not isinstance(error, LossError)

    def judges(self, error: BaseException, attempt: int) -> bool:
        """Return whether a bound that was missed is a failure: at the last attempt without processors it is none."""
        return not self.robbed() or isinstance(error, LossError) or (attempt == 1 and self.again(error))


PATIENCE = pytest.StashKey[Patience]()


def patience() -> Patience:
    """Return the patience of a session that begins now."""
    return Patience(Lookout(WAIT_S), time.monotonic() + AGAIN_WITHIN_S)
