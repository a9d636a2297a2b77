"""What the verbs that break a cluster on purpose do: drills, suites of them, and the reports they leave."""

import asyncio
import json
import platform
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from holdfast import __version__
from holdfast.cli.arena import arena_of, engine_versions
from holdfast.cli.common import (
    Exit,
    Format,
    authority_file,
    complain,
    emit,
    open_design,
    say,
    show,
    talk,
)
from holdfast.console.report import html, junit, markdown, matrix, summary
from holdfast.console.svg import topology_svg
from holdfast.design.design import Design, plain
from holdfast.drills.catalogue import STARRED, faults_of, scenarios
from holdfast.drills.chaos import (
    ExperimentError,
    experiment_of,
    journal_of,
    read_experiment,
    real_hands,
    run_experiment,
)
from holdfast.drills.drill import DrillError, Field, obstacle, run_drill
from holdfast.drills.judgement import record_of
from holdfast.drills.record import DrillRecord, Proof, Unsupported, Verdict
from holdfast.drills.record_json import as_json, record_as_json
from holdfast.drills.scenario import Scenario, other_seed
from holdfast.runner.runs import Run, recorded
from holdfast.runner.site import RunError


def list_drills(file: Path, output: Format) -> None:
    """Print the drills a cluster allows, and the known disasters that cannot be played."""
    design = open_design(file)
    known = scenarios(design)
    lines = [f"{each.name:<30} {' '.join(each.codes):<8} {each.title}" for each in known]
    lost = [
        f"{each.code:<30} {'':<8} {each.title}: not possible, {each.unsupported}"
        for each in STARRED
        if each.unsupported
    ]
    data = {
        "schema_version": 1,
        "drills": [plain(each) for each in known],
        "faults": [each.name for each in faults_of(design)],
        "unsupported": [plain(each) for each in STARRED if each.unsupported],
    }
    emit(output, data, "\n".join([*lines, *lost]))


def run(file: Path, name: str, seed: int | None, output: Format, yes: bool) -> None:
    """Run one drill; ends the program with the exit code of its verdict. Raises RunError."""
    design = open_design(file)
    scenario = _scenario(design, name)
    arena = arena_of(file, design)
    _ask(arena, yes)
    raise typer.Exit(_play(file, arena, scenario, _chosen(seed), output))


def play_named(file: Path, design: Design, name: str, seed: int) -> Exit:
    """Run the drill of a name, print its summary, and return the exit code of its verdict. Raises RunError."""
    return _play(file, arena_of(file, design), _scenario(design, name), seed, Format.TEXT)


def _play(file: Path, arena: Field, scenario: Scenario, seed: int, output: Format) -> Exit:
    if why := obstacle(scenario, arena):
        raise RunError(f"{scenario.name}: {why}")
    with recorded(file, "drill", arena.design.digest) as folder:
        suite = Suite("drill", file, seed, folder)
        (record,) = asyncio.run(_drills(arena, suite, (scenario,), ())).drills
    emit(output, record_as_json(record), summary(record))
    say(f"everything about it: {folder.folder}")
    return _code(record.verdict)


def export(file: Path, name: str) -> None:
    """Print a drill as a Chaos Toolkit experiment."""
    design = open_design(file)
    argv = ("drill", "run", name, "-f", str(file), "-y")
    experiment = experiment_of(_scenario(design, name), argv, ("lab", "heal", "-f", str(file)))
    typer.echo(json.dumps(experiment, indent=2))


def chaos(file: Path, experiment: Path, allow_code: bool) -> None:
    """Run an experiment and print its journal. Raises RunError for one that cannot be read."""
    try:
        found = read_experiment(json.loads(experiment.read_text()), allow_code)
    except (ExperimentError, ValueError) as error:
        raise RunError(f"{experiment}: {error}") from error
    ca = authority_file(file)
    journal = run_experiment(found, real_hands(ca if ca.exists() else None))
    typer.echo(json.dumps(journal, indent=2))
    if journal["status"] == "interrupted":
        raise typer.Exit(Exit.INTERRUPTED)
    raise typer.Exit(Exit.OK if journal["status"] == "completed" else Exit.UNSAFE)


def prove(file: Path, full: bool, only: list[str], seed: int | None, output: Format, yes: bool) -> None:
    """Run a suite and write its report; ends the program with the exit code of the worst verdict."""
    design = open_design(file)
    wanted = tuple(_scenario(design, each) for each in only) or tuple(
        each for each in scenarios(design) if full or each.fast
    )
    arena = arena_of(file, design)
    _ask(arena, yes)
    lacking = {each.name: why for each in wanted if (why := obstacle(each, arena))}
    missing = (
        *(Unsupported(each.code, each.title, (each.code,), each.unsupported) for each in STARRED if each.unsupported),
        *(
            Unsupported(each.name, each.title, each.codes, lacking[each.name])
            for each in wanted
            if each.name in lacking
        ),
    )
    with recorded(file, "prove", design.digest) as folder:
        suite = Suite("full" if full else "fast", file, _chosen(seed), folder)
        playable = tuple(each for each in wanted if each.name not in lacking)
        proof = asyncio.run(_drills(arena, suite, playable, missing))
    emit(output, as_json(proof), matrix(proof))
    say(f"the report: {folder.folder}/report.html (also report.md, junit.xml, proof.json)")
    verdicts = {each.verdict for each in proof.drills}
    worst = Verdict.BROKEN if Verdict.BROKEN in verdicts else Verdict.UNKNOWN
    raise typer.Exit(_code(Verdict.KEPT if verdicts == {Verdict.KEPT} else worst))


