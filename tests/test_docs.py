"""The pages say what the code does: verbs, options, components, links that lead somewhere, examples that work."""

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast.components
import house
import pages
from holdfast.cli.common import Exit
from holdfast.components import registry
from holdfast.design.design import Design, make_design
from holdfast.design.load import load
from holdfast.design.parse import parse
from holdfast.design.render import rendered
from holdfast.model.member import Member
from holdfast.model.watch import Output
from house import ROOT

UPDATE = os.environ.get("UPDATE_DOCS") == "1"
EXAMPLE = ROOT / "cluster.yaml"
BLOCK = re.compile(r"^`(?P<path>src/[^`]+)`\n\n```[a-z]+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^ *(?:\$ )?(?:sudo )?(?:\.venv/bin/)?holdfast ([a-z][^#\n]*)", re.MULTILINE)
YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The log of versions may speak of verbs and pages that are gone.
PAGES = sorted(path for path in house.committed() if path.suffix == ".md" and path.name != "CHANGELOG.md")


def must_be_fresh(path: Path, wanted: str) -> None:
    if UPDATE:
        path.write_text(wanted)
    present = path.read_text() if path.exists() else ""
    assert present == wanted, f"{house.name(path)} is stale: `make docs` writes it anew"


def design() -> Design:
    return make_design(load(EXAMPLE))


def test_the_page_of_verbs_is_fresh() -> None:
    must_be_fresh(ROOT / "docs/reference/cli.md", pages.cli_page())


def test_the_page_of_components_is_fresh() -> None:
    must_be_fresh(ROOT / "docs/reference/components.md", pages.components_page(design()))


def test_the_page_of_faults_is_fresh() -> None:
    must_be_fresh(ROOT / "docs/reference/faults.md", pages.faults_page(design()))


def test_every_exit_code_has_a_meaning() -> None:
    assert set(pages.EXIT_MEANINGS) == set(Exit)
    readme = (ROOT / "README.md").read_text()
    assert all(re.search(rf"^\| {code.value} \|", readme, re.MULTILINE) for code in Exit), "README's table of codes"


@pytest.mark.parametrize("words", sorted(pages.verbs()))
def test_every_verb_explains_itself(words: str) -> None:
    command = pages.verbs()[words]
    assert (command.help or "").strip()
    bare = [
        each.name for each in command.params if each.param_type_name == "option" and not getattr(each, "help", "")
    ]
    assert not bare, f"options of {words} without a meaning: {bare}"


@pytest.mark.parametrize("words", sorted(pages.verbs()))
def test_every_verb_is_in_the_readme(words: str) -> None:
    assert re.search(rf"`{re.escape(words)}\b", (ROOT / "README.md").read_text()), "README's table of verbs"


def test_every_layer_option_is_explained() -> None:
    page = (ROOT / "docs/reference/cluster-yaml.md").read_text()
    options = {
        f"layers.{component.layer}.{key}"
        for component in registry().values()
        if component.layer
        for key in component.options.model_fields
    }
    assert options, "nothing was tried"
    assert sorted(option for option in options if f"| `{option}` |" not in page) == []


@pytest.mark.parametrize("path", PAGES, ids=house.name)
def test_links_lead_somewhere(path: Path) -> None:
    targets = [each.split("#")[0] for each in LINK.findall(path.read_text()) if "://" not in each]
    assert sorted(each for each in targets if each and not (path.parent / each).exists()) == []


def verb_of(line: str) -> str:
    """The longest verb that a command line begins with; "" for none."""
    words = line.split()
    found = [known for known in pages.verbs() if words[: len(known.split())] == known.split()]
    return max(found, key=len, default="")


def commands() -> Iterator[tuple[str, str]]:
    for path in PAGES:
        for line in COMMAND.findall(path.read_text()):
            yield house.name(path), line.strip()


def test_pages_use_verbs_and_options_that_exist() -> None:
    found = list(commands())
    assert len(found) > 20, "the pages show how Holdfast is used"
    assert sorted(f"{page}: holdfast {line}" for page, line in found if not is_possible(line)) == []


def is_possible(line: str) -> bool:
    verb = verb_of(line)
    if not verb:
        return False
    known = {name for each in pages.verbs()[verb].params for name in (*each.opts, *each.secondary_opts)} | {
        "-h",
        "--help",
    }
    given = [word.split("=")[0] for word in line.split(" -- ")[0].split() if re.match(r"--?[a-z]", word)]
    return set(given) <= known


@pytest.mark.parametrize("path", PAGES, ids=house.name)
def test_cluster_files_in_pages_are_sound(path: Path) -> None:
    for text in YAML_BLOCK.findall(path.read_text()):
        if text.startswith("name:"):
            make_design(parse(text, house.name(path), lambda _name: "0" * 64))


def test_the_readme_shows_the_example_as_it_is() -> None:
    lines = EXAMPLE.read_text().splitlines(keepends=True)
    shown = YAML_BLOCK.findall((ROOT / "README.md").read_text())[0]
    assert shown == "".join(line for line in lines if not line.startswith("#"))


# The worked example of CONTRIBUTING.md


def example() -> dict[str, str]:
    """Path below components/ → text, of every file that the page shows."""
    found = BLOCK.finditer((ROOT / "CONTRIBUTING.md").read_text())
    return {each["path"].removeprefix("src/holdfast/components/"): each["text"] for each in found}


@pytest.fixture
def motd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The component of the page, where the project finds it."""
    for name, text in example().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(holdfast.components, "__path__", [*holdfast.components.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield tmp_path / "motd"
    for name in [each for each in sys.modules if each.startswith("holdfast.components.motd")]:
        del sys.modules[name]
    vars(holdfast.components).pop("motd", None)


def test_the_component_of_the_contributing_page_works(motd: Path) -> None:
    known = holdfast.components.registry.__wrapped__()
    assert set(known) == {*registry(), "motd"}, "a folder is all it takes"
    made = make_design(load(EXAMPLE), known)
    assert rendered(made)["a/etc/motd.d/holdfast"].startswith("a (10.77.0.11, zone rack1) of cluster shop.\n")
    (probe,) = known["motd"].probes(made.contexts[Member("motd", "a")])
    samples = sorted(motd.glob("samples/*.json"))
    assert len(samples) == 2
    for path in samples:
        data = json.loads(path.read_text())
        expected = data.pop("expect")
        assert probe.read(Output(**data)).state.value == expected["state"]
