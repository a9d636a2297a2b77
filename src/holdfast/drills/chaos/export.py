"""Our drills as experiments of Chaos Toolkit, and our records as its journals. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.drills.chaos.values import Activity, Experiment, Hypothesis, Process, Role
from holdfast.drills.chaos.writing import activity_as_json, experiment_as_json, journal, ran
from holdfast.drills.record import DrillRecord, Verdict
from holdfast.drills.record_json import record_as_json
from holdfast.drills.scenario import Scenario

# The format has no word for "too little was seen": of its four, "aborted" is the one that claims nothing.
_STATUSES: Mapping[Verdict, str] = {
    Verdict.KEPT: "completed",
    Verdict.BROKEN: "failed",
    Verdict.UNKNOWN: "aborted",
}
STATUS_ARGV = ("holdfast", "status")


def experiment_for(
    name: str,
    title: str,
    argv: Sequence[str],
    *,
    description: str = "",
    status_argv: Sequence[str] = STATUS_ARGV,
    heal_argv: Sequence[str] = (),
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Return a drill as an experiment: ``argv`` runs the drill, its exit code 0 says that every promise was kept.

    ``status_argv``: exits with 0 when the cluster is healthy. ``heal_argv``: undoes whatever is left in force; none
    leaves the rollbacks empty, for a drill heals by itself.
    """
    method = (Activity(Role.ACTION, name, Process(tuple(argv), timeout_s)),)
    rollbacks = (Activity(Role.ACTION, "heal", Process(tuple(heal_argv))),) if heal_argv else ()
    about = description or f"{title}. Run by Holdfast, which heals the cluster and measures what was lost."
    healthy = Hypothesis("The cluster is healthy", (_healthy(status_argv),))
    return experiment_as_json(Experiment(title, about, method, healthy, rollbacks, ("holdfast", "drill")))


def experiment_of(scenario: Scenario, argv: Sequence[str], heal_argv: Sequence[str] = ()) -> dict[str, Any]:
    """Return a scenario as an experiment, as ``experiment_for`` does; its promise stands in the description."""
    about = f"{scenario.title}. What must hold: {scenario.promise}"
    return experiment_for(scenario.name, scenario.title, argv, description=about, heal_argv=heal_argv)


def _healthy(status_argv: Sequence[str]) -> Activity:
    return Activity(Role.PROBE, "status", Process(tuple(status_argv), 60.0), tolerance=0, tolerated=True)


def journal_of(record: DrillRecord, experiment: Mapping[str, Any]) -> dict[str, Any]:
    """Return a drill's record as the journal of its experiment; the record stands in the output of the action.

    ``begun`` must be a moment in ISO 8601: raises ValueError otherwise. The points of the latency plot are left out.
    """
    start = _moment(record.begun)
    end = start + timedelta(seconds=record.length_s)
    action = Activity(Role.ACTION, record.name, Process(tuple(record.repeat.split()) or (record.name,)))
    output = {key: value for key, value in record_as_json(record).items() if key != "points"}
    failure = "" if record.verdict is Verdict.KEPT else f"{record.verdict.value}: {record.reason}"
    entry = ran(action, start, end, output, failure)
    method = experiment.get("method") or [activity_as_json(action)]
    return journal(
        experiment,
        _STATUSES[record.verdict],
        record.verdict is Verdict.BROKEN,
        (start, end),
        {"after": _after(record, end)},
        [entry | {"activity": method[0]}],
        [],
    )


def _after(record: DrillRecord, end: datetime) -> dict[str, Any]:
    """Return the steady state at the end: whether the cluster became healthy without help."""
    whole = record.whole_after_s is not None and not record.by_hand
    probe = ran(_healthy(STATUS_ARGV), end, end, record.by_hand or None) | {"tolerance_met": whole}
    return {"steady_state_met": whole, "probes": [probe]}


def _moment(iso: str) -> datetime:
    found = datetime.fromisoformat(iso)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
