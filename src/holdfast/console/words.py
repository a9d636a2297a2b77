"""Words: counting, listing and cleaning text before a person sees it. Pure."""

from collections.abc import Iterable, Sequence
from typing import TypeVar
from unicodedata import category

T = TypeVar("T")


def clean(text: str) -> str:
    """Return a text as one line without control characters: a server's words must not steer a terminal."""
    printable = "".join(each if category(each)[0] != "C" else " " for each in text)
    return " ".join(printable.split())


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 host``, ``3 hosts``, ``2 directories``."""
    return f"{number} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Return the plural of a regular English noun."""
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def listed(names: Sequence[str], limit: int = 6) -> str:
    """Return names in a row, the tail counted when there are more than ``limit``."""
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[: limit - 1])} and {len(names) - limit + 1} more"


def unique(things: Iterable[T]) -> tuple[T, ...]:
    """Return things in their order, each once."""
    return tuple(dict.fromkeys(things))


def hosts_in_words(names: Iterable[str], every: Iterable[str]) -> str:
    """Return hosts as a list; ``all hosts`` when they are all of more than three."""
    found, whole = sorted(set(names)), sorted(set(every))
    return "all hosts" if found == whole and len(found) > 3 else listed(found)
