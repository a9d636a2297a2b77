"""How much a session bears of a computer whose processors are taken away, and what it judges then."""

import time
from dataclasses import dataclass

import pytest

from holdfast.lab.stolen import TOLERATED, Lookout

# All has to end: for how long all tests together wait for processors, when at the latest a test begins a second time,
# and how much earlier the long ones do (one of two minutes within 2400 s, one of ten seconds within 4600 s).
WAIT_S, AGAIN_WITHIN_S, EARLIER = 480.0, 4800.0, 20.0


class LossError(AssertionError):
    """Something acknowledged was lost or is there twice: nothing that happens to the computer excuses it."""


class LateError(AssertionError):
    """Something did not come in time: of a computer without processors that says nothing."""


@dataclass
class Patience:
    """Looks at the processors; from `until_s` on (monotonic) not even a short test is begun a second time."""

    lookout: Lookout
    until_s: float

    def robbed(self) -> bool:
        """Return whether too much was taken away since the running test began."""
        return self.lookout.robbed() > TOLERATED

    def again(self, error: BaseException | None) -> bool:
        """Return whether a test that failed so says nothing yet."""
        ends_s = time.monotonic() + EARLIER * self.lookout.watched_s()
        return self.robbed() and ends_s < self.until_s and not isinstance(error, LossError)

    def judges(self, error: BaseException, attempt: int) -> bool:
        """Return whether a bound that was missed is a failure: at the last attempt without processors it is none."""
        return not self.robbed() or isinstance(error, LossError) or (attempt == 1 and self.again(error))


PATIENCE = pytest.StashKey[Patience]()


def patience() -> Patience:
    """Return the patience of a session that begins now."""
    return Patience(Lookout(WAIT_S), time.monotonic() + AGAIN_WITHIN_S)
