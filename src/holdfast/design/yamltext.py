"""YAML text with places: every value knows its line and column, and every fault is told in plain words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from ruamel.yaml.reader import ReaderError

from holdfast.design.errors import Located, shown

MAX_DEPTH = 32
MAX_NODES = 20_000

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,2})?")
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_TAB = re.compile(r" *\t")
_SURROGATE = re.compile("[\ud800-\udfff]")

# What the parser says, as a part of its message, and what that means to the writer of the file.
_PLAIN_WORDS = (
    ("mapping values are not allowed", "a second ':' on this line, or a wrong indentation", "quote the text"),
    ("expected '<document start>'", "something follows the end of the only value", "one mapping makes a file"),
    ("could not find expected ':'", "a key without ':'", "write 'key: value'"),
    ("but found '}'", "a '}' without '{'", ""),
    ("but found ']'", "a ']' without '['", ""),
    ("but found ','", "a ',' that belongs to no list", "put texts with commas in quotes"),
    ("expected <block end>", "not indented like its neighbours", "keys of one mapping begin in one column"),
    ("expected ',' or '}'", "a '{' is not closed, or a ',' is missing", ""),
    ("expected ',' or ']'", "a '[' is not closed, or a ',' is missing", ""),
    ("unexpected end of stream", "a quote is not closed", ""),
    ("expected the node content", "a value is missing here", ""),
    ("cannot start any token", "this character cannot begin a value", "put the value in quotes"),
    ("unknown escape character", "an unknown escape in double quotes", "use single quotes"),
    ("undefined alias", "this alias has no anchor before it", ""),
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the text, counted from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping: where it stands, and its value."""

    at: Mark
    node: "Node"


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place; ``size`` counts the nodes in it, aliases written out."""

    at: Mark
    value: "Scalar | tuple[Node, ...] | dict[str, Entry]"
    size: int = 1


class _Stop(Exception):
    """The text cannot be read on from here."""

    def __init__(self, at: Mark, message: str, hint: str = "") -> None:
        self.at, self.message, self.hint = at, message, hint
        super().__init__(message)


def read(text: str, file: str) -> tuple[Node | None, tuple[Located, ...]]:
    """Return the text's one value (None when it cannot be read) and all faults of its form."""
    try:
        _refuse_binary(text)
        builder = _Builder(text)
        root = builder.document()
    except _Stop as stop:
        tabs = _tabs(text, file)
        if any(each.line == stop.at.line for each in tabs):
            return None, tabs
        return None, (_located(file, stop.at, stop.message, stop.hint),)
    return root, tuple(_located(file, at, message, hint) for at, message, hint in builder.faults)


def plain(node: Node) -> Any:
    """Return a node as plain dicts, lists and scalars."""
    if isinstance(node.value, dict):
        return {key: plain(entry.node) for key, entry in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(each) for each in node.value]
    return node.value


def locate(root: Node, path: Path, on_key: bool = False) -> Mark:
    """Return the place of a path, as far as it exists: its key's, or its value's for a scalar."""
    node, mark = root, root.at
    for step in path:
        entry = child(node, step)
        if entry is None:
            break
        node, mark = entry.node, _place(entry)
        if on_key:
            mark = entry.at
    return mark


def child(node: Node, step: str | int) -> Entry | None:
    """Return a mapping's entry or a list's item, or None."""
    if isinstance(node.value, dict):
        return node.value.get(str(step))
    if isinstance(node.value, tuple) and isinstance(step, int) and step < len(node.value):
        return Entry(node.value[step].at, node.value[step])
    return None


def paths(node: Node, prefix: Path = ()) -> Iterator[Path]:
    """Yield the path of every key in a node that has a value."""
    if isinstance(node.value, dict):
        for key, entry in node.value.items():
            if entry.node.value is not None:
                yield (*prefix, key)
            yield from paths(entry.node, (*prefix, key))


def _place(entry: Entry) -> Mark:
    return entry.at if isinstance(entry.node.value, dict | tuple | None) else entry.node.at


def _located(file: str, at: Mark, message: str, hint: str = "") -> Located:
    return Located(file, at.line, at.column, message, hint)


def _mark(found: Any) -> Mark:
    return Mark(found.line + 1, found.column + 1)


def _mark_of(text: str, offset: int) -> Mark:
    before = text[:offset]
    return Mark(before.count("\n") + 1, offset - before.rfind("\n"))


def _refuse_binary(text: str) -> None:
    offset = text.find("\0")
    if offset >= 0:
        raise _Stop(_mark_of(text, offset), "a NUL byte: this is a binary file, not a cluster file")


def _tabs(text: str, file: str) -> tuple[Located, ...]:
    found = ((number, _TAB.match(line)) for number, line in enumerate(text.splitlines(), start=1))
    marks = [Mark(number, tab.end()) for number, tab in found if tab]
    return tuple(
        _located(file, at, f"line {at.line} is indented by a tab", "YAML allows spaces only: use two spaces")
        for at in marks
    )


