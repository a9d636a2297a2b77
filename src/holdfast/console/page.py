"""Page: lines of text that wrap under their own last column on a terminal, and stay whole in a pipe."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

GAP = 2
_NARROWEST = 24


@dataclass(frozen=True, slots=True)
class Line:
    """One line; when it must wrap, it goes on ``hang`` columns to the right."""

    text: Text
    hang: int = 0


@dataclass(frozen=True)
class Page:
    """Lines from top to bottom, for rich."""

    lines: tuple[Line, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines: as they are for programs such as grep, wrapped for eyes."""
        for line in self.lines:
            yield from wrapped(line, console, options.max_width) if console.is_terminal else (line.text,)


def wrapped(line: Line, console: Console, width: int) -> Iterable[Text]:
    """Yield a line in pieces no wider than ``width``, the later ones indented by its hang."""
    if line.text.cell_len <= width:
        yield line.text
        return
    hang = min(line.hang, max(width - _NARROWEST, 0))
    head, rest = line.text.divide([hang])
    for index, piece in enumerate(rest.wrap(console, width - hang)):
        piece.rstrip()
        yield Text.assemble(head if index == 0 else " " * hang, piece)


def say(*parts: str | Text | tuple[str, str], indent: int = 0, hang: int = 0) -> Line:
    """Return one line of parts; a part may carry its style."""
    return Line(Text.assemble(" " * indent, *parts), indent + hang)


BLANK = Line(Text())


def columns(rows: Iterable[Sequence[Text]], indent: int = 0) -> tuple[Line, ...]:
    """Return rows with their cells in columns; only the last column may grow without limit."""
    table = [list(row) for row in rows]
    count = max((len(row) for row in table), default=0)
    widths = [max((row[each].cell_len for row in table if each < len(row)), default=0) for each in range(count - 1)]
    hang = indent + sum(widths) + GAP * len(widths)
    return tuple(Line(_row(row, widths, indent), hang) for row in table)


def _row(cells: Sequence[Text], widths: Sequence[int], indent: int) -> Text:
    line = Text(" " * indent)
    for index, cell in enumerate(cells):
        line.append_text(cell)
        if index < len(widths):
            line.append(" " * (widths[index] + GAP - cell.cell_len))
    line.rstrip()
    return line
