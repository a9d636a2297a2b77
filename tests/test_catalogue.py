"""The catalogue of drills is complete and strikes what is there; milestones are found in real journals."""

import re

import pytest

from holdfast.components import registry
from holdfast.drills.catalogue import STARRED, faults_of, faults_table, played, scenarios
from holdfast.drills.scenario import DURING
from holdfast.drills.targets import words
from test_contract import LAYOUTS
from test_faults import NAMES, design, faults

PHASES = {"detect", "elect", "promote", "route"}


STARS = [
    *("A1", "A3", "A4", "A6", "A8", "A9"),
    *("B1", "B2", "B4", "B6", "B8", "B9"),
    *("C1", "C2", "C3", "C4", "C5", "C7", "C11", "C12", "C14", "C16"),
    *("D1", "D2", "D3", "D4", "D5", "D7", "D9"),
    *("E1", "E6", "E7", "F1", "F2", "F4", "G1", "G2", "G3", "G5", "H1", "I1", "I5"),
]


def test_the_first_set_is_complete() -> None:
    assert [entry.code for entry in STARRED] == STARS
    assert len(STARS) == 42


@pytest.mark.parametrize("layout", ["three", "nine"])
def test_a_known_disaster_is_played_or_says_why_not(layout: str) -> None:
    found = played(design(layout))
    for entry in STARRED:
        assert bool(found[entry.code]) != bool(entry.unsupported), entry


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_drills_strike_faults_that_are_there(layout: str) -> None:
    made, names = scenarios(design(layout)), faults(layout)
    assert len({scenario.name for scenario in made}) == len(made)
    for scenario in made:
        assert scenario.strikes or scenario.during
        assert scenario.during in DURING
        assert scenario.title
        assert "{" not in scenario.title
        for strike in scenario.strikes:
            assert strike.fault in names
            assert all(word in words() for word in strike.target.split("+"))


def test_the_fast_suite_is_what_fits_ten_minutes() -> None:
    fast = {scenario.name for scenario in scenarios(design("three")) if scenario.fast}
    assert 12 <= len(fast) <= 16
    assert {"leader-crash", "leader-power-off", "leader-isolated-with-clients", "dcs-quorum-lost"} <= fast


def test_drills_of_layers_that_are_not_there_are_left_out() -> None:
    names = {scenario.name for scenario in scenarios(design("data"))}
    assert "leader-crash" in names
    assert not [name for name in names if name.startswith(("cache", "vip", "app-", "router"))]


def test_the_table_has_a_row_for_every_fault() -> None:
    table = faults_table(faults_of(design("three")))
    assert [line.split("`")[1] for line in table.splitlines()[2:]] == NAMES


# Milestones


LINES = {
    "postgres": {
        "detect": 'INFO: Got response from b https://10.92.0.12:8008/patroni: {"state": "running"}',
        "elect": "INFO: promoted self to leader by acquiring session lock",
        "promote": "[1313] LOG:  database system is ready to accept connections",
    },
    "valkey": {
        "detect": "845:X 21 Nov 2026 05:29:43.119 # +sdown master cache 10.92.0.11 6379",
        "elect": "845:X 21 Nov 2026 05:29:43.268 # +elected-leader master cache 10.92.0.11 6379",
        "promote": "845:X 21 Nov 2026 05:29:44.280 # +promoted-slave slave 10.92.0.12:6379 10.92.0.12 6379 @ cache",
    },
    "keepalived": {"route": "(vip) Entering MASTER STATE"},
    "haproxy": {"route": "Server sql_leader/b is UP, reason: Layer7 check passed, code: 200, check duration: 70ms."},
}
OTHER_LINES = (
    "[99] LOG:  database system is ready to accept read-only connections",
    "845:X 21 Nov 2026 05:29:43.119 # +sdown slave 10.92.0.11:6379 10.92.0.11 6379 @ cache 10.92.0.12 6379",
    "Server sql_replicas/b is UP, reason: Layer7 check passed, code: 200",
    "(vip) Entering BACKUP STATE",
)


@pytest.mark.parametrize("component", sorted(LINES))
def test_milestones_are_found_in_journals_of_real_failovers(component: str) -> None:
    milestones = {each.phase: each for each in registry()[component].milestones}
    assert set(milestones) == set(LINES[component]) <= PHASES
    for phase, each in milestones.items():
        assert re.search(each.pattern, LINES[component][phase])
        assert each.unit in design("three").units()
        assert not [line for line in OTHER_LINES if re.search(each.pattern, line)]
