"""From what a drill saw to its verdict: promises compared with numbers, and the order of verdicts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.failover import keep_row, kept_rows, p95, row_of, run_rested, table, wanted
from benchmarks.plan import CommandError

from holdfast.cli.common import open_design
from holdfast.drills.catalogue import faults_of, scenarios
from holdfast.drills.chaos import read_experiment
from holdfast.drills.check.values import LedgerHistory, Write
from holdfast.drills.drill import Field, obstacle
from holdfast.drills.history import Kind, Operation, Outcome
from holdfast.drills.judgement import (
    done_meanwhile,
    first_broken,
    losses_promised,
    played_out,
    stayed,
    times_promised,
    unfelt,
    worst,
)
from holdfast.drills.operations import Deed
from holdfast.drills.record import PathNumbers, Promise, Verdict
from holdfast.drills.scenario import Scenario, Strike, other_seed
from holdfast.lab.stolen import Lookout
from holdfast.wire.fake import FakeWire

EXAMPLES = ("cluster.yaml", "examples/standard/cluster.yaml")


def path(name: str, gap_s: float, *, lost: int = 0, back: bool = True, acknowledged: int = 100) -> PathNumbers:
    recovered_s = gap_s if back else None
    return PathNumbers(name, acknowledged, 0, 0, 0, lost, gap_s, 5.0, recovered_s, 0.01, 0.02, 0.03)


def test_gaps_are_compared_with_the_promised_time() -> None:
    writes, reads = times_promised([path("write order", 30.1), path("read page", 0.2)], 30.0)
    assert (writes.verdict, writes.measured, writes.target) == (Verdict.BROKEN, "30.10 s", "30 s")
    assert reads.verdict is Verdict.KEPT
    assert times_promised([path("write order", 2.0, back=False)], 30.0)[0].verdict is Verdict.BROKEN
    assert times_promised([path("sql write", 2.0)], 30.0)[0].verdict is Verdict.KEPT
    assert times_promised([path("read page", 2.0, acknowledged=0)], 30.0) == ()


def test_where_nobody_may_lead_the_time_counts_from_the_healing() -> None:
    # The gap is from 5.0 to 45.0.
    (writes,) = times_promised([path("write order", 40.0)], 30.0, writes_from_s=43.0)
    assert (writes.verdict, writes.measured) == (Verdict.KEPT, "2.00 s")
    (late,) = times_promised([path("write order", 40.0)], 30.0, writes_from_s=10.0)
    assert (late.verdict, late.measured) == (Verdict.BROKEN, "35.00 s")
    assert times_promised([path("write order", 1.0)], 30.0, writes_from_s=43.0)[0].measured == "0.00 s"


def test_one_lost_write_breaks_the_promise_and_none_read_back_leaves_it_unknown() -> None:
    assert losses_promised([path("sql write", 1.0, lost=1)], Verdict.KEPT).verdict is Verdict.BROKEN
    assert losses_promised([path("sql write", 1.0)], Verdict.KEPT).measured == "0 lost of 100"
    assert losses_promised([path("sql write", 1.0)], Verdict.UNKNOWN).verdict is Verdict.UNKNOWN
    assert losses_promised([], Verdict.KEPT).verdict is Verdict.UNKNOWN


def test_an_order_that_a_customer_had_to_repeat_was_felt() -> None:
    def order(outcome: Outcome, tries: int) -> Operation:
        return Operation(Kind.WRITE, "/api/orders", 0.0, 0.0, 1.0, outcome, tries)

    good, repeated, lost = order(Outcome.OK, 1), order(Outcome.OK, 2), order(Outcome.FAIL, 1)
    elsewhere = {"sql write": (lost,)}
    assert unfelt({"write order": (good,), "read page": (good,)} | elsewhere)[0].verdict is Verdict.KEPT
    assert unfelt({"write order": (good, repeated)})[0].measured == "1 failed of 3"
    assert unfelt({"write order": (good,), "read page": (lost,)})[0].verdict is Verdict.BROKEN
    assert unfelt(elsewhere)[0].verdict is Verdict.UNKNOWN


def test_broken_outweighs_unknown_and_unknown_outweighs_kept() -> None:
    assert worst([Verdict.KEPT, Verdict.UNKNOWN, Verdict.BROKEN]) is Verdict.BROKEN
    assert worst([Verdict.KEPT, Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert worst([Verdict.KEPT]) is Verdict.KEPT
    kept = Promise("a", "1", "0", Verdict.KEPT)
    broken = Promise("b", "1 s", "2 s", Verdict.BROKEN)
    unknown = Promise("c", "1", "?", Verdict.UNKNOWN)
    assert first_broken([kept, unknown, broken]) == "b: 2 s (target 1 s)."
    assert first_broken([kept]) == ""


def test_what_goes_on_meanwhile_must_come_to_its_end_only_when_nothing_strikes_it() -> None:
    alone = Scenario("x", "x", (), (), "y", during="release")
    struck = Scenario("x", "x", (), (Strike("app-kill", "app"),), "y", during="release")
    done, failed = Deed("the release took 9.0 s"), Deed("the release failed after 2.0 s: no answer", failed=True)
    assert [each.verdict for each in done_meanwhile(alone, done)] == [Verdict.KEPT]
    assert [each.verdict for each in done_meanwhile(alone, failed)] == [Verdict.BROKEN]
    assert done_meanwhile(struck, failed) == ()
    (never,) = done_meanwhile(struck, Deed("the release failed after 1.0 s: no answer", failed=True, begun=False))
    assert never.verdict is Verdict.UNKNOWN
    (left,) = done_meanwhile(struck, Deed(left="the release is not undone: no answer"))
    assert (left.verdict, left.measured) == (Verdict.BROKEN, "the release is not undone: no answer")
    assert done_meanwhile(Scenario("x", "x", (), (), "y"), Deed()) == ()


def test_a_drill_that_was_stopped_is_never_kept() -> None:
    assert played_out("") == ()
    (stopped,) = played_out("stopped: no write was acknowledged for 3 s")
    assert (stopped.verdict, stopped.measured) == (Verdict.UNKNOWN, "stopped: no write was acknowledged for 3 s")


def test_a_leader_that_is_to_stay_must_acknowledge_on_one_timeline_only() -> None:
    def of(*timelines: int | None) -> LedgerHistory:
        told = (Write("s", str(n), n, n + 0.1, Outcome.OK, timeline) for n, timeline in enumerate(timelines))
        lost = Write("s", "x", 9.0, 9.1, Outcome.FAIL, 7)
        return LedgerHistory((*told, lost), ())

    assert stayed(of(3, 3))[0].verdict is Verdict.KEPT
    assert stayed(of(3, 4))[0].verdict is Verdict.BROKEN
    assert stayed(of(3, 4))[0].measured == "1 failovers"
    assert stayed(of(None))[0].verdict is stayed(None)[0].verdict is Verdict.UNKNOWN


def arena() -> Field:
    async def nowhere(place: str) -> FakeWire:
        raise AssertionError(place)

    design = open_design(Path("cluster.yaml"))
    faults = {fault.name: fault for fault in faults_of(design)}
    return Field(design, faults, nowhere, None, {}, {}, Path("ca.crt"), lambda: None, print, print)


def test_what_cannot_be_played_says_why() -> None:
    field = arena()
    cut = Scenario("x", "x", (), (Strike("machine-power-off", "leader"),), "y")
    assert "only a lab has it" in obstacle(cut, field)
    assert "switchover" in obstacle(Scenario("x", "x", (), (), "y", during="switchover"), field)
    assert obstacle(Scenario("x", "x", (), (Strike("app-kill", "app"),), "y"), field) == ""


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_drill_of_an_example_names_faults_that_are_there(example: str) -> None:
    design = open_design(Path(example))
    known = {fault.name for fault in faults_of(design)}
    assert {strike.fault for scenario in scenarios(design) for strike in scenario.strikes} <= known
    assert len([scenario for scenario in scenarios(design) if scenario.fast]) >= 12


def test_a_suite_gives_each_drill_its_own_seed_again_and_again() -> None:
    assert other_seed(7, "a") == other_seed(7, "a") != other_seed(7, "b")
    assert other_seed(7, "a") != other_seed(8, "a")


def test_the_benchmark_counts_every_run_and_rounds_to_the_worse() -> None:
    def record(gap_s: float, lost: int, verdict: str) -> dict[str, object]:
        write = {"name": "write order", "longest_gap_s": gap_s, "lost": lost, "acknowledged": 10}
        return {"paths": [write], "verdict": verdict}

    found = [(record(1.0, 0, "kept"), 0.0), (record(3.0, 2, "broken"), 0.2), (record(2.0, 0, "kept"), 0.0)]
    row = row_of("x", "as it is", found)
    assert (row.lost, row.acknowledged, row.gaps_s["writes"]) == (2, 30, (1.0, 3.0, 2.0))
    assert p95(row.gaps_s["writes"]) == 3.0
    assert "2.00 / 3.00" in table([row])
    assert "2 of 30" in table([row])
    assert "1 broken, 2 kept" in table([row])
    assert f"3    20%  {row.ended}  1 broken" in table([row]), "the most that was taken from any of them"
    slower = row_of("x", "without the watch", [(record(24.0, 0, "kept"), 0.0)])
    assert "12.0x" in table([row, slower]).splitlines()[-1]


def test_a_benchmark_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    keep = tmp_path / "rows"
    write = {"name": "write order", "longest_gap_s": 1.0, "lost": 0, "acknowledged": 10}
    row = row_of("leader-crash", "as it is", [({"paths": [write], "verdict": "kept"}, 0.1)])
    assert kept_rows(None) == kept_rows(keep) == []
    keep_row(row, keep)
    assert kept_rows(keep) == [row]
    drills, variants = ("leader-crash", "switchover", "vip-holder-power-off"), ("as it is", "pigsty fast")
    assert wanted(drills, variants, [row]) == {
        "as it is": ["switchover", "vip-holder-power-off"],
        "pigsty fast": ["leader-crash", "switchover"],
    }
    assert wanted(("leader-crash",), ("as it is",), [row]) == {}
    for other in ("{", "[]", '{"drill": "x"}'):
        keep.write_text(other)
        with pytest.raises(CommandError, match="holds no rows of this benchmark"):
            kept_rows(keep)


def test_a_run_without_processors_is_made_again_unless_it_lost_something(monkeypatch: pytest.MonkeyPatch) -> None:
    def runs(lost: int, *taken: float) -> int:
        made: list[str] = []
        record: dict[str, object] = {"paths": [{"name": "sql write", "lost": lost, "longest_gap_s": 1.0}]}

        def run_drill(name: str, _seed: int, _folder: Path) -> dict[str, object]:
            made.append(name)
            return record

        monkeypatch.setattr("benchmarks.failover.run_drill", run_drill)
        shares = iter(taken)
        monkeypatch.setattr(Lookout, "rest", lambda _: None)
        monkeypatch.setattr(Lookout, "robbed", lambda _: next(shares))
        assert run_rested("x", 0, Path(), Lookout(0.0)) == (record, taken[len(made) - 1])
        return len(made)

    assert runs(0, 0.1) == 1
    assert runs(0, 0.9, 0.1) == 2
    assert runs(0, 0.9, 0.8, 0.7) == 3, "not for ever: then it counts as it is"
    assert runs(1, 0.9) == 1


def test_drills_are_listed_without_asking_a_server() -> None:
    argv = [sys.executable, "-m", "holdfast", "drill", "list"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert "leader-power-off" in done.stdout
    assert "not possible" in done.stdout


def test_an_exported_drill_is_an_experiment_and_others_are_run_with_their_rollbacks(tmp_path: Path) -> None:
    cli = [sys.executable, "-m", "holdfast", "drill"]
    exported = subprocess.run(
        [*cli, "export", "leader-crash"], capture_output=True, text=True, check=True, timeout=60
    )
    assert read_experiment(json.loads(exported.stdout)).title
    left = tmp_path / "left"

    def process(name: str, path: str, *arguments: str) -> dict[str, object]:
        provider = {"type": "process", "path": path, "arguments": list(arguments)}
        return {"type": "action", "name": name, "provider": provider}

    method = [process("break", "touch", str(left)), process("fail", "false")]
    experiment = {"title": "t", "description": "d", "method": method, "rollbacks": [process("mend", "rm", str(left))]}
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps(experiment))
    done = subprocess.run([*cli, "chaos", str(file)], capture_output=True, text=True, check=False, timeout=60)
    journal = json.loads(done.stdout)
    assert [each["status"] for each in journal["run"]] == ["succeeded", "failed"]
    assert not left.exists()
    file.write_text("{}")
    refused = subprocess.run([*cli, "chaos", str(file)], capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 1
    assert "title" in refused.stderr
