"""Whether one server is in use: from echoes of its kernel, and from answers of its health path. Pure."""

import math
from dataclasses import dataclass

# Time between two echoes, and while the last one is missing: few when all is well, and many when it matters.
BEAT_S, DOUBT_BEAT_S = 0.1, 0.025
# So many echoes missing in a row are a dead host, when next to none are lost: a quarter of a second.
PATIENCE_MIN, PATIENCE_MAX = 6, 40
# With loss, as many as would be lost in a row by chance once in ten million.
CHANCE = 1e-7
LOSS_PART = 0.01
# A loop that comes so late was stopped itself, and knows nothing about others.
LATE_S = 0.15
# Sums of floats are not exact, and a whole beat more for a billionth of a second would be a pity.
SLACK_S = 0.001

# Time between two questions, and while an answer is overdue or was bad.
CHECK_S, DOUBT_CHECK_S = 0.5, 0.15
# An application that is slow but steady never has its last answer longer ago, and is not asked more often for it.
OVERDUE_S = CHECK_S * 1.1
# No good answer for this long, though it was asked three times in it: it hangs.
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


def silence_s(missing: int) -> float:
    """Return how long so many echoes take: the first is missed at a calm beat, the others follow faster."""
    return BEAT_S + (missing - 1) * DOUBT_BEAT_S


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

    def missed(self, now: float) -> bool:
        """Say whether the last echo is missing and it is not yet known what that means: ask faster."""
        return self.heard_at is not None and self.sent > self.answered and not self.gone(now)

    def doubtful(self, now: float) -> bool:
        """Say whether the host has been silent for half of the time of a dead one: nothing is to be built on it."""
        return self.heard_at is not None and now - self.heard_at >= silence_s(patience(self.loss)) / 2

    def gone(self, now: float) -> bool:
        """Say whether the host has been silent too long, in time and in echoes."""
        enough = patience(self.loss)
        return (
            self.heard_at is not None
            and self.sent - self.answered >= enough
            and now - self.heard_at >= silence_s(enough) - SLACK_S
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

    def doubtful(self, now: float) -> bool:
        """Say whether it is in use, but its last answer was bad or the next one is overdue: ask sooner."""
        return not self.why and (self.bad > 0 or now - self.good_at > OVERDUE_S)

    def looked(self, now: float) -> None:
        """Note that time passes without a good answer."""
        if not self.why and now - self.good_at >= MUTE_S:
            self.good, self.why = 0, f"no good answer for {MUTE_S:.1f} s"

    def forgive(self, gap_s: float) -> None:
        """Leave the time in which this program itself was stopped out of the silence."""
        self.good_at += gap_s
