"""What every component has agreed to: probes that read real answers, golden files, designs that repeat."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from difflib import unified_diff
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import house
from holdfast.components import registry
from holdfast.design.design import Design, complaints, make_design
from holdfast.design.load import load
from holdfast.design.parse import parse
from holdfast.design.render import sentence
from holdfast.model.component import Context
from holdfast.model.member import Member
from holdfast.model.parts import Archive, Effect, File, Link, Part, Secret, Unit, key_of, values_in
from holdfast.model.spec import Spec
from holdfast.model.watch import Output, Probe

EXAMPLE = house.ROOT / "cluster.yaml"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
# The golden files must not change with every line of the example shop.
SOURCE_DIGEST = "0" * 64
# Units of the operating system that every machine has; a file may reload or restart them.
OF_THE_SYSTEM = {"systemd-journald.service", "systemd-sysctl.service", "systemd-networkd.service"}

LARGE = """
name: large
hosts:
  edge1: {address: 10.80.0.11, zone: rack1}
  edge2: {address: 10.80.0.12, zone: rack2}
  app1: {address: 10.80.0.21, zone: rack1}
  app2: {address: 10.80.0.22, zone: rack2}
  db1: {address: 10.80.0.31, zone: rack1}
  db2: {address: 10.80.0.32, zone: rack2}
  db3: {address: 10.80.0.33, zone: rack3}
  mem1: {address: 10.80.0.41, zone: rack1}
  mem2: {address: 10.80.0.42, zone: rack2}
layers:
  edge: {hosts: [edge1, edge2], vip: 10.80.0.100}
  app: {hosts: [app1, app2], source: examples/shop, command: python3 -m shop, port: 8000}
  database: {hosts: [db1, db2, db3]}
  cache: {hosts: [mem1, mem2, db3]}
"""
DATA_ONLY = """
name: data
hosts: {x: 10.81.0.11, y: 10.81.0.12, z: 10.81.0.13}
layers:
  database: {hosts: [x, y, z]}