def _chosen(seed: int | None) -> int:
    return random.randrange(1_000_000) if seed is None else seed  # noqa: S311


def _scenario(design: Design, name: str) -> Scenario:
    known = {each.name: each for each in scenarios(design)}
    if name not in known:
        complain(f"no drill {name!r}; known: {', '.join(known)}")
        raise typer.Exit(Exit.USAGE)
    return known[name]


def _ask(arena: Field, yes: bool) -> None:
    """On real servers the name of the cluster must be typed: what follows hurts those who use it."""
    if yes or arena.ground is not None:
        return
    if not talk.is_terminal:
        complain("this breaks a running cluster of real servers; say --yes")
        raise typer.Exit(Exit.ERROR)
    name = arena.design.spec.name
    typed = typer.prompt(f"This breaks the running cluster. Type its name ({name}) to go on", err=True)
    if typed.strip() != name:
        complain("that is not its name; nothing was done")
        raise typer.Exit(Exit.ERROR)


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite while it runs: its name (``drill`` for one drill), the cluster file, the seed, and where it is kept."""

    name: str
    file: Path
    seed: int
    run: Run

    def seed_of(self, scenario: Scenario) -> int:
        """Return the seed of one of its drills."""
        return self.seed if self.name == "drill" else other_seed(self.seed, scenario.name)


async def _drills(
    arena: Field, suite: Suite, playable: tuple[Scenario, ...], missing: tuple[Unsupported, ...]
) -> Proof:
    """Run drills and return their proof. It is written after each: a suite that breaks off has its report, too."""
    begun_s = time.monotonic()
    engines = await engine_versions(arena)
    records: list[DrillRecord] = []
    proof = _proof(arena, suite, engines, 0.0, (), missing)
    for scenario in playable:
        records.append(await _one(arena, suite, scenario))
        if suite.name != "drill":
            show(summary(records[-1]))
        proof = _proof(arena, suite, engines, time.monotonic() - begun_s, tuple(records), missing)
        _write_proof(suite.run, proof)
    return proof


async def _one(arena: Field, suite: Suite, scenario: Scenario) -> DrillRecord:
    """Run one drill and keep everything about it. Raises RunError when it could not be run."""
    begun, seed, folder = _now(), suite.seed_of(scenario), suite.run.folder / scenario.name
    arena.say(f"drill {scenario.name}: {scenario.title}")
    try:
        course = await run_drill(arena, scenario, seed)
    except DrillError as error:
        raise RunError(str(error)) from error
    record = record_of(
        course, arena.design, begun, f"holdfast drill run {scenario.name} --seed {seed} -f {suite.file}"
    )
    _keep(folder, record, course.seen.journals)
    _write_lines(folder / "history.jsonl", course.loads.operations)
    return record


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _keep(folder: Path, record: DrillRecord, journals: Any) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = record_as_json(record)
    (folder / "record.json").write_text(json.dumps(data, indent=1) + "\n")
    experiment = experiment_of(
        Scenario(record.name, record.title, (), (), "; ".join(each.sentence for each in record.promises)),
        tuple(record.repeat.split()[1:]),
    )
    (folder / "chaos-journal.json").write_text(json.dumps(journal_of(record, experiment), indent=1) + "\n")
    (folder / "journals").mkdir(exist_ok=True)
    for member, text in journals.items():
        (folder / "journals" / f"{member}.log").write_text(text)


def _write_lines(path: Path, operations: Any) -> None:
    with path.open("w") as file:
        for name, history in operations.items():
            for each in history:
                file.write(json.dumps({"path": name} | each.as_json()) + "\n")


def _proof(
    arena: Field,
    suite: Suite,
    engines: Mapping[str, str],
    length_s: float,
    records: tuple[DrillRecord, ...],
    missing: tuple[Unsupported, ...],
) -> Proof:
    design, promised = arena.design, arena.design.spec.promises
    where = "a lab of machines on one computer" if arena.ground else "real servers"
    again = f"holdfast prove --{suite.name} --seed {suite.seed} -f {suite.file}"
    return Proof(
        cluster=design.spec.name,
        digest=design.digest,
        holdfast=__version__,
        engines=engines,
        suite=suite.name,
        seed=suite.seed,
        begun=records[0].begun if records else _now(),
        length_s=length_s,
        machine=f"{where}; the clients ran on {platform.machine()}, Linux {platform.release()}",
        promises={
            "rto": f"{promised.rto_s:g} s",
            "rpo": f"{promised.rpo_s:g} s",
            "durability": promised.durability.value,
        },
        drills=records,
        unsupported=missing,
        repeat=again if suite.name != "drill" else records[0].repeat if records else "",
        topology_svg=topology_svg(design),
        limits=LIMITS,
    )


LIMITS = (
    "A lab's machines share one kernel, one clock and one disk: a power cut ends processes, not the disk's cache.",
    "Testing shows the presence of faults, never their absence.",
)


def _write_proof(folder: Run, proof: Proof) -> None:
    folder.write("proof.json", as_json(proof))
    for name, text in (("report.md", markdown(proof)), ("report.html", html(proof)), ("junit.xml", junit(proof))):
        (folder.folder / name).write_text(text)


def _code(verdict: Verdict) -> Exit:
    return {Verdict.KEPT: Exit.OK, Verdict.BROKEN: Exit.UNSAFE, Verdict.UNKNOWN: Exit.UNKNOWN}[verdict]
