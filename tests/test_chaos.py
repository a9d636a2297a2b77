"""Chaos Toolkit: our drills in its format, and experiments of others read, judged and run without any I/O."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.drills.chaos import (
    Activity,
    Experiment,
    ExperimentError,
    Hands,
    Http,
    Hypothesis,
    Process,
    Python,
    Role,
    experiment_as_json,
    experiment_for,
    experiment_of,
    journal_of,
    read_experiment,
    run_experiment,
)
from holdfast.drills.chaos.tolerance import tolerable, values_at
from holdfast.drills.chaos.values import Provider
from holdfast.drills.scenario import Scenario, Strike
from proofs import power_off, split, vacuous

PROBE = {
    "type": "probe",
    "name": "front door",
    "tolerance": [200, 299],
    "provider": {"type": "http", "url": "https://10.0.0.100/health", "timeout": 3},
}
ACTION = {
    "type": "action",
    "name": "kill it",
    "provider": {"type": "process", "path": "pkill", "arguments": ["-9", "entry"]},
    "pauses": {"after": 5},
}
UNDO = {"type": "action", "name": "start it", "provider": {"type": "process", "path": "start"}}


def sample(**changes: Any) -> dict[str, Any]:
    whole = {
        "title": "The entry dies",
        "description": "Nobody notices",
        "steady-state-hypothesis": {"title": "orders come in", "probes": [PROBE]},
        "method": [ACTION],
        "rollbacks": [UNDO],
    } | changes
    return {key: value for key, value in whole.items() if value is not None}


# Reading


def test_an_experiment_is_read_into_values() -> None:
    found = read_experiment(sample(tags=["entry"]))
    door = Http("https://10.0.0.100/health", timeout_s=3.0)
    assert found.hypothesis is not None
    assert found.hypothesis.probes == (
        Activity(Role.PROBE, "front door", door, tolerance=[200, 299], tolerated=True),
    )
    assert found.method == (Activity(Role.ACTION, "kill it", Process(("pkill", "-9", "entry")), after_s=5.0),)
    assert found.rollbacks == (Activity(Role.ACTION, "start it", Process(("start",))),)
    assert found.tags == ("entry",)


def test_an_activity_may_refer_to_one_before_it() -> None:
    found = read_experiment(sample(method=[ACTION, {"ref": "front door"}]))
    assert found.hypothesis is not None
    assert found.method[1] == found.hypothesis.probes[0]


WRONG = [
    (sample(title=None), "title: is missing"),
    (sample(description=" "), "description: must not be empty"),
    (sample(method={}), "method: must be a list"),
    (sample(method=[{"type": "act"}]), "method[0].type: must be probe or action"),
    (sample(method=[ACTION | {"name": 3}]), "method[0].name: must be text"),
    (sample(method=[ACTION | {"pauses": {"before": -1}}]), "method[0].pauses.before: must be a number of seconds"),
    (sample(method=[ACTION | {"pauses": {"before": 10**400}}]), "method[0].pauses.before: must be a number"),
    (sample(method=[ACTION | {"background": "yes"}]), "method[0].background: must be true or false"),
    (sample(method=[{"ref": "nobody"}]), "method[0].ref: no activity before it is named 'nobody'"),
    (sample(method=[ACTION | {"provider": {"type": "ssh"}}]), "method[0].provider.type: must be process, http"),
    (sample(method=[ACTION | {"provider": {"type": "process"}}]), "method[0].provider.path: is missing"),
    (
        sample(method=[ACTION | {"provider": {"type": "process", "path": "x", "arguments": "-9 entry"}}]),
        "method[0].provider.arguments: must be a list",
    ),
    (
        sample(method=[ACTION | {"provider": {"type": "http", "url": "file:///etc/shadow"}}]),
        "method[0].provider.url: must begin with http",
    ),
    (
        sample(rollbacks=[UNDO, ACTION | {"provider": {"type": "python", "module": "os", "func": "abort"}}]),
        "rollbacks[1].provider.type: python runs code of others",
    ),
    (
        sample(**{"steady-state-hypothesis": {"title": "x", "probes": [ACTION]}}),
        "steady-state-hypothesis.probes[0]: must be a probe",
    ),
    (
        sample(**{"steady-state-hypothesis": {"title": "x", "probes": [PROBE, PROBE | {"tolerance": None}]}}),
        "steady-state-hypothesis.probes[1].tolerance: must not be null",
    ),
    (
        sample(method=[PROBE | {"tolerance": {"type": "regex", "pattern": "("}}]),
        "method[0].tolerance.pattern: is no regular expression",
    ),
    (
        sample(method=[PROBE | {"tolerance": {"type": "jsonpath", "path": "$..x"}}]),
        "method[0].tolerance.path: '..x' is not supported",
    ),
    (
        sample(method=[PROBE | {"tolerance": {"type": "range", "range": [2, 1]}}]),
        "method[0].tolerance.range: must be",
    ),
    (sample(method=[PROBE | {"tolerance": {"type": "magic"}}]), "method[0].tolerance.type: must be one of"),
    (
        sample(method=[PROBE | {"tolerance": {"type": "probe", "provider": {"type": "python"}}}]),
        "method[0].tolerance.provider.type: python",
    ),
    (sample(controls=[{"name": "x"}]), "controls: is not supported here"),
]


@pytest.mark.parametrize(("data", "words"), WRONG, ids=[words for _, words in WRONG])
def test_what_is_wrong_is_told_with_its_path(data: dict[str, Any], words: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        read_experiment(data)
    assert str(caught.value).startswith(words)


def test_code_of_others_is_read_only_when_allowed() -> None:
    code = ACTION | {"provider": {"type": "python", "module": "m", "func": "f", "arguments": {"a": 1}}}
    found = read_experiment(sample(method=[code]), allow_code=True)
    assert found.method[0].provider == Python("m", "f", {"a": 1})


NAMES = st.text(min_size=1).filter(str.strip)
SECONDS = st.floats(0, 1000)
PROVIDERS: st.SearchStrategy[Provider] = st.one_of(
    st.builds(Process, st.lists(NAMES, min_size=1).map(tuple), st.none() | SECONDS),
    st.builds(
        Http,
        st.just("https://10.0.0.100/"),
        st.sampled_from(["GET", "POST"]),
        st.dictionaries(NAMES, st.text(), max_size=2),
        st.none() | st.dictionaries(st.text(), st.integers(), min_size=1),
        st.none() | SECONDS,
    ),
)


def activities(role: Role) -> st.SearchStrategy[Activity]:
    return st.builds(
        Activity,
        st.just(role),
        NAMES,
        PROVIDERS,
        tolerance=st.integers() | st.text() | st.lists(st.integers(), min_size=1),
        tolerated=st.just(True),
        background=st.booleans(),
        before_s=SECONDS,
        after_s=SECONDS,
    )


@given(
    st.builds(
        Experiment,
        NAMES,
        NAMES,
        st.lists(activities(Role.ACTION) | activities(Role.PROBE), max_size=3).map(tuple),
        st.none() | st.builds(Hypothesis, NAMES, st.lists(activities(Role.PROBE), max_size=2).map(tuple)),
        st.lists(activities(Role.ACTION), max_size=2).map(tuple),
        st.lists(NAMES, max_size=2).map(tuple),
    )
)
def test_what_is_written_is_read_again(experiment: Experiment) -> None:
    data = json.loads(json.dumps(experiment_as_json(experiment)))
    found = read_experiment(data)
    assert (found.title, found.description, found.tags) == (experiment.title, experiment.description, experiment.tags)
    assert (found.hypothesis, found.method) == (experiment.hypothesis, experiment.method)
    assert found.rollbacks == experiment.rollbacks


# Tolerances


def never(_tolerance: Any, _value: Any) -> bool:
    raise AssertionError("no probe is asked")


SHELL = {"status": 0, "stdout": "3 members, 1 leader\n", "stderr": ""}
ANSWER = {"status": 200, "headers": {}, "body": '{"members": [{"role": "leader"}, {"role": "replica"}], "ok": true}'}
JUDGED = [
    (0, SHELL, True),
    (1, SHELL, False),
    (200, ANSWER, True),
    (True, 1, False),
    (True, True, True),
    (0, False, False),
    ("leader", "leader", True),
    ([200, 299], ANSWER, True),
    ([201, 299], ANSWER, False),
    ([200, 404, 500], ANSWER, True),
    ([201, 404, 500], ANSWER, False),
    (["a", "b"], "b", True),
    ({"type": "range", "range": [1, 2]}, 2, True),
    ({"type": "range", "range": [1, 2]}, "1.5", True),
    ({"type": "range", "range": [1, 2]}, "many", False),
    ({"type": "range", "range": [0, 2]}, True, False),
    ({"type": "range", "range": [0, 0]}, SHELL, True),
    ({"type": "regex", "pattern": r"\b1 leader"}, SHELL, True),
    ({"type": "regex", "pattern": r"2 leaders"}, SHELL, False),
    ({"type": "regex", "pattern": "^$", "target": "stderr"}, SHELL, True),
    ({"type": "jsonpath", "path": "$.members[*].role", "expect": ["leader", "replica"]}, ANSWER, True),
    ({"type": "jsonpath", "path": "$.members[0].role", "expect": "leader"}, ANSWER, True),
    ({"type": "jsonpath", "path": "$['ok']", "expect": 1}, ANSWER, False),
    ({"type": "jsonpath", "path": "$.members[*]", "count": 2}, ANSWER, True),
    ({"type": "jsonpath", "path": "$.members[*]", "count": 3}, ANSWER, False),
    ({"type": "jsonpath", "path": "$.members[7]"}, ANSWER, False),
    ({"type": "jsonpath", "path": "$.ok"}, {"status": 200, "body": "<html>"}, False),
]


@pytest.mark.parametrize(("tolerance", "value", "expected"), JUDGED)
def test_tolerances(tolerance: Any, value: Any, expected: bool) -> None:
    assert tolerable(tolerance, value, never) is expected


@given(st.lists(st.sampled_from(["a", "b-c", "d"]), max_size=4), st.integers())
def test_a_path_leads_to_what_was_put_there(keys: list[str], leaf: int) -> None:
    value: Any = leaf
    for key in reversed(keys):
        value = {key: value, "other": 0}
    assert values_at("$" + "".join(f".{key}" for key in keys), value) == [leaf]


# Running


class World:
    """A world of answers by the first word of a process or the URL; every deed is remembered with its time."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers, self.deeds, self.time_s = answers, list[tuple[float, str]](), 0.0
        self.started: list[str] = []

    def perform(self, provider: Provider) -> Any:
        name = provider.argv[0] if isinstance(provider, Process) else getattr(provider, "url", "")
        self.deeds.append((self.time_s, name))
        answer = self.answers.get(name, {"status": 0, "stdout": "", "stderr": ""})
        answer = answer.pop(0) if isinstance(answer, list) else answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def sleep(self, seconds: float) -> None:
        self.time_s += seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=self.time_s)

    def begin(self, work: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        self.started.append("background")
        return work

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.deeds]

    def run(self, data: dict[str, Any]) -> dict[str, Any]:
        hands = Hands(self.perform, self.sleep, self.now, self.begin)
        return run_experiment(read_experiment(data), hands)


