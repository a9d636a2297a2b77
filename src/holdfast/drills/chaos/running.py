"""Running an experiment of Chaos Toolkit. Everything that touches the world is handed in."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from holdfast.drills.chaos.reading import read_experiment
from holdfast.drills.chaos.tolerance import tolerable
from holdfast.drills.chaos.values import Activity, Experiment, ExperimentError, Hypothesis, Provider, Role
from holdfast.drills.chaos.writing import experiment_as_json, journal, ran

Entry = dict[str, Any]
Work = Callable[[], Entry]


@dataclass(frozen=True, slots=True)
class Hands:
    """What the runner may do.

    ``perform``: carry out a provider and return its answer: of a process ``{"status", "stdout", "stderr"}``, of
    HTTP ``{"status", "headers", "body"}``. What it raises makes the activity fail. ``sleep``: wait so many seconds.
    ``now``: the present moment, with its zone. ``begin``: start work in the background and return how to wait
    for it.
    """

    perform: Callable[[Provider], Any]
    sleep: Callable[[float], None]
    now: Callable[[], datetime]
    begin: Callable[[Work], Work]


@dataclass
class _Story:
    """What happened so far; filled as it happens, so that an interruption leaves what there was."""

    status: str = "completed"
    deviated: bool = False
    steady_states: dict[str, Any] = field(default_factory=dict)
    run: list[Entry] = field(default_factory=list)
    rollbacks: list[Entry] = field(default_factory=list)
    waiting: list[Work] = field(default_factory=list)


def run_experiment(experiment: Experiment, hands: Hands) -> dict[str, Any]:
    """Run an experiment and return its journal.

    Without a steady state at first the method is not run. Rollbacks always run, each of them, also after an
    interruption (status ``interrupted``): a fault must not outlive its experiment.
    """
    story, start = _Story(), hands.now()
    try:
        _tell(experiment, hands, story)
    except KeyboardInterrupt:
        story.status = "interrupted"
    _roll_back(experiment.rollbacks, hands, story)
    source = experiment.source or experiment_as_json(experiment)
    times = (start, hands.now())
    return journal(source, story.status, story.deviated, times, story.steady_states, story.run, story.rollbacks)


def _tell(experiment: Experiment, hands: Hands, story: _Story) -> None:
    if not _steady(experiment.hypothesis, "before", hands, story):
        story.status = "failed"
        return
    for each in experiment.method:
        _step(each, hands, story)
    _wait(story)
    if not _steady(experiment.hypothesis, "after", hands, story):
        story.status, story.deviated = "failed", True


def _roll_back(rollbacks: Iterable[Activity], hands: Hands, story: _Story) -> None:
    for each in rollbacks:
        try:
            story.rollbacks.append(_paused(each, hands))
        except KeyboardInterrupt:
            # A second Ctrl-C ends the wait for this one; the others still run.
            story.status = "interrupted"


def _step(activity: Activity, hands: Hands, story: _Story) -> None:
    if activity.background:
        story.waiting.append(hands.begin(lambda: _paused(activity, hands)))
    else:
        story.run.append(_paused(activity, hands))


def _wait(story: _Story) -> None:
    for each in story.waiting:
        story.run.append(each())


def _paused(activity: Activity, hands: Hands) -> Entry:
    if activity.before_s:
        hands.sleep(activity.before_s)
    entry = _done(activity, hands)
    if activity.after_s:
        hands.sleep(activity.after_s)
    return entry


def _done(activity: Activity, hands: Hands) -> Entry:
    start = hands.now()
    try:
        output = hands.perform(activity.provider)
        met = tolerable(activity.tolerance, output, _asker(hands)) if activity.tolerated else None
    except Exception as error:  # whatever an imported activity does wrong, the rollbacks must still run
        return ran(activity, start, hands.now(), None, f"{type(error).__name__}: {error}") | _met(activity, False)
    return ran(activity, start, hands.now(), output, _wrong(activity, output)) | _met(activity, bool(met))


def _met(activity: Activity, met: bool) -> Entry:
    return {"tolerance_met": met} if activity.tolerated else {}


def _wrong(activity: Activity, output: Any) -> str:
    """Return why an action failed though it ran: a process says that by its exit code."""
    if activity.role is Role.PROBE or not isinstance(output, Mapping) or "stderr" not in output:
        return ""
    return f"exit code {output['status']}: {output['stderr']}".strip() if output.get("status") else ""


def _asker(hands: Hands) -> Callable[[Mapping[str, Any], Any], bool]:
    def ask(tolerance: Mapping[str, Any], _value: Any) -> bool:
        """Carry out a probe that is a tolerance: it must succeed, and meet its own tolerance if it has one."""
        probe = tolerance_probe(tolerance)
        entry = _done(probe, hands)
        return bool(entry["tolerance_met"]) if probe.tolerated else _good(entry)

    return ask


def _good(entry: Entry) -> bool:
    """Return whether a probe without tolerance answered well: exit code 0, a status of HTTP below 400, or true."""
    output = entry["output"]
    if entry["status"] != "succeeded" or not isinstance(output, Mapping):
        return entry["status"] == "succeeded" and bool(output)
    return bool(output.get("status", 0) == 0 if "stderr" in output else output.get("status", 200) < 400)


def tolerance_probe(tolerance: Mapping[str, Any]) -> Activity:
    """Return the probe that a tolerance is. Raises ExperimentError when it is none."""
    named = {"name": "tolerance"} | dict(tolerance)
    read = read_experiment({"title": "tolerance", "description": "tolerance", "method": [named]})
    if read.method[0].role is not Role.PROBE:
        raise ExperimentError("tolerance: must be a probe")
    return read.method[0]


def _steady(hypothesis: Hypothesis | None, moment: str, hands: Hands, story: _Story) -> bool:
    if hypothesis is None:
        return True
    entries = []
    for each in hypothesis.probes:
        entries.append(_paused(each, hands))
        if not entries[-1]["tolerance_met"]:
            break
    met = all(each["tolerance_met"] for each in entries)
    story.steady_states[moment] = {"steady_state_met": met, "probes": entries}
    return met
