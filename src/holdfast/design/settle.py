"""Data against a model: the model's value, without what is faulty, and every fault in words."""

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from itertools import takewhile
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from holdfast.design.wording import Fault, Known, existing, faults
from holdfast.design.yamltext import Path

Model = TypeVar("Model", bound=BaseModel)

# A faulty value is taken out, then a part that cannot be without it, then the part around that.
_ROUNDS = 8


def settle(
    model: type[Model], data: Mapping[str, Any], at: Path, known: Known, stand_ins: Mapping[str, Any]
) -> tuple[Model | None, list[Fault]]:
    """Return the model of the data, without its faulty parts when it has some, and the faults.

    ``at``: the path of the data in the document; ``stand_ins``: values for keys nothing can do without.
    The model is None when too little is left of the data.
    """
    rest = deepcopy(dict(data))
    found: list[Fault] = []
    for _ in range(_ROUNDS):
        try:
            # As JSON: the library is strict about kinds there, yet takes lists for tuples and texts for enums.
            return model.model_validate_json(json.dumps(rest), strict=True), found
        except ValidationError as error:
            errors = error.errors(include_url=False)
        found = found or faults(errors, rest, at, known)
        if not _cut(rest, errors, stand_ins):
            break
    return None, found


def _cut(data: dict[str, Any], errors: Iterable[Any], stand_ins: Mapping[str, Any]) -> bool:
    """Take out what is faulty; return False when that is the whole."""
    places = [(existing(data, each["loc"]) or each["loc"][:1]) for each in errors]
    for place in places:
        keys = [str(key) for key in takewhile(lambda step: isinstance(step, str), place)]
        if not keys or (keys[0] not in data and keys[0] not in stand_ins):
            return False
        _remove(data, keys, stand_ins)
    return True


def _remove(data: dict[str, Any], keys: list[str], stand_ins: Mapping[str, Any]) -> None:
    inner = data
    for key in keys[:-1]:
        inner = inner.get(key, {})
    inner.pop(keys[-1], None)
    if len(keys) == 1 and keys[0] in stand_ins:
        data[keys[0]] = deepcopy(stand_ins[keys[0]])