DOOR = "https://10.0.0.100/health"
FINE = {"status": 200, "headers": {}, "body": ""}


def test_a_run_that_holds() -> None:
    world = World({DOOR: FINE})
    journal = world.run(sample())
    assert world.names == [DOOR, "pkill", DOOR, "start"]
    assert (journal["status"], journal["deviated"], journal["duration"]) == ("completed", False, 5.0)
    assert [each["activity"]["name"] for each in journal["run"]] == ["kill it"]
    assert journal["steady_states"]["after"]["steady_state_met"] is True
    assert journal["experiment"] == sample()
    json.dumps(journal)


def test_without_a_steady_state_nothing_is_broken_but_rollbacks_run() -> None:
    world = World({DOOR: {"status": 503}})
    journal = world.run(sample())
    assert world.names == [DOOR, "start"]
    assert (journal["status"], journal["deviated"]) == ("failed", False)


def test_a_steady_state_that_does_not_come_back_is_a_deviation() -> None:
    world = World({DOOR: [FINE, {"status": 503}]})
    journal = world.run(sample())
    assert (journal["status"], journal["deviated"]) == ("failed", True)
    assert world.names[-1] == "start"


def test_rollbacks_run_after_an_interruption_each_of_them() -> None:
    world = World({DOOR: FINE, "pkill": KeyboardInterrupt(), "start": [KeyboardInterrupt(), {"status": 0}]})
    journal = world.run(sample(rollbacks=[UNDO, UNDO]))
    assert world.names == [DOOR, "pkill", "start", "start"]
    assert journal["status"] == "interrupted"
    assert len(journal["rollbacks"]) == 1


