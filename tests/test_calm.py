"""The benchmark of false failovers: its cluster has what it counts, its weathers are faults that there are."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmarks import plan
from benchmarks.calm import SPEC, WEATHERS, Row, table
from benchmarks.plan import PACKAGES

from holdfast.design.design import make_design
from holdfast.design.parse import parse
from holdfast.drills.catalogue import faults_of


def test_the_weathers_are_faults_of_a_cluster_with_early_failover() -> None:
    made = make_design(parse(SPEC.replace("PACKAGES", PACKAGES), "cluster.yaml", lambda _name: "0" * 64))
    assert "watcher" in made.components
    known = [fault.name for fault in faults_of(made)]
    for weather in WEATHERS:
        assert weather.faults or weather.stops
        assert set(weather.faults) <= set(known)


def test_every_change_of_the_lead_is_shown() -> None:
    changes = {"database": 2, "cache": 1, "address": 0}
    shown = table([Row("rain", 60.4, changes, {"fences": 3, "doubts": 5}, (0.8, 0.96), 1.25, 0.1)]).splitlines()
    assert shown[2].split() == [
        "rain",
        "60",
        "2",
        "of",
        "<=",
        "0.96",
        "s",
        "2",
        "1",
        "0",
        "1.2",
        "s",
        "10%",
        "5",
        "doubts,",
        "3",
        "fences",
    ]
    assert table([Row("sun", 1.0, dict.fromkeys(changes, 0), {}, (), 0.0)]).endswith("nothing")


def test_a_benchmark_that_is_ended_leaves_no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, bool]] = []

    def run(argv: Sequence[str], folder: Path) -> None:
        done.append((" ".join(argv[3:]), folder.exists()))

    monkeypatch.setattr(plan, "run", run)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"), plan.cluster(3):
        signal.raise_signal(signal.SIGTERM)
    assert done == [("lab up", True), ("apply --yes", True), ("lab down", True)]
    assert signal.getsignal(signal.SIGTERM) is before
