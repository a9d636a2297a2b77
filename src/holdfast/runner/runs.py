"""Runs: an append-only folder for everything that was done, ``.holdfast/runs/<time>-<verb>-<digest>/``."""

import json
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdfast.model.event import Event
from holdfast.runner.vault import FOLDER, private_folder


@dataclass(frozen=True, slots=True)
class Past:
    """One run as it is kept: when, what, of which design, how it ended ("" while it runs or when it was cut off)."""

    folder: str
    begun: str
    verb: str
    digest: str
    result: str


class Run:
    """The journal of one run: events as JSON lines, then how it ended."""

    def __init__(self, cluster_file: Path, verb: str, digest: str) -> None:
        begun = datetime.now(UTC)
        base = f"{begun:%Y%m%dT%H%M%S.%f}"[:-3] + f"Z-{verb}-{digest[:12]}"
        self.folder = runs_folder(cluster_file) / base
        private_folder(self.folder)
        self.write("run.json", {"begun": begun.isoformat(timespec="milliseconds"), "verb": verb, "digest": digest})

    def note(self, event: Event) -> None:
        """Append an event to the journal."""
        data = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "text": event.text} | dict(event.facts)
        with (self.folder / "journal.jsonl").open("a") as file:
            file.write(json.dumps(data) + "\n")

    def write(self, name: str, data: Any) -> None:
        """Write a JSON file into the folder."""
        (self.folder / name).write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")

    def end(self, result: str) -> None:
        """Write how the run ended, in words."""
        self.write("result.json", {"ended": datetime.now(UTC).isoformat(timespec="milliseconds"), "result": result})


@contextmanager
def recorded(cluster_file: Path, verb: str, digest: str) -> Iterator[Run]:
    """Open the folder of a run; when the block ends, write how: done, interrupted, or failed and why."""
    run = Run(cluster_file, verb, digest)
    try:
        yield run
    except (KeyboardInterrupt, CancelledError):
        run.end("interrupted")
        raise
    except BaseException as error:
        run.end(f"failed: {error}")
        raise
    run.end("done")


def runs_folder(cluster_file: Path) -> Path:
    """Return the folder of all runs of a cluster file."""
    return cluster_file.resolve().parent / FOLDER / "runs"


def past_runs(cluster_file: Path) -> tuple[Past, ...]:
    """Return all runs, oldest first."""
    return tuple(_past_runs(runs_folder(cluster_file)))


def _past_runs(folder: Path) -> Iterator[Past]:
    for each in sorted(folder.glob("*-*-*")) if folder.is_dir() else ():
        data, end = _read(each / "run.json"), _read(each / "result.json")
        if data:
            yield Past(str(each), data["begun"], data["verb"], data["digest"], end.get("result", ""))


def _read(path: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found
