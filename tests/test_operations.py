"""What may go on during a drill: which operations a cluster has, and the versions that a drill releases."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.cli import operations
from holdfast.cli.common import open_design
from holdfast.cli.operations import NOTE, operations_of
from holdfast.design.design import Design
from holdfast.design.load import source_digest, source_files
from holdfast.drills.drill import DrillTiming, _Play
from holdfast.drills.operations import Deed, Operation, UnderWay
from holdfast.drills.scenario import APPLY, BAD_RELEASE, RELEASE, SWITCHOVER, Scenario
from holdfast.model.event import Event
from holdfast.runner.releases import Releases
from holdfast.runner.site import GateError, RunError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A cluster file whose application was released once."""
    shutil.copytree(ROOT / "examples/shop", tmp_path / "examples/shop", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "cluster.yaml", tmp_path / "cluster.yaml")
    shop = tmp_path / "examples/shop"
    releases = Releases.beside(tmp_path / "cluster.yaml")
    releases.keep(source_digest(shop), lambda: source_files(shop))
    releases.pin(source_digest(shop))
    return tmp_path / "cluster.yaml"


@dataclass
class Fake:
    """A cluster with one design, as its operator handles it."""

    plan: Callable[[], Any]
    apply: Callable[..., Any]
    tell: Callable[[Event], None] = lambda _: None


class Cluster:
    """Notes what is applied to it, each with the files of its release; one that lacks the application is sick."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.file = file
        self.folder = folder
        self.applied: list[tuple[str, frozenset[str]]] = []
        self.in_force = open_design(file).digest
        self.sees_sickness = True

    def of(self, _file: Path, design: Design, _gate_s: float = 0.0) -> Any:
        async def plan() -> Any:
            return SimpleNamespace(empty=design.digest == self.in_force, unreachable={})

        async def apply(_plan: object, verb: str = "apply") -> None:
            digest = design.spec.sources["app"].digest
            there = self.folder / str(len(self.applied))
            Releases.beside(self.file).unpack(digest, there)
            assert source_digest(there) == digest
            files = frozenset(each.relative_to(there).as_posix() for each in there.rglob("*") if each.is_file())
            self.applied.append((verb, files))
            self.in_force = design.digest
            if self.sees_sickness and "shop/__main__.py" not in files:
                raise GateError("app@a is not healthy\nand more")

        return Fake(plan, apply)


@pytest.fixture
def cluster(live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster(live, tmp_path / "unpacked")
    monkeypatch.setattr(operations, "cluster_of", made.of)
    return made


def own_files() -> frozenset[str]:
    return frozenset(name for name, _, _ in source_files(ROOT / "examples/shop"))


def test_a_cluster_with_its_own_application_has_every_operation(live: Path) -> None:
    found = operations_of(live, open_design(live))
    assert set(found) == {SWITCHOVER, RELEASE, BAD_RELEASE, APPLY}


def test_a_release_of_a_drill_is_the_live_version_with_a_note_and_never_pinned(live: Path, cluster: Cluster) -> None:
    releases, before = Releases.beside(live), open_design(live).digest
    pinned = releases.line
    (live.parent / "examples/shop/shop/unfinished.py").write_text("1 / 0")
    operation = operations_of(live, open_design(live))[RELEASE]
    asyncio.run(cast("Any", operation.do(print)))
    assert cluster.applied == [("release", own_files() | {NOTE})]
    assert cluster.in_force != before
    assert operation.tidy
    asyncio.run(cast("Any", operation.tidy()))
    assert cluster.applied[1:] == [("apply", own_files())]
    assert cluster.in_force == before
    assert releases.line == pinned
    assert [path.name for path in (releases.folder / "releases").iterdir()] == [f"{pinned[0]}.tar.gz"]


def test_a_bad_release_is_refused_and_the_one_before_comes_back(live: Path, cluster: Cluster) -> None:
    before = cluster.in_force
    words = asyncio.run(cast("Any", operations_of(live, open_design(live))[BAD_RELEASE].do(print)))
    assert "refused (app@a is not healthy)" in words
    assert cluster.applied == [("release", frozenset({NOTE})), ("rollback", own_files())]
    assert cluster.in_force == before


def test_a_bad_release_that_nobody_notices_is_a_failure(live: Path, cluster: Cluster) -> None:
    cluster.sees_sickness = False
    with pytest.raises(RunError, match="its health check tells nothing"):
        asyncio.run(cast("Any", operations_of(live, open_design(live))[BAD_RELEASE].do(print)))


def test_no_operation_begins_while_other_changes_wait(live: Path, cluster: Cluster) -> None:
    cluster.in_force = "something else"
    for name in (RELEASE, BAD_RELEASE, APPLY):
        with pytest.raises(RunError, match="other changes to make first"):
            asyncio.run(cast("Any", operations_of(live, open_design(live))[name].do(print)))
    assert cluster.applied == []


def played(do: Callable[[UnderWay], Any], tidy: Callable[[], Any]) -> _Play:
    """Return a drill in which nothing but an operation happens; what the operation is not asked for is missing."""
    arena = SimpleNamespace(operations={RELEASE: Operation(do, tidy)}, say=print, timing=DrillTiming(undo_s=1.0))
    missing: Any = None
    scenario = Scenario("x", "x", (), (), "y", during=RELEASE)
    rests: list[str] = []
    eyes = SimpleNamespace(rests=rests, rest_on=lambda: rests.append("x"))
    return _Play(cast("Any", arena), scenario, 1, cast("Any", eyes), missing, missing, lambda: 0.0)


def test_an_operation_is_undone_once_whatever_became_of_it() -> None:
    undone: list[str] = []

    async def fail(_under_way: UnderWay) -> None:
        raise RunError("no answer")

    async def tidy() -> None:
        undone.append("x")

    async def drill() -> _Play:
        play = played(fail, tidy)
        play.deed = await play._meanwhile()
        await play._tidy()
        await play._tidy()
        return play

    play = asyncio.run(drill())
    assert play.deed == Deed("the release failed after 0.0 s: no answer", failed=True, begun=False)
    assert play.under_way.is_set(), "the fault must not wait for it for ever"
    assert undone == ["x"]


def test_a_fault_waits_until_the_operation_changes_something() -> None:
    async def release(under_way: UnderWay) -> str:
        await asyncio.sleep(0.05)
        under_way()
        under_way()
        return "done"

    async def drill() -> tuple[bool, bool, int]:
        play = played(release, lambda: asyncio.sleep(0))
        doing = asyncio.create_task(play._meanwhile())
        await asyncio.sleep(0.01)
        early = play.under_way.is_set()
        await play.under_way.wait()
        return early, (await doing).begun, len(cast("Any", play.eyes).rests)

    assert asyncio.run(drill()) == (False, True, 1), "and the eyes rest from there on, once"


def test_one_that_was_cut_off_ends_before_it_is_undone_and_what_is_left_is_told() -> None:
    order: list[str] = []

    async def hold(_under_way: UnderWay) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            order.append("locks given back")

    async def tidy() -> None:
        order.append("undone")
        raise RunError("b does not answer")

    async def drill() -> _Play:
        play = played(hold, tidy)
        play.doing = asyncio.create_task(play._meanwhile())
        await asyncio.sleep(0.01)
        play.doing.cancel()
        await play._tidy()
        return play

    play = asyncio.run(drill())
    assert order == ["locks given back", "undone"]
    assert play.deed.left == "the release is not undone: b does not answer"
