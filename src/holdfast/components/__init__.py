"""One folder for each engine; each exports one value, ``component``. None knows another."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from holdfast.model.component import Component


@cache
def registry() -> dict[str, Component]:
    """Return every component by name, found by folder and sorted."""
    found = [import_module(f"{__name__}.{info.name}").component for info in iter_modules(__path__) if info.ispkg]
    return {component.name: component for component in sorted(found, key=lambda each: each.name)}


def engines(layer: str) -> tuple[str, ...]:
    """Return the names of the components that can serve a layer."""
    return tuple(name for name, component in registry().items() if component.layer == layer)


def layers() -> tuple[str, ...]:
    """Return the names of all layers a spec may have."""
    return tuple(sorted({component.layer for component in registry().values() if component.layer}))
