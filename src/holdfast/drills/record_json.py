"""Records of drills as stable JSON, and back: what ``prove`` writes is read again without loss."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from holdfast.drills.record import DrillRecord, Proof

SCHEMA_VERSION = 1
T = TypeVar("T")
_PROOF = TypeAdapter(Proof)
_RECORD = TypeAdapter(DrillRecord)


class RecordError(ValueError):
    """JSON that is no record: the path of the first wrong key, and what is wrong there."""


def as_json(proof: Proof) -> dict[str, Any]:
    """Return a proof as plain JSON data, ``schema_version`` first."""
    return _plain(_PROOF, proof)


def from_json(data: Mapping[str, Any]) -> Proof:
    """Return the proof that ``as_json`` made the data of; keys that later versions added are passed over.

    Raises RecordError when it is no proof, or one of another schema version.
    """
    return _read(_PROOF, data)


def record_as_json(record: DrillRecord) -> dict[str, Any]:
    """Return one drill as plain JSON data, ``schema_version`` first."""
    return _plain(_RECORD, record)


def record_from_json(data: Mapping[str, Any]) -> DrillRecord:
    """Return the drill that ``record_as_json`` made the data of. Raises RecordError as ``from_json`` does."""
    return _read(_RECORD, data)


def _plain(adapter: TypeAdapter[T], value: T) -> dict[str, Any]:
    # A mapping that is no dict is unknown to pydantic, and not worth a warning: dict makes it known.
    data: dict[str, Any] = adapter.dump_python(value, mode="json", fallback=dict, warnings=False)
    return {"schema_version": SCHEMA_VERSION} | data


def _read(adapter: TypeAdapter[T], data: Mapping[str, Any]) -> T:
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise RecordError(f"schema_version is {version!r}; this version of Holdfast reads {SCHEMA_VERSION}")
    try:
        # By way of JSON text: there strictness knows that a list stands for a tuple and a word for an enum.
        return adapter.validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise RecordError(f"{where}: {first['msg']}") from None
