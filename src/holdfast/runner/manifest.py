"""Parts in the form in which they travel to a server, with the values put in at the last moment."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from holdfast.model.parts import Archive, Certificate, Effect, File, Part, Secret, key_of, put_values

Data = dict[str, Any]
Pack = Callable[[Archive], bytes]


def travels(part: Part) -> bool:
    """Return whether a part exists on servers at all."""
    return not isinstance(part, (Secret, Certificate))


def to_look(part: Part, values: Mapping[str, str]) -> Data:
    """Return a part as a server needs it for looking: of a file only the digest of the wanted content."""
    data = _base(part)
    if isinstance(part, File):
        data["sha256"] = sha256(content(part, values).encode()).hexdigest()
        del data["content"]
    return data


def to_act(part: Part, values: Mapping[str, str], pack: Pack) -> Data:
    """Return a part as a server needs it for acting, complete."""
    data = _base(part)
    if isinstance(part, File):
        data["content"] = content(part, values)
    if isinstance(part, Archive):
        data["data"] = base64.b64encode(pack(part)).decode()
    return data


def _base(part: Part) -> Data:
    data = {"kind": type(part).__name__.lower(), "key": key_of(part)} | asdict(part)
    return data | {name: each.word for name, each in data.items() if isinstance(each, Effect)}


def content(file: File, values: Mapping[str, str]) -> str:
    """Return the content of a file with its values."""
    return put_values(file.content, dict(values))
