"""What can be understood of a document, good or not, so that all of its faults are found at once."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from holdfast.design import rules
from holdfast.design.document import Document, HostEntry, LayerEntry, PromisesEntry
from holdfast.design.errors import did_you_mean, shown
from holdfast.design.schema import engines, keys_at, schema
from holdfast.design.settle import settle
from holdfast.design.wording import Fault, Known
from holdfast.model.component import Component
from holdfast.model.spec import Durability, Host, Layer, Promises, Spec, Ssh

_STAND_INS: Mapping[str, Any] = {"name": "unnamed", "hosts": {}, "layers": {}}


@dataclass(frozen=True, slots=True)
class Draft:
    """The spec as far as it goes, the faults found so far, and the layers that could not be understood.

    A host whose entry is faulty stands in the spec with an unused address.
    """

    spec: Spec
    faults: tuple[Fault, ...]
    broken: frozenset[str]


@dataclass(frozen=True, slots=True)
class Served:
    """What a document may name: components, the engines of every layer, and the keys of every mapping."""

    components: Mapping[str, Component]
    engines: Mapping[str, tuple[str, ...]]
    known: Known


def draft(data: Mapping[str, Any], components: Mapping[str, Component]) -> Draft:
    """Return what a document's plain data amounts to."""
    served = _served(components)
    document, formal = settle(Document, data, (), served.known, _STAND_INS)
    assert document is not None, "stand-ins make a document of anything"
    names, declared = frozenset(_mapping(data, "hosts")), _mapping(data, "layers")
    found = {
        name: _layer(name, declared[name], document.layers.get(name), names, served) for name in sorted(declared)
    }
    layers = {name: layer for name, (layer, _) in found.items() if layer}
    of_layers = (fault for _, faults in found.values() for fault in faults)
    every = (*formal, *of_layers, *_rules(document, data))
    return Draft(_spec(document, names, layers), every, frozenset(declared) - frozenset(layers))


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _served(components: Mapping[str, Component]) -> Served:
    @cache
    def made() -> Mapping[str, Any]:
        # A good file needs no schema: it is made at the first fault.
        return schema(components)

    return Served(components, engines(components), lambda path: keys_at(made(), path))


def _layer(
    name: str, raw: Any, entry: LayerEntry | None, names: frozenset[str], served: Served
) -> tuple[Layer | None, list[Fault]]:
    if name not in served.engines:
        hint = did_you_mean(name, served.engines)
        return None, [Fault(("layers", name), f"unknown layer {shown(name)}", hint, on_key=True)]
    if not isinstance(raw, dict):
        return None, []
    strangers = list(rules.strangers(name, entry.hosts, names)) if entry else []
    engine = served.engines[name][0] if raw.get("engine") is None else raw["engine"]
    if engine not in served.engines[name]:
        return None, [*strangers, *_unknown_engine(name, engine, served.engines[name])]
    given = {key: each for key, each in raw.items() if key not in LayerEntry.model_fields}
    options, wrong = settle(served.components[engine].options, given, ("layers", name), served.known, {})
    if entry is None or options is None or not names.issuperset(entry.hosts):
        return None, [*strangers, *wrong]
    return Layer(name, engine, tuple(sorted(set(entry.hosts))), options), [*strangers, *wrong]


def _unknown_engine(layer: str, engine: object, known: Iterable[str]) -> Iterator[Fault]:
    # An engine of the wrong kind is a fault of form, which is told already.
    if isinstance(engine, str):
        message = f"unknown engine {shown(engine)} of layer {layer}"
        yield Fault(("layers", layer, "engine"), message, did_you_mean(engine, known))


def _rules(document: Document, data: Mapping[str, Any]) -> Iterator[Fault]:
    for key in ("hosts", "layers"):
        if data.get(key) == {}:
            yield Fault((key,), f"{key} is empty", f"a cluster needs at least one {key[:-1]}")
    addresses = _addresses(document)
    network = rules.network_of(document.network, addresses)
    for name, message, hint in (
        *rules.duplicates(addresses),
        *rules.misplaced(network, document.network is not None, addresses),
    ):
        yield Fault(("hosts", name, "address"), message, hint)
    yield from rules.contradictions(document.promises)


def _addresses(document: Document) -> dict[str, str]:
    return {name: entry.address if isinstance(entry, HostEntry) else entry for name, entry in document.hosts.items()}


def _spec(document: Document, names: frozenset[str], layers: Mapping[str, Layer]) -> Spec:
    addresses = _addresses(document)
    network = rules.network_of(document.network, addresses)
    vip = getattr(layers["edge"].options, "vip", None) if "edge" in layers else None
    spare = _unused(network, {*addresses.values(), vip})
    return Spec(
        name=document.name,
        network=network,
        hosts=tuple(_host(name, addresses.get(name) or next(spare), document) for name in sorted(names)),
        layers=layers,
        promises=_promises(document.promises),
        ssh=Ssh(document.ssh.user, document.ssh.port, document.ssh.key),
        drills_allowed=document.drills.allowed,
        drills_stop_s=document.drills.stop_after,
    )


def _unused(network: IPv4Network, taken: set[str | None]) -> Iterator[str]:
    last = int(network.broadcast_address)
    for number in range(last - 1, int(network.network_address), -1):
        if str(IPv4Address(number)) not in taken:
            yield str(IPv4Address(number))
    while True:
        yield str(network.network_address)


def _host(name: str, address: str, document: Document) -> Host:
    entry = document.hosts.get(name)
    zone = entry.zone if isinstance(entry, HostEntry) else None
    return Host(name, address, zone or name)


def _promises(entry: PromisesEntry) -> Promises:
    loss = math.inf if entry.durability is Durability.PERFORMANCE else 0.0
    return Promises(entry.rto, loss if entry.rpo is None else entry.rpo, entry.durability)
