"""The house is held together here. Every rule says why it is one; see STYLE.md and ARCHITECTURE.md."""

import ast
import json
import re
from collections.abc import Iterable
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

import house

# `python -m holdfast` stands right of everything: it only calls the command line.
ORDER = ("model", "components", "design", "wire", "runner", "lab", "drills", "console", "cli", "__main__")
# Doors to the world outside: they know the words of the vocabulary, and nothing of clusters.
NARROW = {"wire": {"model"}, "lab": {"model", "wire"}}
# Drills run on anything with a wire: what needs a lab is handed to them.
FORBIDDEN = {("drills", "lab")}

PURE = ("model", "components", "design")
IMPURE = {"subprocess", "socket", "os", "time", "random", "secrets", "asyncio", "threading", "aiohttp", "asyncssh"}
# The one file of design that reads the disk, and programs that run on servers, which a design only ships as text.
READERS = {"src/holdfast/design/load.py"}
PROGRAMS = re.compile(r"src/holdfast/components/[a-z]+/service/")
# Its own parts that decide are pure all the same.
DECIDING = {
    f"src/holdfast/components/{component}/service/{name}.py"
    for component, names in {"watcher": ("protocol", "views", "words"), "nginx": ("law", "standing", "views")}.items()
    for name in names
}
# Imports inside functions that are tolerated, each with its reason.
LAZY = {
    "aiohttp": "takes 300 ms, and only clients from outside the cluster need it",
    "psycopg": "takes 100 ms, and only drills need it",
    "redis": "takes 100 ms, and only drills need it",
    "holdfast.cli.proving": "clients, checkers and reports take 100 ms, and only the verbs of drills need them",
}

# Names of engines that live in the folder of a component with another name.
LODGERS = {"patroni": "postgres", "postgresql": "postgres", "redis": "valkey", "sentinel": "valkey"}
# Names of components that are ordinary words or words of the spec: these may be said anywhere.
ORDINARY = {"app", "base", "pki", "firewall", "watcher"}
# Words said outside their home that are tolerated, each with its reason.
SAID_OUTSIDE = {
    # Debian's package would make a database of its own while the image is built, before any design is applied.
    ("src/holdfast/lab/image.py", "postgresql"),
    # The name of the Python client that speaks to any cache of this kind; nowhere else is it imported.
    ("src/holdfast/wire/cache.py", "redis"),
}

LINES_OF_FUNCTION = 70
LINES_OF_FILE = 400
MEDIAN_LINES = 8


def must_be_empty(faults: Iterable[str], why: str) -> None:
    if found := sorted(set(faults)):
        pytest.fail(f"{why}\n  " + "\n  ".join(found), pytrace=False)


def ours() -> list[house.Import]:
    return [each for path in house.modules().values() for each in house.imports(path) if house.layer(each.target)]


def may_import(source: str, target: str) -> bool:
    if source == target:
        return True
    if (source, target) in FORBIDDEN:
        return False
    return target in NARROW.get(source, set(ORDER[: ORDER.index(source)]))


def test_every_module_has_its_place_in_the_order() -> None:
    strange = {house.layer(name) for name in house.modules()} - {"", *ORDER}
    must_be_empty(strange, f"a new top-level part must get its place in the order {' ← '.join(ORDER)}")


def test_imports_go_leftward_only() -> None:
    wrong = [each for each in ours() if not may_import(house.layer(each.source), house.layer(each.target))]
    must_be_empty(
        (f"{each.source}:{each.line} imports {each.target}" for each in wrong),
        f"a part may know what stands left of it only: {' ← '.join(ORDER)}; else no part can be understood alone",
    )


