"""Sources beside the cluster file; explanation, JSON Schema and reference page; any input, however odd."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.components import registry
from holdfast.design.document import Document
from holdfast.design.errors import SourceError, SpecError
from holdfast.design.explain import as_json
from holdfast.design.load import LINK_MODE, explain, load, source_digest, source_files
from holdfast.design.parse import parse
from holdfast.design.reference import reference
from holdfast.design.schema import DIALECT, keys_at, schema
from holdfast.design.yamltext import plain, read
from holdfast.model.spec import Spec

ROOT = Path(__file__).parents[1]
EXAMPLE = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
PAGE = ROOT / "docs" / "reference" / "cluster-yaml.md"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    (root / "static").mkdir(parents=True)
    (root / "main.py").write_text("print()\n")
    (root / "static" / "run").write_text("#!/bin/sh\n")
    (root / "static" / "run").chmod(0o755)
    (root / "link").symlink_to("static/run")
    for name in ("__pycache__", ".git", ".venv", ".holdfast", "node_modules", ".mypy_cache"):
        (root / name).mkdir()
        (root / name / "junk").write_text("junk")
    (root / "main.pyc").write_bytes(b"\0")
    return root


def test_a_source_is_its_files_modes_and_links_without_the_litter(tree: Path) -> None:
    assert [(name, mode) for name, _, mode in source_files(tree)] == [
        ("link", LINK_MODE),
        ("main.py", 0o644),
        ("static/run", 0o755),
    ]


def _write(path: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / path).write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        _write("main.py", "print(1)\n"),
        _write("more.py", ""),
        lambda root: (root / "main.py").chmod(0o755),
        lambda root: (root / "main.py").rename(root / "other.py"),
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("main.py")),
    ],
)
def test_the_digest_follows_names_modes_links_and_contents(tree: Path, change: Callable[[Path], object]) -> None:
    before = source_digest(tree)
    change(tree)
    assert source_digest(tree) != before


def test_the_digest_ignores_litter_times_and_the_place_of_the_tree(tree: Path) -> None:
    before = source_digest(tree)
    (tree / "__pycache__" / "more").write_text("x")
    os.utime(tree / "main.py", (1, 1))
    (tree / "main.py").chmod(0o600)
    assert source_digest(tree.rename(tree.parent / "moved")) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "out").symlink_to("/etc/passwd"), "holds a link that leaves it: out"),
        (lambda root: (root / "static" / "up").symlink_to("../../x"), "holds a link that leaves it: static/up"),
        (lambda root: os.mkfifo(root / "pipe"), "holds something that is no file: pipe"),
        (lambda root: os.truncate(root / "main.py", 201 * 1024**2), "holds 201 MiB; at most 200 MiB"),
    ],
)
def test_what_cannot_be_packed(tree: Path, change: Callable[[Path], object], message: str) -> None:
    change(tree)
    with pytest.raises(SourceError, match=message):
        source_digest(tree)


def _cluster(folder: Path, source: str) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(EXAMPLE.replace("examples/shop", source))
    return path


def _said(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        load(path)
    return str(caught.value)


def test_a_missing_or_empty_source_is_told_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    before = EXAMPLE[: EXAMPLE.index("examples/shop")]
    place = f"cluster.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: source of layer app"
    missing, empty = _said(_cluster(tmp_path, "shpo")), _said(_cluster(tmp_path, "shop"))
    assert f"{place}: 'shpo' does not exist; did you mean 'shop'?" in missing
    assert f"{place}: 'shop' is an empty directory" in empty


def test_a_release_stands_in_for_the_source(tree: Path) -> None:
    path = _cluster(tree.parent, "app")
    release = tree.parent / ".holdfast" / "release"
    release.parent.mkdir()
    release.write_text(json.dumps({"digest": "ab" * 32}))
    assert load(path).sources["app"].digest == "ab" * 32
    release.unlink()
    assert load(path).sources["app"].digest == source_digest(tree)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"digest": "../x"}', "\0", "[" * 100_000])
def test_a_broken_release_is_told(tree: Path, content: str) -> None:
    (tree.parent / ".holdfast").mkdir()
    (tree.parent / ".holdfast" / "release").write_text(content)
    assert "release:1:1: this does not name a release" in _said(_cluster(tree.parent, "app"))


def test_every_setting_is_explained_with_its_origin() -> None:
    rows = {each["key"]: each for each in as_json(explain(ROOT / "cluster.yaml"))}
    json.dumps(list(rows.values()))
    assert (rows["promises.rto"]["value"], rows["promises.rto"]["origin"]) == ("30s", "given")
    assert (rows["promises.rpo"]["value"], rows["promises.rpo"]["origin"]) == ("0s", "default")
    assert (rows["network"]["value"], rows["network"]["origin"]) == ("10.77.0.0/24", "default")
    assert rows["layers.edge.vip"]["origin"] == "given"
    assert rows["ssh.port"]["doc"] == "Port of sshd."
    known = schema()
    for layer in ("app", "cache", "database", "edge"):
        assert {key.split(".")[2] for key in rows if key.startswith(f"layers.{layer}.")} == keys_at(
            known, ("layers", layer)
        )


def test_the_schema_knows_every_layer_and_option() -> None:
    found = schema()
    assert found["$schema"] == DIALECT
    assert keys_at(found, ()) == set(Document.model_fields)
    for component in registry().values():
        if component.layer:
            assert set(component.options.model_fields) | {"engine", "hosts"} <= keys_at(
                found, ("layers", component.layer)
            )


def test_the_reference_page_is_fresh() -> None:
    if os.environ.get("UPDATE_DOCS"):
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(reference(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == reference(), "run this test with UPDATE_DOCS=1"


def _digest(_path: str) -> str:
    return "0" * 64


def _outcome(text: str) -> Spec | SpecError:
    found: Spec | SpecError
    try:
        found = parse(text, "cluster.yaml", _digest)
    except SpecError as error:
        found = error
    if isinstance(found, SpecError):
        _check_complaints(text, found)
    return found


def _check_complaints(text: str, error: SpecError) -> None:
    line_ends = sum(text.count(each) for each in "\n\r\x85\u2028\u2029")
    assert error.complaints
    assert all(1 <= each.line <= line_ends + 1 and each.column >= 1 for each in error.complaints)
    assert len(str(error).splitlines()) == len(error.complaints)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_spec_or_an_error_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError):
        load(path)


@given(st.text(alphabet="{}[]:,&*!|>'\"%@-?# \t\n\r\\aux0<~.", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_punctuation_gives_an_error_in_words(text: str) -> None:
    assert isinstance(_outcome(text), SpecError)


_EDITS = st.lists(
    st.tuples(
        st.integers(0, len(EXAMPLE)),
        st.integers(0, 3),
        st.sampled_from([*"\t \n:[{}]#'-~9\0é", "", "&a ", "*a", '"\\']),
    ),
    min_size=1,
    max_size=4,
)


@given(_EDITS)
@settings(max_examples=200, deadline=None)
def test_the_example_with_slips_gives_a_spec_or_an_error_in_words(edits: list[tuple[int, int, str]]) -> None:
    text = EXAMPLE
    for at, deleted, inserted in edits:
        text = text[:at] + inserted + text[at + deleted :]
    _outcome(text)


def _shuffled(data: Any, draw: Callable[[Any], Any]) -> Any:
    if isinstance(data, dict):
        return {key: _shuffled(data[key], draw) for key in draw(st.permutations(sorted(data)))}
    return data


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_the_order_of_keys_has_no_meaning(data: st.DataObject) -> None:
    root, _ = read(EXAMPLE, "")
    assert root is not None
    shuffled = _shuffled(plain(root), data.draw)
    assert _outcome(json.dumps(shuffled)) == parse(EXAMPLE, "", _digest)


_WORDS = st.sampled_from(
    [
        *Document.model_fields,
        *("a", "b", "c", "d", "engine", "address", "zone", "rto", "rpo", "durability", "allowed", "user", "port"),
        *("key", "source", "command", "environment", "parameters", "vip", "edge", "app", "database", "cache"),
        *("dcs", "10.77.0.11", "10.77.0.100", "30s", "performance", "postgres", "", "🙂"),
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_value_anywhere_gives_a_spec_or_an_error_in_words(data: st.DataObject) -> None:
    root, _ = read(EXAMPLE, "")
    assert root is not None
    document = plain(root)
    place, depth = document, data.draw(st.integers(0, 3))
    for _ in range(depth):
        inner = [each for each in place.values() if isinstance(each, dict)]
        place = data.draw(st.sampled_from(inner)) if inner else place
    place[data.draw(st.sampled_from(sorted(place)) | _WORDS)] = data.draw(_VALUES)
    _outcome(json.dumps(document))
