"""The source of this project as the house rules see it: files, imports, functions, words."""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "holdfast"
COMPONENTS = SRC / "components"
PACKAGE = "holdfast"
# What tools leave behind.
MADE = {".git", ".venv", ".holdfast", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
MADE |= {"holdfast.egg-info"}
# Folders whose Python files and scripts obey the size rules.
RULED = ("src", "tests", "scripts", "examples", "benchmarks", ".ci")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Import:
    """One import of a module of ours or of others, with the place where it stands."""

    source: str
    target: str
    line: int
    lazy: bool


@cache
def committed() -> tuple[Path, ...]:
    """Return every file that is or would be committed; without git every file that is not made by tools."""
    argv = ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"]
    try:
        listed = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (FileNotFoundError, subprocess.CalledProcessError):
        listed = [name(path) for path in ROOT.rglob("*") if not MADE & set(path.relative_to(ROOT).parts)]
    return tuple(path for each in sorted(set(listed)) if (path := ROOT / each).is_file())


def ruled() -> tuple[Path, ...]:
    """Return the Python files and scripts that obey the size rules."""
    return tuple(path for path in committed() if name(path).split("/")[0] in RULED and is_program(path))


def is_program(path: Path) -> bool:
    """Return whether a file is Python or a script."""
    return path.suffix in (".py", ".sh") or (path.suffix == "" and path.read_bytes()[:2] == b"#!")


def python(folder: str = "src") -> tuple[Path, ...]:
    """Return all committed Python files below a folder."""
    return tuple(path for path in committed() if path.suffix == ".py" and name(path).startswith(f"{folder}/"))


def name(path: Path) -> str:
    """Return a file's name as it is printed: relative to the project."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(path.read_text(), filename=str(path))


def module(path: Path) -> str:
    """Return the dotted name of a file of ours: ``holdfast.wire.ssh``."""
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Return every module of ours by its dotted name."""
    return {module(path): path for path in python() if path.is_relative_to(SRC)}


def functions(path: Path) -> tuple[Function, ...]:
    """Return every function and method of a file, nested ones too."""
    return tuple(node for node in ast.walk(tree(path)) if isinstance(node, Function))


def length(node: Definition) -> int:
    """Return the number of lines of a definition."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def imports(path: Path) -> tuple[Import, ...]:
    """Return every import of a file of ours; names taken from a package count as its modules where they are."""
    lazy = {id(inner) for function in functions(path) for inner in ast.walk(function)}
    found = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Import | ast.ImportFrom))
    return tuple(
        Import(module(path), target, node.lineno, id(node) in lazy)
        for node in found
        for target in targets(module(path), path.name == "__init__.py", node)
    )


def targets(importer: str, is_package: bool, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield the full names of the modules that one import statement loads."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    steps = node.level - 1 if is_package else node.level
    base = ".".join(importer.split(".")[: -steps or None]) if node.level else ""
    base = ".".join(part for part in (base, node.module or "") if part)
    for alias in node.names:
        full = f"{base}.{alias.name}"
        yield full if full in modules() else base


def layer(target: str) -> str:
    """Return the layer of a module: the first word below our package; "" for the package itself and for others."""
    words = target.split(".")
    return words[1] if words[0] == PACKAGE and len(words) > 1 else ""


def docstrings(path: Path) -> set[int]:
    """Return the identities of all nodes that are docstrings."""
    owners = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Module | Definition) and node.body)
    first = (owner.body[0] for owner in owners)
    return {id(node.value) for node in first if isinstance(node, ast.Expr)}


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every string of a Python file with its line; docstrings stay out."""
    silent = docstrings(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.lineno, node.value


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every identifier and string of a Python file with its line; comments and docstrings stay out."""
    yield from strings(path)
    for node in ast.walk(tree(path)):
        line = getattr(node, "lineno", 0)
        for field in ("id", "attr", "arg", "name", "module", "asname"):
            if isinstance(found := getattr(node, field, None), str):
                yield line, found


def template_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a template that are no comments."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.lstrip().startswith(("#", ";", "//", "{#")):
            yield number, line


def words(text: str) -> set[str]:
    """Return the words of a text or identifier: ``find_etcd_member`` has three."""
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def public(path: Path) -> Iterator[Definition]:
    """Yield the public functions, classes and methods of a file."""
    yield from public_in(tree(path).body)


def public_in(body: list[ast.stmt]) -> Iterator[Definition]:
    """Yield the public definitions among statements, those of public classes included."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_in(node.body)
