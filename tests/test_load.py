"""Reading cluster.yaml: what a good file means, and one clear line for each fault of a bad one."""

import math
import os
import shutil
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from holdfast.design.document import duration, seconds
from holdfast.design.errors import Located, SourceError, SpecError
from holdfast.design.load import load, source_digest
from holdfast.design.parse import parse
from holdfast.model.component import Component, Declaration
from holdfast.model.parts import Part
from holdfast.model.spec import Complaint, Durability, Host, Options, Source, Spec

ROOT = Path(__file__).parents[1]
BAD = Path(__file__).parent / "data" / "bad"


class Limits(Options):
    memory: str
    files: int | None = None


class AppOptions(Options):
    source: str = ""
    command: str
    port: int = Field(default=8000, ge=1, le=65535, description="Port it listens on.")
    environment: dict[str, str] = Field(default_factory=dict)
    limits: Limits | None = None
    workers: int | Literal["auto"] = "auto"
    packages: tuple[str, ...] = ()


class CacheOptions(Options):
    eviction: Literal["allkeys-lru", "noeviction"] = "allkeys-lru"
    maxmemory: str = "256mb"


class EdgeOptions(Options):
    vip: str | None = None


def _nothing(*_: object) -> tuple[Part, ...]:
    return ()


def _declare(_spec: Spec, _host: Host) -> Declaration:
    return Declaration()


def _placed(layer: str, name: str) -> Callable[[Spec], tuple[str, ...]]:
    return lambda spec: spec.served_by(layer, name)


def _sources(spec: Spec) -> Mapping[str, str]:
    options = spec.layers["app"].options if "app" in spec.layers else None
    return {"app": options.source} if isinstance(options, AppOptions) and options.source else {}


def _two(spec: Spec) -> tuple[Complaint, ...]:
    if len(spec.hosts_of("database")) != 2:
        return ()
    return (Complaint(("layers", "database", "hosts"), "two members have no quorum", "use 1, 3 or 5"),)


def _needs_edge(spec: Spec) -> tuple[Complaint, ...]:
    return () if "app" not in spec.layers else (Complaint(("layers", "app"), "the app hangs in the air"),)


def _toy(name: str, layer: str, options: type[Options] = Options, **powers: Any) -> Component:
    return Component(name, _placed(layer, name), _declare, _nothing, layer=layer, options=options, **powers)


TOYS = {
    each.name: each
    for each in (
        _toy("server", "app", AppOptions, sources=_sources),
        _toy("memory", "cache", CacheOptions),
        _toy("sql", "database", check=_two),
        _toy("sql2", "database"),
        _toy("front", "edge", EdgeOptions),
        Component("helper", lambda spec: (), _declare, _nothing, check=_needs_edge),
        Component("ground", lambda spec: tuple(host.name for host in spec.hosts), _declare, _nothing, ground=True),
    )
}
GOOD = """\
name: shop
hosts:
  a: {address: 10.77.0.11, zone: rack1}
  b: 10.77.0.12
layers:
  cache: {hosts: [b, a]}
"""


def _digest(path: str) -> str:
    if path == "bda":
        raise SourceError("does not exist", "the path is relative to the cluster file")
    return path * 2


def _parse(text: str) -> Spec:
    return parse(text, "cluster.yaml", _digest, {name: each for name, each in TOYS.items() if name != "helper"})


def _faults(text: str) -> tuple[Located, ...]:
    with pytest.raises(SpecError) as caught:
        _parse(text)
    return caught.value.complaints


def _said(path: Path, components: Mapping[str, Component] | None = None) -> str:
    with pytest.raises(SpecError) as caught:
        load(path, components)
    return str(caught.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_fault_of_a_bad_file_is_told_in_its_place(path: Path) -> None:
    expected = path.with_suffix(".txt")
    said = _said(path, {name: each for name, each in TOYS.items() if name != "helper"}) + "\n"
    if os.environ.get("UPDATE_BAD"):
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("unknown-keys", ["4:41: unknown key 'rack' in host b", "11:3: unknown layer 'databse'; did you mean"]),
        ("addresses", ["4:16: duplicate address 10.77.0.11", "9:33: vip 10.99.0.100 lies outside the network"]),
        ("two-dcs", ["4:14: two dcs members have no quorum"]),
        ("vip-of-host", ["6:10: vip 10.77.0.12 is the address of host b"]),
    ],
)
def test_the_real_engines_say_their_part(name: str, faults: list[str], tmp_path: Path) -> None:
    texts = {
        "two-dcs": "name: s\nhosts: {a: 10.0.0.1, b: 10.0.0.2}\nlayers:\n  database: {hosts: [a, b]}\n",
        "vip-of-host": "name: s\nhosts: {a: 10.77.0.11, b: 10.77.0.12}\nlayers:\n  edge:\n    hosts: [a, b]\n"
        "    vip: 10.77.0.12\n",
    }
    path = tmp_path / "cluster.yaml"
    path.write_text(texts.get(name) or (BAD / f"{name}.yaml").read_text())
    said = _said(path)
    assert [fault for fault in faults if f"cluster.yaml:{fault}" not in said] == []


def test_a_small_file_gets_every_default() -> None:
    spec = _parse(GOOD)
    assert spec.hosts == (Host("a", "10.77.0.11", "rack1"), Host("b", "10.77.0.12", "b"))
    assert spec.network == IPv4Network("10.77.0.0/24")
    assert spec.layers["cache"].engine == "memory"
    assert spec.layers["cache"].hosts == ("a", "b")
    assert spec.layers["cache"].options == CacheOptions()
    assert (spec.promises.rto_s, spec.promises.rpo_s) == (30.0, 0.0)
    assert spec.promises.durability is Durability.AVAILABILITY
    assert (spec.ssh.user, spec.ssh.port, spec.ssh.key) == ("root", 22, "")
    assert (spec.drills_allowed, spec.drills_stop_s) == (False, 120.0)
    assert _parse(GOOD + "drills: {allowed: true, stop_after: 1.5m}\n").drills_stop_s == 90.0


