"""Speaking while something goes on: sentences that stay, and a live line that the next one replaces."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

# Where there is no terminal, a line every so often shows that something goes on.
PLAIN_EVERY_S = 5.0


@dataclass(slots=True)
class Talk:
    """Speaks to a person at a terminal, or in plain lines to a file."""

    stream: TextIO
    clock: Callable[[], float] = time.monotonic
    _live: bool = field(default=False, init=False)
    _spoken_s: float = field(default=float("-inf"), init=False)

    def say(self, text: str) -> None:
        """Print a sentence that stays."""
        self._write(f"{self._wiped()}{text}\n")
        self._live = False
        self._spoken_s = self.clock()

    def live(self, text: str) -> None:
        """Show what goes on now: one line that is replaced, or where there is no terminal a plain line at times."""
        if self.stream.isatty():
            self._write(self._wiped() + text[: shutil.get_terminal_size().columns - 1])
            self._live = True
        elif self.clock() - self._spoken_s >= PLAIN_EVERY_S:
            self.say(text)

    def _wiped(self) -> str:
        return "\r\x1b[2K" if self._live else ""

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
