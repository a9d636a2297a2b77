"""Releases: the contents of sources that were put live, kept beside the cluster file so that they can come back."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from holdfast.model.parts import Archive
from holdfast.runner.onhost.basics import extract
from holdfast.runner.site import RunError
from holdfast.runner.vault import FOLDER, private_folder

Tree = Iterable[tuple[str, Path, int]]
KEPT = 5


@dataclass(frozen=True, slots=True)
class Releases:
    """The release store of one cluster file."""

    folder: Path

    @classmethod
    def beside(cls, cluster_file: Path) -> "Releases":
        """Return the store of a cluster file; nothing is read or written yet."""
        return cls(cluster_file.resolve().parent / FOLDER)

    def keep(self, digest: str, tree: Callable[[], Tree]) -> None:
        """Store the content of a release under its digest, unless it is there."""
        path = self._path(digest)
        if not path.exists():
            private_folder(path.parent)
            fresh = path.with_suffix(".new")
            fresh.write_bytes(packed(tree()))
            fresh.replace(path)

    def pack(self, archive: Archive) -> bytes:
        """Return the content of an archive part. Raises RunError when it is not in the store."""
        try:
            return self._path(archive.digest).read_bytes()
        except FileNotFoundError:
            raise RunError(f"release {archive.digest[:12]} is not in {self.folder / 'releases'}") from None

    def unpack(self, digest: str, folder: Path) -> None:
        """Put the files of a release into a folder. Raises RunError when it is not in the store."""
        try:
            with tarfile.open(self._path(digest)) as tar:
                extract(tar, folder)
        except FileNotFoundError:
            raise RunError(f"release {digest[:12]} is not in {self.folder / 'releases'}") from None

    @property
    def line(self) -> tuple[str, ...]:
        """The digests that were live, oldest first; the last one is live now."""
        try:
            found: dict[str, list[str]] = json.loads((self.folder / "release").read_text())
        except FileNotFoundError:
            return ()
        return tuple(found["line"])

    def pin(self, digest: str) -> None:
        """Make a release the live one: from now on the design has it."""
        self._write((*(each for each in self.line if each != digest), digest)[-KEPT:])

    def unpin(self) -> str:
        """Go back to the release before; return its digest. Raises RunError when there is none."""
        if len(self.line) < 2:
            raise RunError("there is no earlier release to go back to")
        self._write(self.line[:-1])
        return self.line[-1]

    def _write(self, line: tuple[str, ...]) -> None:
        private_folder(self.folder)
        fresh = self.folder / "release.new"
        fresh.write_text(json.dumps({"digest": line[-1], "line": list(line)}) + "\n")
        fresh.replace(self.folder / "release")
        self.drop_others()

    def drop_others(self) -> None:
        """Remove the contents of releases that are not in the line."""
        line = self.line
        for old in (self.folder / "releases").glob("*.tar.gz"):
            if old.name.removesuffix(".tar.gz") not in line:
                old.unlink()

    def _path(self, digest: str) -> Path:
        return self.folder / "releases" / f"{digest}.tar.gz"


def packed(tree: Tree) -> bytes:
    """Return a gzipped tar of files (name, path, mode): the same bytes for the same content."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, path, mode in tree:
            tar.addfile(*_entry(name, path, mode))
    return buffer.getvalue()


def _entry(name: str, path: Path, mode: int) -> tuple[tarfile.TarInfo, io.BytesIO | None]:
    info = tarfile.TarInfo(name)
    info.mode = 0o755 if mode & 0o100 else 0o644
    if path.is_symlink():
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
        return info, None
    data = path.read_bytes()
    info.size = len(data)
    return info, io.BytesIO(data)