def test_the_example_is_good_and_its_source_is_known(tmp_path: Path) -> None:
    # A copy: in the working tree a release may be pinned.
    path = tmp_path / "cluster.yaml"
    path.write_bytes((ROOT / "cluster.yaml").read_bytes())
    shutil.copytree(ROOT / "examples" / "shop", tmp_path / "examples" / "shop")
    spec = load(path)
    assert spec.sources["app"] == Source("app", "examples/shop", source_digest(ROOT / "examples" / "shop"))


@pytest.mark.parametrize("change", ["\ufeff{}", "{}\r\n", "{}# ünï ☂ 🙂\n"])
def test_marks_line_ends_and_any_letters_are_fine(change: str, tmp_path: Path) -> None:
    text = change.format(GOOD)
    path = tmp_path / "cluster.yaml"
    path.write_bytes((text.replace("\n", "\r\n") if "\r" in change else text).encode())
    assert load(path, TOYS) == _parse(GOOD)


def test_words_that_older_yaml_takes_for_booleans_are_texts() -> None:
    spec = _parse(GOOD.replace("rack1", "on"))
    assert spec.host("a").zone == "on"


def test_an_alias_repeats_its_value() -> None:
    text = GOOD.replace("hosts: [b, a]", "hosts: &all [b, a]") + "  edge: {hosts: *all}\n"
    assert _parse(text).layers["edge"].hosts == ("a", "b")


def test_the_first_engine_of_a_layer_is_its_default() -> None:
    assert _parse(GOOD + "  database: {hosts: [a]}\n").layers["database"].engine == "sql"


@pytest.mark.parametrize(
    ("given", "durability", "rpo_s"),
    [
        ("{durability: performance}", Durability.PERFORMANCE, math.inf),
        ("{durability: performance, rpo: 500ms}", Durability.PERFORMANCE, 0.5),
        ("{durability: Maximum Protection}", Durability.PROTECTION, 0),
        ("{durability: max-availability, rpo: 2m}", Durability.AVAILABILITY, 120),
    ],
)
def test_durability_decides_the_loss_that_is_promised(given: str, durability: Durability, rpo_s: float) -> None:
    promises = _parse(GOOD + f"promises: {given}\n").promises
    assert (promises.durability, promises.rpo_s) == (durability, rpo_s)


@pytest.mark.parametrize(("text", "expected"), [("30s", 30), ("500ms", 0.5), ("2m", 120), ("1.5 h", 5400), (7, 7)])
def test_durations(text: str | int, expected: float) -> None:
    assert seconds(text) == expected
    assert seconds(duration(expected)) == expected


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "1e3s", True, None, -1, math.inf, math.nan, "9" * 20 + "s"])
def test_what_is_no_duration(text: Any) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        seconds(text)


def test_one_fault_does_not_hide_another() -> None:
    said = [each.message for each in _faults("name: 5\n" + GOOD[11:].replace("10.77.0.12", "x") + "ssh: {port: 0}\n")]
    assert len(said) == 3


def test_a_fault_inside_a_layer_is_not_blamed_twice() -> None:
    text = GOOD + "  app: {hosts: [a], comand: x}\n"
    with pytest.raises(SpecError) as caught:
        parse(text, "f", _digest, TOYS)
    assert str(caught.value) == "f:7:21: unknown key 'comand' in layer app; did you mean 'command'?"


def test_a_value_that_may_be_a_password_is_not_shown() -> None:
    text = GOOD + "  app: {hosts: [a], command: x, environment: {TOKEN: 12345678}}\n"
    assert "12345678" not in str(_faults(text))


def test_a_host_of_another_network_is_told_which_network_would_do() -> None:
    (fault,) = _faults(GOOD.replace("10.77.0.12", "10.77.1.12"))
    assert fault.hint.endswith("write network: 10.77.0.0/23")
    wide = GOOD.replace("10.77.0.12", "10.77.1.12") + "network: 10.77.0.0/23\n"
    assert _parse(wide).network == IPv4Network("10.77.0.0/23")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.yaml", None, "no such file; the current folder is"),
        ("cluster.yaml.d", "dir", "this is a directory, not a cluster file"),
        ("pipe", "pipe", "this is a device or pipe"),
        ("huge.yaml", b"# " + b"x" * 1024 * 1024, "a cluster file has at most 1048576"),
        ("photo.yaml", b"\xff\xd8\xff\x00\x10", "this is a binary file"),
        ("utf16.yaml", "name: shop".encode("utf-16"), "this is a binary file"),
    ],
)
def test_what_is_no_text_file(name: str, content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content == "dir":
        path.mkdir()
    elif content == "pipe":
        os.mkfifo(path)
    elif content:
        path.write_bytes(content)
    assert f"{name}:1:1: " in _said(path)
    assert message in _said(path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(GOOD)

    def refuse(_self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert _said(path) == "cluster.yaml:1:1: the file cannot be read: permission denied"


def test_a_missing_file_that_has_a_twin(tmp_path: Path) -> None:
    (tmp_path / "cluster.yml").write_text(GOOD)
    assert _said(tmp_path / "cluster.yaml").endswith("no such file; did you mean 'cluster.yml'?")