def test_an_action_that_fails_is_told_and_the_rest_goes_on() -> None:
    world = World({DOOR: FINE, "pkill": [OSError("no such program"), {"status": 1, "stderr": "nobody"}]})
    journal = world.run(sample(method=[ACTION, ACTION | {"name": "again"}]))
    assert [each["status"] for each in journal["run"]] == ["failed", "failed"]
    assert journal["run"][0]["exception"] == ["OSError: no such program"]
    assert journal["run"][1]["exception"] == ["exit code 1: nobody"]
    assert world.names[-1] == "start"


def test_a_probe_that_raises_is_not_within_its_tolerance() -> None:
    journal = World({DOOR: TimeoutError("3 s")}).run(sample())
    assert journal["steady_states"]["before"]["steady_state_met"] is False


def test_pauses_and_background() -> None:
    slow = ACTION | {"name": "slow", "background": True, "pauses": {"before": 7}}
    world = World({DOOR: FINE})
    journal = world.run(sample(method=[slow, ACTION]))
    assert world.started == ["background"]
    assert [each["activity"]["name"] for each in journal["run"]] == ["kill it", "slow"]
    assert world.deeds[1] == (0.0, "pkill")


@pytest.mark.parametrize(("code", "met"), [(0, True), (1, False)])
def test_a_probe_can_be_a_tolerance(code: int, met: bool) -> None:
    inner = {"type": "probe", "name": "count", "provider": {"type": "process", "path": "count"}}
    world = World({DOOR: FINE, "count": {"status": code, "stdout": "", "stderr": ""}})
    probe = {"title": "x", "probes": [PROBE | {"tolerance": inner}]}
    journal = world.run(sample(**{"steady-state-hypothesis": probe}))
    assert journal["steady_states"]["before"]["steady_state_met"] is met


