"""Every setting of a spec, those nobody wrote included: value, origin, meaning."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from holdfast.design.document import (
    Document,
    DrillsEntry,
    HostEntry,
    LayerEntry,
    PromisesEntry,
    SshEntry,
    duration,
)
from holdfast.design.yamltext import Path
from holdfast.model.spec import Layer, Spec


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: path of keys, value as JSON data, who chose it, and what it means."""

    path: tuple[str, ...]
    value: Any
    origin: Literal["given", "default"]
    doc: str

    @property
    def name(self) -> str:
        """The path as it is printed: ``layers.app.port``."""
        return ".".join(self.path)


def settings(spec: Spec, given: frozenset[Path]) -> tuple[Setting, ...]:
    """Return every setting of a spec; ``given`` are the paths that its file gives a value."""
    rows = (*_top(spec), *_hosts(spec), *_layers(spec), *_rest(spec))
    return tuple(Setting(path, value, _origin(path, given), doc) for path, value, doc in rows)


def _origin(path: tuple[str, ...], given: frozenset[Path]) -> Literal["given", "default"]:
    # An address may stand for its whole host, as its value.
    is_address = path[0] == "hosts" and path[2] == "address"
    return "given" if path in given or is_address else "default"


def as_json(found: Iterable[Setting]) -> list[dict[str, Any]]:
    """Return settings as JSON data."""
    return [{"key": each.name, "value": each.value, "origin": each.origin, "doc": each.doc} for each in found]


Row = tuple[tuple[str, ...], Any, str]


def _doc(model: type[BaseModel], key: str) -> str:
    return model.model_fields[key].description or ""


def _top(spec: Spec) -> Iterator[Row]:
    yield ("name",), spec.name, _doc(Document, "name")
    yield ("network",), str(spec.network), _doc(Document, "network")


def _hosts(spec: Spec) -> Iterator[Row]:
    for host in spec.hosts:
        yield ("hosts", host.name, "address"), host.address, _doc(HostEntry, "address")
        yield ("hosts", host.name, "zone"), host.zone, _doc(HostEntry, "zone")


def _layers(spec: Spec) -> Iterator[Row]:
    for layer in spec.layers.values():
        yield ("layers", layer.name, "engine"), layer.engine, _doc(LayerEntry, "engine")
        yield ("layers", layer.name, "hosts"), list(layer.hosts), _doc(LayerEntry, "hosts")
        yield from _options(layer)


def _options(layer: Layer) -> Iterator[Row]:
    values = layer.options.model_dump(mode="json")
    for key in type(layer.options).model_fields:
        yield ("layers", layer.name, key), values[key], _doc(type(layer.options), key)


def _rest(spec: Spec) -> Iterator[Row]:
    promises, ssh = spec.promises, spec.ssh
    yield ("promises", "rto"), duration(promises.rto_s), _doc(PromisesEntry, "rto")
    yield ("promises", "rpo"), duration(promises.rpo_s), _doc(PromisesEntry, "rpo")
    yield ("promises", "durability"), promises.durability.value, _doc(PromisesEntry, "durability")
    yield ("ssh", "user"), ssh.user, _doc(SshEntry, "user")
    yield ("ssh", "port"), ssh.port, _doc(SshEntry, "port")
    yield ("ssh", "key"), ssh.key, _doc(SshEntry, "key")
    yield ("drills", "allowed"), spec.drills_allowed, _doc(DrillsEntry, "allowed")
    yield ("drills", "stop_after"), duration(spec.drills_stop_s), _doc(DrillsEntry, "stop_after")