def scalar(text: str) -> Scalar:
    """Return what an unquoted text means in YAML 1.2: ``no`` and ``on`` are texts."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _events(text: str) -> Iterator[Any]:
    at = Mark()
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            at = _mark(event.start_mark)
            yield event
    except ReaderError as error:
        message = f"the character U+{_code(error):04X} is not allowed in YAML"
        raise _Stop(_mark_of(text, error.position), message, "remove it") from error
    except MarkedYAMLError as error:
        raise _in_words(error) from error
    except Exception as error:
        # Hostile text makes the parser fail in ways of its own (bad escapes, odd directives).
        raise _Stop(at, "not valid YAML: the parser cannot read what follows") from error


def _code(error: ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")


def _in_words(error: MarkedYAMLError) -> _Stop:
    mark = error.problem_mark or error.context_mark
    at = _mark(mark) if mark else Mark()
    problem = error.problem or error.context or "not YAML"
    for part, words, hint in _PLAIN_WORDS:
        if part in problem:
            opened = _opened(error, at) if "closed" in words else ""
            return _Stop(at, f"not valid YAML: {words}{opened}", hint)
    return _Stop(at, f"not valid YAML: {' '.join(problem.split())}")


def _opened(error: MarkedYAMLError, at: Mark) -> str:
    line = error.context_mark.line + 1 if error.context_mark else at.line
    return f" (it began in line {line})" if line != at.line else ""


class _Builder:
    """Makes nodes of the parser's events, within limits, so that no text can exhaust the machine."""

    def __init__(self, text: str) -> None:
        self.faults: list[tuple[Mark, str, str]] = []
        self._events = _events(text)
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def document(self) -> Node | None:
        """Return the only document's value, None when there is no document."""
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                raise _Stop(_mark(event.start_mark), "a second document begins here", "a cluster file holds one")
            if not isinstance(event, StreamStartEvent | StreamEndEvent | DocumentStartEvent | DocumentEndEvent):
                root = self._node(event, 0)
        return root

    def _node(self, event: Any, depth: int) -> Node:
        at = _mark(event.start_mark)
        self._count(at, 1)
        if depth > MAX_DEPTH:
            raise _Stop(at, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, AliasEvent):
            return self._alias(event, at)
        node = self._fresh(event, at, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _fresh(self, event: Any, at: Mark, depth: int) -> Node:
        if event.tag:
            self.faults.append((at, f"the YAML tag {shown(str(event.tag))} is not supported", "remove it"))
        if isinstance(event, MappingStartEvent):
            return self._mapping(at, depth)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(at, depth)
        assert isinstance(event, ScalarEvent)
        return self._scalar(event, at)

    def _scalar(self, event: ScalarEvent, at: Mark) -> Node:
        if _SURROGATE.search(event.value):
            self.faults.append((at, "half of a surrogate pair is not a character", "write the character itself"))
            return Node(at, "")
        return Node(at, scalar(event.value) if event.style is None else event.value)

    def _sequence(self, at: Mark, depth: int) -> Node:
        items = tuple(self._node(event, depth + 1) for event in self._until(SequenceEndEvent))
        return Node(at, items, 1 + sum(each.size for each in items))

    def _mapping(self, at: Mark, depth: int) -> Node:
        entries: dict[str, Entry] = {}
        for event in self._until(MappingEndEvent):
            self._entry(event, depth, entries)
        return Node(at, entries, 1 + sum(1 + each.node.size for each in entries.values()))

    def _entry(self, event: Any, depth: int, entries: dict[str, Entry]) -> None:
        at = _mark(event.start_mark)
        if not isinstance(event, ScalarEvent):
            self._refuse_key(at)
        name = "" if self._scalar(event, at).value == "" else event.value
        node = self._node(next(self._events), depth + 1)
        if name in entries:
            first = entries[name].at.line
            self.faults.append((at, f"duplicate key {shown(name)}, first given in line {first}", "keep one of them"))
        entries.setdefault(name, Entry(at, node))

    def _refuse_key(self, at: Mark) -> NoReturn:
        raise _Stop(at, "a key must be plain text, not a list, mapping or alias", "quote texts that begin with * { [")

    def _until(self, end: type) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield event

    def _alias(self, event: AliasEvent, at: Mark) -> Node:
        found = self._anchors.get(event.anchor)
        if found is None:
            raise _Stop(at, f"the alias {shown('*' + event.anchor)} has no finished anchor before it")
        self._count(at, found.size)
        return replace(found, at=at)

    def _count(self, at: Mark, more: int) -> None:
        self._nodes += more
        if self._nodes > MAX_NODES:
            raise _Stop(at, f"more than {MAX_NODES} values: this is no cluster file")
