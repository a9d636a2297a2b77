"""Whether one server is in use: from echoes of its kernel, and from answers of its health path. Pure."""

import math
from dataclasses import dataclass

BEAT_S = 0.04
# So many echoes missing in a row are a dead host, when next to none are lost: a quarter of a second.
PATIENCE_MIN, PATIENCE_MAX = 6, 40
# With loss, as many as would be lost in a row by chance once in ten million.
CHANCE = 1e-7
LOSS_PART = 0.01
# A loop that comes so late was stopped itself, and knows nothing about others.
LATE_S = 0.15

CHECK_S = 0.25
# No good answer for this long, though it was asked four times a second: it hangs.
MUTE_S = 0.9
BAD_MAX = 2
GOOD_MIN = 2


def patience(loss: float) -> int:
    """Return how many missing echoes in a row mean death, for a share of lost ones: more loss, more patience."""
    if loss <= 0.0:
        return PATIENCE_MIN
    if loss >= 1.0:
        return PATIENCE_MAX
    return min(PATIENCE_MAX, max(PATIENCE_MIN, math.ceil(math.log(CHANCE) / math.log(loss) - 1e-9)))


@dataclass(slots=True)
class Pulse:
    """Echoes of one host's kernel. A host that never answered is never called dead: echoes may be blocked."""

    loss: float = 0.0
    sent: int = 0
    answered: int = 0
    heard_at: float | None = None

    def heard(self, number: int, now: float) -> None:
        """Note the answer to an echo. What was missed before a host was called dead is no loss."""
        if number <= self.answered or number > self.sent:
            return
        missed = number - self.answered - 1 if self.heard_at is not None else 0
        if missed < patience(self.loss):
            for lost in (*(1.0,) * missed, 0.0):
                self.loss += LOSS_PART * (lost - self.loss)
        self.answered, self.heard_at = number, now

    def forgive(self, gap_s: float) -> None:
        """Leave the time in which this program itself was stopped out of the silence."""
        if self.heard_at is not None:
            self.heard_at += gap_s

    def doubtful(self, now: float) -> bool:
        """Say whether the host has been silent for half of that time: nothing is to be built on it."""
        return self.heard_at is not None and now - self.heard_at >= patience(self.loss) * BEAT_S / 2

    def gone(self, now: float) -> bool:
        """Say whether the host has been silent too long, in time and in echoes."""
        enough = patience(self.loss)
        return (
            self.heard_at is not None
            and self.sent - self.answered >= enough
            and now - self.heard_at >= enough * BEAT_S
        )


@dataclass(slots=True)
class Health:
    """Answers of one server's health path. ``why`` says why it is out of use, "" while it is in use."""

    good_at: float
    good: int = 0
    bad: int = 0
    why: str = ""

    def answered(self, wrong: str, now: float, *, refused: bool = False) -> None:
        """Note one answer; ``wrong`` is empty for a good one. Refused: nothing listens; no second look is needed."""
        if wrong:
            self.good, self.bad = 0, self.bad + 1
            if refused or self.bad >= BAD_MAX:
                self.why = wrong
            return
        self.good, self.bad, self.good_at = self.good + 1, 0, now
        if self.why and self.good >= GOOD_MIN:
            self.why = ""

    def looked(self, now: float) -> None:
        """Note that time passes without a good answer."""
        if not self.why and now - self.good_at >= MUTE_S:
            self.good, self.why = 0, f"no good answer for {MUTE_S:.1f} s"

    def forgive(self, gap_s: float) -> None:
        """Leave the time in which this program itself was stopped out of the silence."""
        self.good_at += gap_s
