"""What a model finds wrong with data, told in the words of a cluster file."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from holdfast.design.errors import did_you_mean, nearest
from holdfast.design.yamltext import Path

# Error types of the model library that mean a value of the wrong kind, and the kind they ask for.
_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "list_type": "a list",
    "tuple_type": "a list",
    "none_required": "empty",
}
_NUMBERS = {"a whole number", "a number"}

# What to write where people often write something else: section, depth → example.
_EXAMPLES = {
    ("hosts", 1): "hosts: {a: 10.0.0.11, b: 10.0.0.12}",
    ("hosts", 2): "a: 10.0.0.11, or a: {address: 10.0.0.11, zone: rack1}",
    ("layers", 1): "layers: {cache: {hosts: [a, b, c]}}",
    ("layers", 2): "cache: {hosts: [a, b, c]}",
}

Known = Callable[[Path], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and the path of keys it belongs to; ``on_key``: the key itself is wrong, not its value."""

    path: Path
    message: str
    hint: str = ""
    on_key: bool = False


def faults(errors: Iterable[Any], data: Any, at: Path, known: Known) -> list[Fault]:
    """Translate a model's errors about the data at a path; ``known`` gives the keys that a mapping may have."""
    located = [(existing(data, each["loc"]), each) for each in errors]
    unknown = [_unknown((*at, *path), known) for path, each in located if each["type"] == "extra_forbidden"]
    bad_keys = [_bad_key((*at, *path), each) for path, each in located if each["loc"][-1:] == ("[key]",)]
    missing = [_missing(at, path, each) for path, each in located if each["type"] == "missing"]
    meant = {(*each.path[:-1], nearest(str(each.path[-1]), known(each.path[:-1]))) for each in unknown}
    wrong = [pair for pair in located if not _is_key_error(pair[1])]
    return [
        *unknown,
        *bad_keys,
        *(fault for path, fault in missing if path not in meant),
        *_wrong_values(at, wrong),
    ]


def existing(data: Any, loc: Iterable[Any]) -> Path:
    """Return the part of an error's place that is in the data, without the library's own marks."""
    path: list[str | int] = []
    for step in loc:
        if _has(data, step):
            data = data[step]
            path.append(step)
    return tuple(path)


def _has(data: Any, step: Any) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, list) and isinstance(step, int) and step < len(data)


def where(path: Path) -> str:
    """Return a path in words: ``host a``, ``port of layer app``, ``item 2 of packages of layer app``."""
    if path and isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {where(path[:-1])}"
    if len(path) >= 2 and path[0] in {"hosts", "layers"}:
        inside = ".".join(map(str, path[2:]))
        return (f"{inside} of " if inside else "") + f"{str(path[0])[:-1]} {path[1]}"
    return ".".join(map(str, path)) or "the file"


def _is_key_error(error: Any) -> bool:
    return error["type"] in {"extra_forbidden", "missing"} or error["loc"][-1:] == ("[key]",)


def _unknown(path: Path, known: Known) -> Fault:
    message = f"unknown key {str(path[-1])!r} in {where(path[:-1])}"
    return Fault(path, message, _meant(str(path[-1]), path[:-1], known), on_key=True)


def _meant(key: str, parent: Path, known: Known) -> str:
    if not nearest(key, known(parent)):
        home = next((place for place in _homes(parent, known) if key in known(place)), None)
        if home is not None:
            return f"{key!r} belongs in {where(home)}"
    return did_you_mean(key, known(parent))


def _homes(parent: Path, known: Known) -> list[Path]:
    sections: list[Path] = [(name,) for name in sorted(known(())) if name != "hosts"]
    layers: list[Path] = [("layers", name) for name in sorted(known(("layers",)))]
    return [place for place in (*sections, *layers, ()) if place != parent]


def _bad_key(path: Path, error: Any) -> Fault:
    words = _words(error).removesuffix(f", not {path[-1]!r}")
    return Fault(path, f"the name {path[-1]!r} in {where(path[:-1])} {words}", on_key=True)


def _missing(at: Path, path: Path, error: Any) -> tuple[Path, Fault]:
    place, key = (*at, *path), str(error["loc"][-1])
    return (*place, key), Fault(place, f"missing key {key!r} in {where(place)}")


def _wrong_values(at: Path, located: list[tuple[Path, Any]]) -> list[Fault]:
    ordered = sorted(located, key=lambda pair: tuple(map(str, pair[0])))
    groups = [(path, [each for _, each in group]) for path, group in groupby(ordered, key=lambda pair: pair[0])]
    inner = {path[:length] for path, _ in groups for length in range(len(path))}
    # A fault inside a value makes the library find the whole value wrong as well: the inner one says more.
    return [_wrong((*at, *path), errors) for path, errors in groups if path not in inner]


def _wrong(path: Path, errors: list[Any]) -> Fault:
    kinds = [_KINDS[each["type"]] for each in errors if each["type"] in _KINDS]
    if len(kinds) == len(errors):
        return _wrong_kind(path, list(dict.fromkeys(kinds)), errors[0]["input"])
    # A value of several allowed kinds has a fault for each of them.
    choices = sorted({_words(each) for each in errors if each["type"] not in _KINDS})
    if all(words.startswith("must be ") for words in choices):
        return Fault(path, f"{where(path)} {' or '.join([*choices, *dict.fromkeys(kinds)])}")
    words = choices[0]
    return Fault(path, f"{where(path)} {words}" if words.startswith("must ") else f"{where(path)}: {words}")


def _wrong_kind(path: Path, wanted: list[str], given: Any) -> Fault:
    if given is None:
        return Fault(path, f"{where(path)} has no value", f"give it {' or '.join(wanted)}")
    message = f"{where(path)} must be {' or '.join(wanted)}, not {_kind(given)}"
    return Fault(path, message, _kind_hint(path, wanted, given))


def _kind(given: Any) -> str:
    # The value itself is not shown: it may be a password that was not quoted.
    if isinstance(given, bool):
        return "true" if given else "false"
    names = {str: "text", int: "a number", float: "a number", dict: "a mapping", list: "a list"}
    return names.get(type(given), type(given).__name__)


def _kind_hint(path: Path, wanted: list[str], given: Any) -> str:
    example = _EXAMPLES.get((str(path[0]), len(path)))
    if example:
        return f"for example {example}"
    if "text" in wanted and isinstance(given, bool | int | float):
        return "write it in quotes"
    if _NUMBERS & set(wanted) and isinstance(given, str):
        return "write it without quotes" if given.strip().isdecimal() else ""
    if "true or false" in wanted and isinstance(given, str):
        return "write true or false, without quotes; YAML 1.2 knows no yes, no, on and off"
    if "a list" in wanted and isinstance(given, str):
        return "write it in [ ]"
    return ""


def _words(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return str(context.get("error", error["msg"]))
    if kind in {"literal_error", "enum"}:
        return f"must be {context['expected']}" + _near_choice(error["input"], context["expected"])
    if kind == "string_pattern_mismatch":
        return f"must have the form {context['pattern']}"
    if kind == "too_short":
        return f"must have at least {context['min_length']} item{'s'[: context['min_length'] != 1]}"
    return _library_words(error["msg"])


def _library_words(message: str) -> str:
    for subject in ("Input", "String", "Value", "List", "Tuple", "Dictionary"):
        message = message.replace(f"{subject} should ", "must ", 1) if message.startswith(subject) else message
    return message.removesuffix(".")


def _near_choice(given: Any, expected: str) -> str:
    choices = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    near = nearest(given, choices) if isinstance(given, str) else ""
    return f"; did you mean {near!r}?" if near else ""
