"""Tolerances of probes: whether a value is one that the steady state allows. Pure."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdfast.drills.chaos.values import ExperimentError

_KINDS = ("regex", "jsonpath", "range", "probe")
# $ and steps: .key, ['key'], [index], [*]; filters and recursive descent are not read.
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\['([^']*)'\]|\[(-?\d+)\]|(\[\*\]|\.\*)")
_LONGEST = 100_000

# How a probe that is a tolerance is asked: it gets the JSON of the probe and the value, and answers yes or no.
Ask = Callable[[Mapping[str, Any], Any], bool]


def check_tolerance(tolerance: Any, path: str, check_probe: Callable[[Any, str], None]) -> None:
    """Raise ExperimentError when a tolerance cannot be read; ``path`` leads to it."""
    if isinstance(tolerance, list):
        _refuse(not tolerance, path, "an empty list allows nothing")
        return
    if not isinstance(tolerance, dict):
        _refuse(tolerance is None, path, "must not be null")
        return
    kind = tolerance.get("type")
    _refuse(kind not in _KINDS, f"{path}.type", f"must be one of {', '.join(_KINDS)}, not {kind!r}")
    if kind == "probe":
        check_probe(tolerance, path)
    if kind == "range":
        _refuse(not _bounds(tolerance.get("range")), f"{path}.range", "must be two numbers, the smaller one first")
    if kind == "regex":
        _check_pattern(tolerance.get("pattern"), f"{path}.pattern")
    if kind == "jsonpath":
        _refuse(not isinstance(tolerance.get("path"), str), f"{path}.path", "must be text")
        _steps(tolerance["path"], f"{path}.path")


def _refuse(wrong: bool, path: str, words: str) -> None:
    if wrong:
        raise ExperimentError(f"{path}: {words}")


def _check_pattern(pattern: Any, path: str) -> None:
    _refuse(not isinstance(pattern, str), path, "must be text")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ExperimentError(f"{path}: is no regular expression: {error}") from None


def tolerable(tolerance: Any, value: Any, ask: Ask) -> bool:
    """Return whether a value is within a tolerance.

    A scalar is equality; a list of two numbers is inclusive bounds, any other list membership; an object is
    ``regex``, ``jsonpath``, ``range`` or ``probe``. The answer of a process (an object with ``status``, ``stdout``,
    ``stderr``) or of HTTP (``status``, ``body``, ``headers``) is compared by what the tolerance speaks of: a number
    by its status, text and patterns by its output or body, or by what ``target`` names.
    """
    if isinstance(tolerance, Mapping):
        return _by_kind(tolerance, _target(value, tolerance.get("target"), tolerance["type"]), ask)
    if _bounds(tolerance):
        return _within(tolerance, _status(value))
    if isinstance(tolerance, Sequence) and not isinstance(tolerance, str):
        return any(_same(each, _alike(each, value)) for each in tolerance)
    return _same(tolerance, _alike(tolerance, value))


def _by_kind(tolerance: Mapping[str, Any], value: Any, ask: Ask) -> bool:
    match tolerance["type"]:
        case "range":
            return _within(tolerance["range"], value)
        case "regex":
            return re.search(tolerance["pattern"], _text(value)[:_LONGEST]) is not None
        case "jsonpath":
            return _on_path(tolerance, _parsed(value))
        case _:
            return ask(tolerance, value)


def _on_path(tolerance: Mapping[str, Any], value: Any) -> bool:
    found = values_at(tolerance["path"], value)
    if "expect" in tolerance:
        expected = tolerance["expect"]
        return found == expected or (len(found) == 1 and _same(expected, found[0]))
    return len(found) == tolerance["count"] if "count" in tolerance else bool(found)


def _parsed(value: Any) -> Any:
    """Return what JSON text stands for; text that is none stays text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def values_at(path: str, value: Any) -> list[Any]:
    """Return the values that a path of JSON leads to: ``$.members[*].role``. Raises ExperimentError for others."""
    found = [value]
    for step in _steps(path, "path"):
        found = [inner for each in found for inner in _below(each, step)]
    return found


def _steps(path: str, where: str) -> list[str | int | None]:
    """Return the steps of a path: a key, an index, or None for every element."""
    if not path.startswith("$"):
        raise ExperimentError(f"{where}: must begin with $, not {path!r}")
    steps: list[str | int | None] = []
    place = 1
    while place < len(path):
        found = _STEP.match(path, place)
        if not found:
            raise ExperimentError(f"{where}: {path[place:]!r} is not supported; keys, indexes and * are")
        key, quoted, index, every = found.groups()
        steps.append(None if every else int(index) if index else key if key is not None else quoted)
        place = found.end()
    return steps


def _below(value: Any, step: str | int | None) -> list[Any]:
    if step is None:
        return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []
    if isinstance(step, int):
        return [value[step]] if isinstance(value, list) and -len(value) <= step < len(value) else []
    return [value[step]] if isinstance(value, dict) and step in value else []


def _bounds(found: Any) -> bool:
    return isinstance(found, list) and len(found) == 2 and all(map(_number, found)) and found[0] <= found[1]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _within(bounds: Sequence[float], value: Any) -> bool:
    try:
        return not isinstance(value, bool) and bounds[0] <= float(value) <= bounds[1]
    except (TypeError, ValueError):
        return False


def _same(expected: Any, value: Any) -> bool:
    # True is not 1 here: the word true and the number one are not the same answer.
    return isinstance(expected, bool) == isinstance(value, bool) and bool(expected == value)


def _alike(expected: Any, value: Any) -> Any:
    """Return of an answer what is of the kind that is expected."""
    return _status(value) if _number(expected) else _output(value) if isinstance(expected, str) else value


def _status(value: Any) -> Any:
    return value["status"] if isinstance(value, Mapping) and "status" in value else value


def _output(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return next((value[key] for key in ("stdout", "body") if key in value), value)


def _target(value: Any, target: Any, kind: str) -> Any:
    if isinstance(target, str):
        return value.get(target) if isinstance(value, Mapping) else value
    return _status(value) if kind == "range" else value if kind == "probe" else _output(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
