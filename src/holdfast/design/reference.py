"""The reference page of ``cluster.yaml``, written from its schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.components import registry
from holdfast.design.schema import schema
from holdfast.model.component import Component

_INTRODUCTION = """\
# cluster.yaml

<!-- Written by tests/test_load.py from the schema: run it with UPDATE_DOCS=1 after a change of an option. -->

One YAML 1.2 file describes a cluster. Unknown keys are errors, the order of keys and of hosts in a layer has no
meaning, and `no`, `on` and `yes` are texts, not booleans. `holdfast check --explain` shows every setting of a file
with its value, defaults included; `holdfast schema` prints the JSON Schema for editors. Durations are numbers of
seconds, or texts with a unit: `500ms`, `30s`, `2m`, `1h`.
"""


def reference(components: Mapping[str, Component] | None = None) -> str:
    """Return the page in Markdown."""
    found = schema(registry() if components is None else components)
    return "\n".join([_INTRODUCTION, *_document(found), *_layers(found)])


def _document(found: Mapping[str, Any]) -> Iterator[str]:
    yield _section("The file", found, "", found)
    yield _section("hosts", found["$defs"]["HostEntry"], "hosts.NAME", found)
    for key in ("promises", "ssh", "drills"):
        yield _section(key, _resolved(found["properties"][key], found), key, found)


def _layers(found: Mapping[str, Any]) -> Iterator[str]:
    for layer, node in found["properties"]["layers"]["properties"].items():
        for form in node.get("anyOf", [node]):
            engine = form["properties"]["engine"]["const"]
            yield _section(f"layers.{layer}: {engine}", form, f"layers.{layer}", found)


def _resolved(node: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
    return found["$defs"][node["$ref"].removeprefix("#/$defs/")] if "$ref" in node else node


def _section(title: str, node: Mapping[str, Any], path: str, found: Mapping[str, Any]) -> str:
    head = "| key | type | default | meaning |\n|---|---|---|---|"
    required = node.get("required", ())
    rows = [_row(key, each, key in required, path, found) for key, each in node["properties"].items()]
    return f"## {title}\n\n{_paragraph(node.get('description', ''))}\n\n{head}\n" + "\n".join(rows) + "\n"


def _paragraph(text: str) -> str:
    return text.replace("``", "`")


def _row(key: str, node: Mapping[str, Any], required: bool, path: str, found: Mapping[str, Any]) -> str:
    meaning = " ".join((node.get("description") or _resolved(node, found).get("description", "")).split())
    name = f"{path}.{key}".lstrip(".")
    cells = (f"`{name}`", _type(node, found), _default(node, required), meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(node: Mapping[str, Any], required: bool) -> str:
    if required:
        return "required"
    value = node.get("default", "")
    return "" if value in ("", [], {}) else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _type(node: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return ", ".join(f"`{each}`" for each in node["enum"])
    forms = node.get("anyOf") or node.get("oneOf")
    if forms:
        return " or ".join(dict.fromkeys(_type(each, found) for each in forms if each.get("type") != "null"))
    if "$ref" in node:
        return "mapping"
    return _plain_type(node, found)


def _plain_type(node: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    kind = node.get("type")
    if isinstance(kind, list):
        return "duration"
    if kind == "integer" and {"minimum", "maximum"} <= node.keys():
        return f"{node['minimum']} to {node['maximum']}"
    if kind == "array":
        return f"list of {_type(node['items'], found)}"
    if node.get("format") == "ipv4":
        return "IPv4 address"
    names = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "mapping"}
    return names.get(str(kind), str(kind))
