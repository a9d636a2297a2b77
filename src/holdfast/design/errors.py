"""What is wrong with a cluster file, and where: one line for each fault."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Located:
    """A fault with its place; ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}" + (f"; {self.hint}" if self.hint else "")


class SpecError(Exception):
    """A cluster file that cannot be used; ``complaints`` are all its faults, from top to bottom."""

    def __init__(self, complaints: Iterable[Located]) -> None:
        self.complaints = tuple(sorted(set(complaints), key=lambda each: (each.line, each.column, each.message)))
        super().__init__("\n".join(map(str, self.complaints)))


class SourceError(Exception):
    """A source that cannot be read; ``message`` is worded to follow the source's path."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)


def shown(text: str) -> str:
    """Return a text of the user in quotes, on one line and cut to 60 characters."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, or ""."""
    found = get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint: the probable word, else all that are known."""
    words = sorted(known)
    near = nearest(word, words)
    if near:
        return f"did you mean {near!r}?"
    return f"known: {', '.join(words)}" if words else ""