def test_no_import_cycles() -> None:
    graph: dict[str, set[str]] = {name: set() for name in house.modules()}
    for each in ours():
        if each.target != each.source and each.target in graph:
            graph[each.source].add(each.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules that import each other can only be understood together: {' → '.join(error.args[1])}")


def test_no_imports_inside_functions() -> None:
    lazy = [each for path in house.modules().values() for each in house.imports(path) if each.lazy]
    must_be_empty(
        (
            f"{each.source}:{each.line} imports {each.target}"
            for each in lazy
            if not {each.target, each.target.split(".")[0]} & LAZY.keys()
        ),
        "an import inside a function hides what a module needs",
    )


def component_of(name: str) -> str:
    words = name.split(".")
    return words[2] if words[:2] == ["holdfast", "components"] and len(words) > 2 else ""


def test_no_component_imports_another() -> None:
    wrong = [each for each in ours() if component_of(each.source) and component_of(each.target)]
    must_be_empty(
        (
            f"{each.source}:{each.line} imports {each.target}"
            for each in wrong
            if component_of(each.source) != component_of(each.target)
        ),
        "components meet in kinds, so that one can be added or taken away without touching another",
    )


@cache
def component_names() -> frozenset[str]:
    return frozenset(path.name for path in house.COMPONENTS.iterdir() if (path / "__init__.py").exists())


def core_files() -> list[Path]:
    return [path for path in house.committed() if path.is_relative_to(house.SRC) and path.suffix in (".py", ".j2")]


def texts_of(path: Path) -> Iterable[tuple[int, str]]:
    return house.texts(path) if path.suffix == ".py" else house.template_texts(path)


def home_of(path: Path) -> str:
    inside = path.is_relative_to(house.COMPONENTS) and path.parent != house.COMPONENTS
    return path.relative_to(house.COMPONENTS).parts[0] if inside else ""


@cache
def homes() -> dict[str, str]:
    return {name: name for name in component_names() - ORDINARY} | LODGERS


def said_outside(path: Path, text: str) -> set[str]:
    """The names of engines in a text that stands outside their folder."""
    said = house.words(text) & homes().keys()
    return {word for word in said if homes()[word] != home_of(path) and (house.name(path), word) not in SAID_OUTSIDE}


def test_an_engine_is_named_in_its_own_folder_only() -> None:
    must_be_empty(
        (
            f"{house.name(path)}:{line} says {', '.join(sorted(said))}"
            for path in core_files()
            for line, text in texts_of(path)
            if (said := said_outside(path, text))
        ),
        "one grep for an engine must find one folder; elsewhere speak of kinds and layers (sql, cache, entry, dcs)",
    )


def test_core_never_asks_for_a_component_by_its_name() -> None:
    names = ORDINARY - {"app"}
    must_be_empty(
        (
            f"{house.name(path)}:{line} has the string {text!r}"
            for path in core_files()
            if path.suffix == ".py" and not home_of(path)
            for line, text in house.strings(path)
            if text in names or any(text.startswith(f"{name}@") for name in component_names())
        ),
        "a core file that knows a component by name has a special case that belongs into the contract",
    )


def is_program(path: Path) -> bool:
    return PROGRAMS.match(house.name(path)) is not None


def test_pure_parts_touch_nothing_outside() -> None:
    must_be_empty(
        (
            f"{house.name(path)}:{each.line} imports {each.target}"
            for path in house.modules().values()
            for each in house.imports(path)
            if house.layer(each.source) in PURE and house.name(path) not in READERS
            if not is_program(path) or house.name(path) in DECIDING
            if each.target.split(".")[0] in IMPURE
        ),
        "the same spec must give the same design anywhere: pure parts ask no clock, no disk, no network, no dice",
    )


def test_programs_for_servers_are_never_run_while_a_design_is_made() -> None:
    def program(module: str) -> str:
        found = PROGRAMS.match(f"src/{module.replace('.', '/')}/")
        return found.group() if found else ""

    must_be_empty(
        (
            f"{each.source}:{each.line} imports {each.target}"
            for each in ours()
            if program(each.target) and program(each.source) != program(each.target)
        ),
        "what runs on a server is text to everybody else",
    )


def test_functions_are_short() -> None:
    must_be_empty(
        (
            f"{house.name(path)}:{node.lineno} {node.name} has {house.length(node)} lines"
            for path in house.ruled()
            if path.suffix == ".py"
            for node in house.functions(path)
            if house.length(node) >= LINES_OF_FUNCTION
        ),
        f"a function of {LINES_OF_FUNCTION} lines does more than one thing; the value is in keeping small ones small",
    )


def test_files_are_short() -> None:
    sizes = {path: path.read_text().count("\n") for path in house.ruled()}
    must_be_empty(
        (f"{house.name(path)} has {lines} lines" for path, lines in sizes.items() if lines >= LINES_OF_FILE),
        f"a file of {LINES_OF_FILE} lines has more than one subject; the file of the central noun boils over first",
    )


def test_median_function_is_small(capsys: pytest.CaptureFixture[str]) -> None:
    lengths = [house.length(node) for path in house.python("src") for node in house.functions(path)]
    with capsys.disabled():
        print(f" [{len(lengths)} functions, median {median(lengths):g} lines, longest {max(lengths)}]", end="")
    assert median(lengths) <= MEDIAN_LINES, "many small functions with names are read; few large ones are decoded"


def unannotated(node: house.Function) -> list[str]:
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    bare = [each.arg for each in named if each and not each.annotation and each.arg not in ("self", "cls")]
    return bare + ([] if node.returns else ["its result"])


def test_everything_is_annotated() -> None:
    must_be_empty(
        (
            f"{house.name(path)}:{node.lineno} {node.name}: {', '.join(bare)}"
            for path in house.ruled()
            if path.suffix == ".py"
            for node in house.functions(path)
            if (bare := unannotated(node))
        ),
        "types are the documentation that is checked",
    )


def test_every_public_thing_is_explained() -> None:
    bare = [path for path in house.python("src") if not ast.get_docstring(house.tree(path))]
    must_be_empty((f"{house.name(path)} has no docstring" for path in bare), "a module says what it is for")
    must_be_empty(
        (
            f"{house.name(path)}:{node.lineno} {node.name} has no docstring"
            for path in house.python("src")
            for node in house.public(path)
            if not ast.get_docstring(node)
        ),
        "a public name says its meaning, its units and the errors it raises",
    )


def samples(component: str) -> list[Path]:
    return sorted((house.COMPONENTS / component / "samples").glob("*.json"))


@pytest.mark.parametrize("component", sorted(component_names()))
def test_a_component_is_complete(component: str) -> None:
    folder = house.COMPONENTS / component
    states = {json.loads(path.read_text())["expect"]["state"] for path in samples(component)}
    missing = [] if (folder / "README.md").exists() else ["README.md: what it composes, why so, how it fails"]
    missing += (
        [] if any(path.is_file() for path in folder.glob("golden/**/*")) else ["golden/: its files as rendered"]
    )
    missing += [] if "ok" in states else ["samples/: a healthy answer of its engine"]
    missing += [] if states - {"ok"} else ["samples/: a sick answer of its engine"]
    must_be_empty(missing, f"src/holdfast/components/{component} lacks what every component brings")


@pytest.mark.parametrize("component", sorted(component_names()))
def test_golden_files_hold_no_python(component: str) -> None:
    """scripts/setup and packagers compile every ``.py`` below src, and what they write there is no golden file."""
    found = [house.name(path) for path in (house.COMPONENTS / component / "golden").glob("**/*.py")]
    must_be_empty(found, "a program belongs into service/, where it is shipped as it is")


def joined(*words: str) -> str:
    return ".".join(words)


# Written in pieces, so that this file does not break its own rule.
REGISTRIES = {
    joined("pypi", "org"),
    joined("pythonhosted", "org"),
    joined("deb", "debian", "org"),
    joined("ftp", "debian", "org"),
    joined("security", "debian", "org"),
    joined("snapshot", "debian", "org"),
    joined("archive", "ubuntu", "com"),
    joined("npmjs", "org"),
    joined("docker", "io"),
    joined("ghcr", "io"),
    joined("quay", "io"),
    joined("crates", "io"),
    joined("golang", "org"),
    joined("rubygems", "org"),
    joined("githubusercontent", "com"),
    joined("jsdelivr", "net"),
    joined("unpkg", "com"),
    joined("cloudflare", "com"),
    joined("googleapis", "com"),
}
HERE = {"/".join(("", "work", "")), "/".join(("..", "shared")), "/".join(("", "opt", "pypi"))}
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")


def lines_that(found: re.Pattern[str]) -> list[str]:
    return [
        f"{house.name(path)}:{number}: {line.strip()[:80]}"
        for path in house.committed()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if found.search(line)
    ]


def any_of(texts: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(text) for text in sorted(texts)))


def test_no_registry_is_named() -> None:
    must_be_empty(lines_that(any_of(REGISTRIES)), "where packages come from is the business of each machine's owner")


def test_no_path_of_one_machine_is_named() -> None:
    must_be_empty(lines_that(any_of(HERE)), "a path of one computer means nothing on another")


def test_nothing_is_left_unfinished() -> None:
    must_be_empty(lines_that(UNFINISHED), "do it, or write an issue with its reason")


def test_direct_dependencies_are_pinned() -> None:
    pinned = set(re.findall(r"^([A-Za-z0-9_.-]+)==", (house.ROOT / "constraints.txt").read_text(), re.MULTILINE))
    wanted = set(re.findall(r'^    "([A-Za-z0-9_.-]+)', (house.ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    canonical = {name.lower() for name in pinned}
    must_be_empty((name for name in wanted if name.lower() not in canonical), "constraints.txt pins what is tested")