# Our drills

ARGV = ("holdfast", "drill", "run", "power-off@leader", "--seed", "42", "-y")


def test_a_drill_is_an_experiment_that_is_read_again() -> None:
    data = experiment_for("power-off@leader", "Power off the leader", ARGV, heal_argv=("holdfast", "drill", "heal"))
    assert set(data) >= {"title", "description", "method", "steady-state-hypothesis", "rollbacks"}
    assert data["method"][0]["provider"] == {"type": "process", "path": "holdfast", "arguments": list(ARGV[1:])}
    found = read_experiment(json.loads(json.dumps(data)))
    assert found.method[0].provider == Process(ARGV)
    assert experiment_as_json(found) == data


def test_a_scenario_is_an_experiment_that_tells_its_promise() -> None:
    scenario = Scenario(
        "power-off@leader", "Power off the leader", ("B1",), (Strike("power-off"),), "nothing is lost"
    )
    found = read_experiment(experiment_of(scenario, ARGV))
    assert (found.title, found.method[0].name) == ("Power off the leader", "power-off@leader")
    assert "nothing is lost" in found.description
    assert found.rollbacks == ()


@pytest.mark.parametrize(
    ("record", "status", "deviated", "whole"),
    [
        (power_off(), "completed", False, True),
        (split(), "failed", True, False),
        (vacuous(), "aborted", False, True),
    ],
)
def test_a_record_is_a_journal(record: Any, status: str, deviated: bool, whole: bool) -> None:
    experiment = experiment_for(record.name, record.title, record.repeat.split())
    journal = json.loads(json.dumps(journal_of(record, experiment)))
    assert set(journal) >= {"experiment", "status", "start", "end", "duration", "deviated", "steady_states", "run"}
    assert (journal["status"], journal["deviated"]) == (status, deviated)
    assert journal["experiment"] == experiment
    assert journal["duration"] == record.length_s
    begun, ended = (datetime.fromisoformat(journal[key]) for key in ("start", "end"))
    assert (ended - begun).total_seconds() == record.length_s
    assert journal["steady_states"]["after"]["steady_state_met"] is whole
    output = journal["run"][0]["output"]
    assert output["verdict"] == record.verdict.value
    assert "points" not in output