"""
LAYOUTS = {"three": EXAMPLE.read_text(), "nine": LARGE, "data": DATA_ONLY}


def read(text: str) -> Spec:
    return parse(text, "cluster.yaml", lambda _name: SOURCE_DIGEST)


@cache
def design(layout: str) -> Design:
    return make_design(read(LAYOUTS[layout]))


def members(layout: str) -> Iterator[tuple[Member, tuple[Part, ...]]]:
    return iter(design(layout).parts.items())


# Probes


def context(component: str) -> Context:
    return design("three").contexts[Member(component, "a")]


def probes(component: str) -> dict[str, Probe]:
    return {probe.name: probe for probe in registry()[component].probes(context(component))}


def samples(component: str) -> list[Path]:
    return sorted((house.COMPONENTS / component / "samples").glob("*.json"))


def probe_of(sample: Path) -> str:
    return sample.stem.split("-", 1)[0]


SAMPLES = [pytest.param(name, path, id=f"{name}/{path.stem}") for name in registry() for path in samples(name)]
PROBES = [pytest.param(name, probe, id=f"{name}/{probe}") for name in registry() for probe in probes(name)]


@pytest.mark.parametrize(("component", "sample"), SAMPLES)
def test_a_captured_answer_reads_as_expected(component: str, sample: Path) -> None:
    data = json.loads(sample.read_text())
    expected = data.pop("expect")
    reading = probes(component)[probe_of(sample)].read(Output(**data))
    got = {"state": reading.state.value, "role": reading.role, "reason": reading.reason, "facts": dict(reading.facts)}
    assert {key: got[key] for key in expected} == expected
    assert reading.state.value == "ok" or reading.reason, "a member that is not well says why"


@pytest.mark.parametrize(("component", "probe"), PROBES)
def test_a_probe_has_a_healthy_and_a_sick_sample(component: str, probe: str) -> None:
    own = [path for path in samples(component) if probe_of(path) == probe]
    states = {json.loads(path.read_text())["expect"]["state"] for path in own}
    assert "ok" in states, f"{component}/samples has no healthy answer for probe {probe}"
    assert states - {"ok"}, f"{component}/samples has no sick answer for probe {probe}"


@pytest.mark.parametrize(("component", "probe"), PROBES)
@pytest.mark.parametrize(
    "output",
    [
        Output(124, stderr="no answer within 3 s"),
        Output(1, stderr="No such file or directory"),
        Output(0, "\0\ufffd]{"),
        Output(0, "[1, 2]\n{}\n"),
    ],
    ids=["silent", "failed", "garbage", "strange"],
)
def test_a_reader_survives_nonsense_and_never_takes_it_for_health(component: str, probe: str, output: Output) -> None:
    try:
        reading = probes(component)[probe].read(output)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return  # the runner reads this as unknown
    assert output.exit_code == 0 or reading.state.value != "ok"


# Golden files


def rendered(component: str) -> dict[str, str]:
    """The files of a component on host a, and its other parts in words."""
    parts = design("three").parts[Member(component, "a")]
    own = programs(component)
    files = [part for part in parts if isinstance(part, File)]
    words = [line for part in parts if (line := sentence(part))]
    words += [f"{each.path} is {own[each.content]} as it is" for each in files if each.content in own]
    texts = {each.path.lstrip("/"): each.content for each in files if each.content not in own}
    return texts | {"PARTS.txt": "".join(f"{line}\n" for line in words)}


def programs(component: str) -> dict[str, str]:
    """Text → name of what a component ships as it is: a golden copy would show nothing that the file does not."""
    folder = house.COMPONENTS / component
    return {path.read_text(): path.relative_to(folder).as_posix() for path in sorted(folder.glob("service/*.py"))}


def golden(component: str) -> dict[str, str]:
    folder = house.COMPONENTS / component / "golden"
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def rewrite(component: str, files: dict[str, str]) -> None:
    folder = house.COMPONENTS / component / "golden"
    for name in golden(component).keys() - files.keys():
        (folder / name).unlink()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def difference(before: dict[str, str], after: dict[str, str]) -> str:
    """What changed, as a diff over all files."""
    return "\n".join(
        line
        for name in sorted(before.keys() | after.keys())
        for line in unified_diff(before.get(name, "").splitlines(), after.get(name, "").splitlines(), name, name, n=1)
    )


@pytest.mark.parametrize("component", list(registry()))
def test_files_are_as_they_were_looked_at(component: str) -> None:
    if UPDATE:
        rewrite(component, rendered(component))
    changes = difference(golden(component), rendered(component))
    assert not changes, f"look at this change; `make docs` accepts it\n{changes}"


# Designs


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_layout_binds(layout: str) -> None:
    made = design(layout)
    assert not complaints(made.spec)
    assert {host.name for host in made.spec.hosts} == {member.host for member in made.members}
    assert all(made.parts[member] for member in made.members), "a member without parts is nothing"


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_value_is_declared(layout: str) -> None:
    made = design(layout)
    known = {"pki/ca.crt"} | {secret.name for secret in made.secrets()}
    known |= {f"{each.name}.{kind}" for each in made.certificates() for kind in ("crt", "key")}
    named = {
        name for _, parts in members(layout) for p in parts if isinstance(p, File) for name in values_in(p.content)
    }
    assert named <= known
    assert {secret.name for secret in made.secrets()} <= named, "a secret that no file uses is dead"


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_touched_unit_is_one_of_the_member(layout: str) -> None:
    strangers = {
        f"{member.name}: {part.path} touches {part.unit}"
        for member, parts in members(layout)
        for part in parts
        if isinstance(part, File | Link) and part.unit
        if part.unit not in {each.name for each in parts if isinstance(each, Unit)} | OF_THE_SYSTEM
    }
    assert not strangers


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_change_of_a_file_names_its_effect_and_unit_together(layout: str) -> None:
    odd = {
        part.path
        for _, parts in members(layout)
        for part in parts
        if isinstance(part, File | Link) and bool(part.unit) != (part.effect is not Effect.NONE)
    }
    assert not odd, "an effect without a unit does nothing, a unit without an effect is not touched"


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_parts_have_names_of_their_own(layout: str) -> None:
    for member, parts in members(layout):
        keys = [key_of(part) for part in parts]
        assert sorted(keys) == sorted(set(keys)), member.name


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_keys_and_passwords_are_for_their_owner_only(layout: str) -> None:
    secrets = {secret.name for secret in design(layout).secrets()}
    open_files = {
        f"{member.name}: {part.path} {part.mode:04o}"
        for member, parts in members(layout)
        for part in parts
        if isinstance(part, File) and part.mode & 0o007
        if any(name in secrets or name.endswith(".key") for name in values_in(part.content))
    }
    assert not open_files, "a file with a secret must not be readable by everybody"


def shuffled(data: Any, dice: random.Random) -> Any:
    """The same document with its keys in another order."""
    if isinstance(data, dict):
        keys = dice.sample(list(data), len(data))
        return {key: shuffled(data[key], dice) for key in keys}
    return data


def test_the_order_of_keys_does_not_matter() -> None:
    yaml = YAML(typ="safe", pure=True)
    for layout, text in LAYOUTS.items():
        for seed in range(10):
            out = StringIO()
            yaml.dump(shuffled(yaml.load(text), random.Random(seed)), out)
            assert make_design(read(out.getvalue())).digest == design(layout).digest, f"{layout}, seed {seed}"


DIGEST_PROGRAM = """
import sys
from holdfast.design.design import make_design
from holdfast.design.parse import parse
print(make_design(parse(sys.stdin.read(), "cluster.yaml", lambda name: "0" * 64)).digest)
"""


@pytest.mark.parametrize("seed", ["0", "1", "12345"])
def test_hash_seeds_do_not_matter(seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIGEST_PROGRAM],
        input=LARGE,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == design("nine").digest


def test_the_place_of_the_file_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(DATA_ONLY)
    assert make_design(load(tmp_path / "x.yaml")).digest == design("data").digest


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_design_can_be_shared(layout: str) -> None:
    """Secrets are marks in a design: its JSON has none, and the marks are all it has."""
    text = json.dumps(design(layout).as_json())
    assert "PRIVATE KEY" not in text
    assert all(f"@@{secret.name}@@" in text for secret in design(layout).secrets())
    renamed = replace(design(layout).spec, name="other")
    assert make_design(renamed).digest != design(layout).digest, "the digest is of the content"


def test_archives_carry_the_digest_of_their_source() -> None:
    archives = [part for _, parts in members("three") for part in parts if isinstance(part, Archive)]
    assert archives
    assert {part.digest for part in archives} == {SOURCE_DIGEST}


def test_secrets_are_declared_alike_everywhere() -> None:
    found: dict[str, Secret] = {}
    for _, parts in members("nine"):
        for part in parts:
            if isinstance(part, Secret):
                assert found.setdefault(part.name, part) == part
