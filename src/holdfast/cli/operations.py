"""What may go on in a cluster while a drill strikes: a switchover, a release, a bad release, an apply.

The pinned release never changes: a drill's versions are designs of their own, so that whatever ends a drill, the next
apply brings the live version back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from holdfast.cli.common import cluster_of
from holdfast.design.design import Design, make_design
from holdfast.design.load import source_digest, source_files
from holdfast.drills.operations import Operation, UnderWay
from holdfast.drills.scenario import APPLY, BAD_RELEASE, RELEASE, SWITCHOVER
from holdfast.drills.targets import offering
from holdfast.model.event import Event
from holdfast.model.parts import Effect, File
from holdfast.runner.cluster import Cluster
from holdfast.runner.plan import Plan
from holdfast.runner.releases import Releases
from holdfast.runner.site import GateError, RunError

GATE_S = 60.0
# What does not start will not start later either.
BAD_GATE_S = 15.0
NOTE = "holdfast-drill.txt"
LIKE_BEFORE = "Made by a drill: the live version and this note.\n"
CUT_OFF = "Made by a drill: a build that was cut off. The application is not in it.\n"
# systemd and every file that is written for it read this as a comment.
MARK = b"# changed by a drill\n"


def operations_of(file: Path, design: Design) -> Mapping[str, Operation]:
    """Return what can be done to the cluster of a file meanwhile, by name."""
    shop = _Shop(file, design)
    found: dict[str, Operation] = {}
    if leading := offering(design, "sql"):
        found[SWITCHOVER] = Operation(
            lambda under_way: _heard(cluster_of(file, design), under_way).switchover(leading[0].component)
        )
    if design.spec.sources:
        found[RELEASE] = Operation(shop.release, shop.mend)
        found[BAD_RELEASE] = Operation(shop.release_badly, shop.mend)
    if shop.files():
        found[APPLY] = Operation(shop.apply, shop.mend)
    return found


@dataclass(frozen=True, slots=True)
class _Shop:
    """The application of a cluster as its operator handles it."""

    file: Path
    design: Design

    async def release(self, under_way: UnderWay) -> str:
        """Release the live version with a note in it: another version by its digest, the same application."""
        await self._must_be_in_force()
        await self._bring(self._version(self._noted), GATE_S, "release", under_way)
        return "the same application, released once more"

    async def release_badly(self, under_way: UnderWay) -> str:
        """Release a version without the application in it. Raises RunError when it is not refused."""
        await self._must_be_in_force()
        try:
            await self._bring(self._version(_cut_off), BAD_GATE_S, "release", under_way)
        except GateError as error:
            await self._bring(self.design, GATE_S, "rollback")
            return f"refused ({str(error).splitlines()[0]}), and the version before came back by itself"
        raise RunError("a version without the application became healthy: its health check tells nothing")

    async def apply(self, under_way: UnderWay) -> str:
        """Change a file of the application on every host by hand, then apply the same design."""
        await self._must_be_in_force()
        connect = cluster_of(self.file, self.design).connect
        for host, path in self.files().items():
            wire = await connect(host)
            try:
                done = await wire.run(("tee", "--append", path), MARK)
            finally:
                await wire.close()
            if done.exit_code:
                raise RunError(f"{host}: {path} could not be changed: {done.stderr.strip()}")
        await self._bring(self.design, GATE_S, "apply", under_way)
        return f"a changed file on {', '.join(self.files())} was mended"

    async def mend(self) -> None:
        """Bring the design of the file back into force and forget what was released in between. Raises RunError."""
        await self._bring(self.design, GATE_S, "apply")
        Releases.beside(self.file).drop_others()

    def files(self) -> dict[str, str]:
        """Return for every host of the application a file of it that bears a comment and restarts it."""
        return {
            member.host: part.path
            for member in offering(self.design, "http")
            for part in self.design.parts[member]
            if isinstance(part, File)
            and part.effect is Effect.RESTART
            and part.path == f"/etc/systemd/system/{part.unit}"
        }

    async def _must_be_in_force(self) -> None:
        plan = await self._plan(self.design, GATE_S)
        if not plan.empty:
            raise RunError("there are other changes to make first: holdfast apply")

    async def _plan(self, design: Design, gate_s: float) -> Plan:
        plan = await cluster_of(self.file, design, gate_s).plan()
        if plan.unreachable:
            raise RunError("; ".join(plan.unreachable.values()))
        return plan

    async def _bring(self, design: Design, gate_s: float, verb: str, under_way: UnderWay = lambda: None) -> None:
        plan = await self._plan(design, gate_s)
        if not plan.empty:
            await _heard(cluster_of(self.file, design, gate_s), under_way).apply(plan, verb)

    def _version(self, make: Callable[[str, Path], None]) -> Design:
        """Return the design with other contents of its sources, which ``make`` puts into a folder."""
        spec = self.design.spec
        sources = {
            name: replace(source, digest=self._kept(source.digest, make)) for name, source in spec.sources.items()
        }
        return make_design(replace(spec, sources=sources))

    def _kept(self, digest: str, make: Callable[[str, Path], None]) -> str:
        with TemporaryDirectory() as name:
            folder = Path(name)
            make(digest, folder)
            made = source_digest(folder)
            Releases.beside(self.file).keep(made, lambda: source_files(folder))
        return made

    def _noted(self, digest: str, folder: Path) -> None:
        Releases.beside(self.file).unpack(digest, folder)
        (folder / NOTE).write_text(LIKE_BEFORE)


def _heard(cluster: Cluster, under_way: UnderWay) -> Cluster:
    """Return a cluster whose first word of a change says that it is under way."""

    def tell(event: Event) -> None:
        under_way()
        cluster.tell(event)

    return replace(cluster, tell=tell)


def _cut_off(_digest: str, folder: Path) -> None:
    (folder / NOTE).write_text(CUT_OFF)
