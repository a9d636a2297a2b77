"""JSON Schema of ``cluster.yaml`` for editors, made of the same models that check the file."""

from collections.abc import Mapping
from typing import Any

from holdfast.components import registry
from holdfast.design.document import Document
from holdfast.design.yamltext import Path
from holdfast.model.component import Component
from holdfast.model.spec import Options

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(components: Mapping[str, Component] | None = None) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12): every layer with the options of its engines."""
    found: dict[str, Any] = Document.model_json_schema()
    definitions = found["$defs"]
    common = definitions.pop("LayerEntry")
    layers = _layers(registry() if components is None else components, common, definitions)
    found["properties"]["hosts"]["additionalProperties"] = False
    found["properties"]["layers"] |= {"additionalProperties": False, "properties": layers}
    return {"$schema": DIALECT, "title": "cluster.yaml", **_bare(found)}


def engines(components: Mapping[str, Component]) -> dict[str, tuple[str, ...]]:
    """Return the engines of every layer; the first is the default."""
    names = sorted({component.layer for component in components.values() if component.layer})
    return {layer: tuple(name for name in sorted(components) if components[name].layer == layer) for layer in names}


def keys_at(found: Mapping[str, Any], path: Path) -> frozenset[str]:
    """Return the keys that a schema knows for the mapping at a path."""
    nodes = _variants(found, found)
    for step in path:
        nodes = [each for node in nodes for each in _below(found, node, step)]
    return frozenset(key for node in nodes for key in node.get("properties", {}))


def _layers(
    components: Mapping[str, Component], common: dict[str, Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    return {
        layer: _either([_engine(components[name], name == names[0], common, definitions) for name in names])
        for layer, names in engines(components).items()
    }


def _either(forms: list[dict[str, Any]]) -> dict[str, Any]:
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _engine(
    component: Component, default: bool, common: dict[str, Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    options = component.options.model_json_schema(ref_template=f"#/$defs/{component.name}.{{model}}")
    for name, body in options.pop("$defs", {}).items():
        definitions[f"{component.name}.{name}"] = body
    if component.options is Options:
        options["description"] = f"{component.name} has no options."
    words = common["properties"]["engine"]["description"]
    engine = {"const": component.name, "description": words} | ({"default": component.name} if default else {})
    properties = {"engine": engine, "hosts": common["properties"]["hosts"], **options.get("properties", {})}
    required = ["hosts", *options.get("required", []), *([] if default else ["engine"])]
    return options | {"properties": properties, "required": required, "additionalProperties": False}


def _bare(node: Any) -> Any:
    """Drop what the model library makes up (titles), and defaults that say nothing."""
    if isinstance(node, list):
        return [_bare(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {key: _bare(each) for key, each in node.items() if not _is_noise(key, each)}


def _is_noise(key: str, each: Any) -> bool:
    return (key == "title" and isinstance(each, str)) or (key == "default" and each is None)


def _variants(found: Mapping[str, Any], node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in node:
        return _variants(found, found["$defs"][node["$ref"].removeprefix("#/$defs/")])
    branches = [each for word in ("anyOf", "oneOf") for each in node.get(word, ())]
    return [node, *(each for branch in branches for each in _variants(found, branch))]


def _below(found: Mapping[str, Any], node: Mapping[str, Any], step: str | int) -> list[Mapping[str, Any]]:
    # A key that matches no pattern is a fault of its own; its value is still judged by the pattern's form.
    below = (
        node.get("properties", {}).get(step)
        or next(iter(node.get("patternProperties", {}).values()), None)
        or node.get("items" if isinstance(step, int) else "additionalProperties")
    )
    return _variants(found, below) if isinstance(below, dict) else []
