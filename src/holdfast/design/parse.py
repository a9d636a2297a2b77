"""From text to Spec: every fault of a file at once, each with its place."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from holdfast.components import registry
from holdfast.design import yamltext
from holdfast.design.draft import Draft, draft
from holdfast.design.errors import Located, SourceError, SpecError, shown
from holdfast.design.wording import Fault, where
from holdfast.design.yamltext import Node, Path
from holdfast.model.component import Component
from holdfast.model.spec import Source, Spec

ReadSource = Callable[[str], str]


def parse(text: str, file: str, read_source: ReadSource, components: Mapping[str, Component] | None = None) -> Spec:
    """Return the spec that a text describes; ``file`` is its name in complaints.

    ``read_source`` gives the digest of a path beside the file, or raises SourceError.
    Raises SpecError with every fault of the text.
    """
    known = registry() if components is None else components
    root, located = yamltext.read(text, file)
    if root is None or not isinstance(root.value, dict):
        raise SpecError(located or [_no_mapping(root, text, file)])
    data = yamltext.plain(root)
    found = draft(data, known)
    judged = [component for _, component in sorted(known.items()) if _is_judged(component, found)]
    sources, unread = _sources(found.spec, judged, data, read_source)
    faults = (*found.faults, *_engine_faults(found, judged), *_idle_hosts(found, judged), *unread)
    if faults or located:
        raise SpecError([*located, *_located(root, file, faults)])
    return replace(found.spec, sources=MappingProxyType(sources))


def given(text: str) -> frozenset[Path]:
    """Return the paths of all keys that a text gives a value."""
    root, _ = yamltext.read(text, "")
    return frozenset(yamltext.paths(root)) if root else frozenset()


def _no_mapping(root: Node | None, text: str, file: str) -> Located:
    needs = "a cluster needs name, hosts and layers"
    if root is None or root.value is None:
        only_comments = root is None and text.strip()
        return Located(file, 1, 1, "the file holds only comments" if only_comments else "the file is empty", needs)
    kind = "a list" if isinstance(root.value, tuple) else "a single value"
    return Located(file, root.at.line, root.at.column, f"the file must be a mapping of keys, not {kind}", needs)


def _located(root: Node, file: str, faults: Iterable[Fault]) -> Iterator[Located]:
    for fault in faults:
        mark = yamltext.locate(root, fault.path, fault.on_key)
        yield Located(file, mark.line, mark.column, fault.message, fault.hint)


def _is_judged(component: Component, found: Draft) -> bool:
    """Tell whether an engine's own checks make sense: not when its layer, or its name, could not be understood."""
    if component.layer in found.spec.layers:
        return True
    return not found.broken or (not component.layer and bool(found.spec.layers))


def _engine_faults(found: Draft, judged: Iterable[Component]) -> Iterator[Fault]:
    taken = {fault.path for fault in found.faults} | {fault.path[:2] for fault in found.faults}
    for component in judged:
        for each in component.check(found.spec):
            # What is said already, or follows from a fault inside the layer, is not said again.
            if each.path not in taken:
                yield Fault(each.path, each.message, each.hint)


def _idle_hosts(found: Draft, judged: Iterable[Component]) -> Iterator[Fault]:
    if found.broken or not found.spec.layers:
        return
    used = {name for layer in found.spec.layers.values() for name in layer.hosts}
    used |= {name for each in judged if not each.ground for name in each.place(found.spec)}
    for host in found.spec.hosts:
        if host.name not in used:
            message = f"host {host.name} is in no layer: it would get nothing"
            yield Fault(("hosts", host.name), message, "add it to a layer, or remove it", on_key=True)


def _sources(
    spec: Spec, judged: Iterable[Component], data: Mapping[str, Any], read_source: ReadSource
) -> tuple[dict[str, Source], list[Fault]]:
    found: dict[str, Source] = {}
    faults: list[Fault] = []
    for component in judged:
        for name, path in sorted(component.sources(spec).items()):
            try:
                found[name] = Source(name, path, read_source(path))
            except SourceError as error:
                key = _key_of(data, component.layer, path)
                faults.append(Fault(key, f"{where(key)}: {shown(path)} {error.message}", error.hint))
    return dict(sorted(found.items())), faults


def _key_of(data: Mapping[str, Any], layer: str, value: str) -> Path:
    """Return the path of the option of a layer that has this value."""
    options = data["layers"][layer]
    return ("layers", layer, *(key for key, each in options.items() if each == value))[:3]
