"""Reading ``cluster.yaml`` and the sources beside it: the one place of the design that reads files."""

import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from holdfast.design.errors import Located, SourceError, SpecError, did_you_mean, nearest
from holdfast.design.explain import Setting, settings
from holdfast.design.parse import given, parse
from holdfast.model.component import Component
from holdfast.model.spec import Spec

MAX_FILE_BYTES = 1024 * 1024
MAX_SOURCE_BYTES = 200 * 1024 * 1024
# What tools leave behind; linting an application must not make it another release.
IGNORED = frozenset(
    {"__pycache__", ".git", ".venv", ".holdfast", "node_modules"}
    | {".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
)
LINK_MODE = stat.S_IFLNK | 0o777

_DIGEST = re.compile("[0-9a-f]{64}")
_BLOCK_BYTES = 1024 * 1024


def load(path: Path, components: Mapping[str, Component] | None = None) -> Spec:
    """Return the spec of a cluster file and the digests of its sources. Raises SpecError with every fault."""
    return parse(_text(path), str(path), _reader(path), components)


def explain(path: Path, components: Mapping[str, Component] | None = None) -> tuple[Setting, ...]:
    """Return every setting of a cluster file, defaults included. Raises SpecError with every fault."""
    text = _text(path)
    return settings(parse(text, str(path), _reader(path), components), given(text))


def source_files(root: Path) -> tuple[tuple[str, Path, int], ...]:
    """Return the files of a source directory, sorted: name relative to it, path, mode.

    The mode is 0o755 or 0o644, and `LINK_MODE` for symbolic links, which are not followed.
    Raises SourceError for what cannot be packed, a link that leaves the directory, and more than 200 MiB.
    """
    found = sorted(_walk(root, root))
    size_bytes = sum(path.lstat().st_size for _, path, _ in found)
    if size_bytes > MAX_SOURCE_BYTES:
        message = f"holds {size_bytes / 1024**2:.0f} MiB; at most {MAX_SOURCE_BYTES // 1024**2} MiB go to the hosts"
        raise SourceError(message, "move data and build results out of it")
    return tuple(found)


def source_digest(path: Path) -> str:
    """Return the digest of a file, or of a directory's names, modes and contents. Raises SourceError."""
    try:
        return _tree_digest(path) if path.is_dir() else _file_digest(path)
    except OSError as error:
        raise SourceError(f"cannot be read: {_reason(error)}") from error


def _text(path: Path) -> str:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a directory" if stat.S_ISDIR(found.st_mode) else "a device or pipe"
            raise _refusal(path, f"this is {kind}, not a cluster file", _inside(path))
        if found.st_size > MAX_FILE_BYTES:
            raise _refusal(path, f"the file has {found.st_size} bytes; a cluster file has at most {MAX_FILE_BYTES}")
        return _decoded(path, path.read_bytes())
    except FileNotFoundError:
        raise _refusal(path, "no such file", _start(path)) from None
    except (OSError, ValueError) as error:
        raise _refusal(path, f"the file cannot be read: {_reason(error)}") from error


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        what = "a binary file" if b"\0" in content[:1024] else "not UTF-8 text"
        raise SpecError([Located(str(path), line, column, f"this is {what}", "save it as UTF-8")]) from None


def _refusal(path: Path, message: str, hint: str = "") -> SpecError:
    return SpecError([Located(str(path), 1, 1, message, hint)])


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


def _inside(path: Path) -> str:
    return f"give {path / 'cluster.yaml'}" if (path / "cluster.yaml").is_file() else "give the file itself"


def _start(path: Path) -> str:
    """Return what to do when the file is missing: the probable one, else how to start."""
    folder = path.parent if path.parent.is_dir() else Path()
    names = [each.name for each in folder.iterdir() if each.suffix in {".yaml", ".yml"}]
    near = nearest(path.name, names)
    if near:
        return f"did you mean {str(folder / near)!r}?"
    return (
        f"the current folder is {Path.cwd()}: go to the folder of your cluster file or give it with --file; "
        "to start a new one, copy the example cluster.yaml that comes with Holdfast"
    )


def _reader(path: Path) -> Callable[[str], str]:
    pinned = _pinned(path.parent / ".holdfast" / "release")

    def read(name: str) -> str:
        source = path.parent / name
        if pinned and source.is_dir():
            return pinned
        return source_digest(source)

    return read


def _pinned(release: Path) -> str:
    """Return the digest of the release that stands in for source directories, "" when there is none."""
    try:
        text = release.read_text(encoding="utf-8")
        digest = str(json.loads(text)["digest"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        digest = ""
    if not _DIGEST.fullmatch(digest):
        raise _refusal(release, "this does not name a release", "remove the file to deploy the source itself")
    return digest


def _tree_digest(root: Path) -> str:
    files = source_files(root)
    if not files:
        raise SourceError("is an empty directory", "put the application there, or name another directory")
    whole = sha256()
    for name, path, mode in files:
        content = sha256(os.fsencode(path.readlink())).hexdigest() if mode == LINK_MODE else _file_digest(path)
        # Names end with NUL, which no name can hold: no two trees give the same bytes.
        whole.update(os.fsencode(name) + f"\0{mode:o} {content}\n".encode())
    return whole.hexdigest()


def _file_digest(path: Path) -> str:
    if not path.exists():
        raise SourceError("does not exist", _similar(path))
    if not path.is_file():
        raise SourceError("is neither a file nor a directory")
    whole = sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            whole.update(block)
    return whole.hexdigest()


def _similar(path: Path) -> str:
    names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    found = did_you_mean(path.name, names) if nearest(path.name, names) else ""
    return found or "the path is relative to the cluster file"


def _walk(root: Path, folder: Path) -> Iterator[tuple[str, Path, int]]:
    for path in folder.iterdir():
        if path.name in IGNORED or path.suffix == ".pyc":
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(root, path)
        else:
            yield path.relative_to(root).as_posix(), path, _mode(root, path)


def _mode(root: Path, path: Path) -> int:
    found = path.lstat().st_mode
    name = path.relative_to(root).as_posix()
    if stat.S_ISLNK(found):
        target = Path(os.path.normpath(path.parent / path.readlink()))
        if path.readlink().is_absolute() or not target.is_relative_to(os.path.normpath(root)):
            raise SourceError(f"holds a link that leaves it: {name}", "copy what it points to into the directory")
        return LINK_MODE
    if not stat.S_ISREG(found):
        raise SourceError(f"holds something that is no file: {name}", "remove it")
    return 0o755 if found & stat.S_IXUSR else 0o644
