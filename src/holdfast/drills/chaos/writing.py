"""Experiments and parts of journals as JSON in the format of Chaos Toolkit. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from holdfast.drills.chaos.values import Activity, Experiment, Http, Process, Provider


def experiment_as_json(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment as JSON data; reading it back gives the same experiment."""
    hypothesis = experiment.hypothesis
    data: dict[str, Any] = {"version": "1.0.0", "title": experiment.title, "description": experiment.description}
    if experiment.tags:
        data["tags"] = list(experiment.tags)
    if hypothesis:
        probes = list(map(activity_as_json, hypothesis.probes))
        data["steady-state-hypothesis"] = {"title": hypothesis.title, "probes": probes}
    data["method"] = list(map(activity_as_json, experiment.method))
    data["rollbacks"] = list(map(activity_as_json, experiment.rollbacks))
    return data


def activity_as_json(activity: Activity) -> dict[str, Any]:
    """Return an activity as JSON data; what is at its default is left out."""
    data: dict[str, Any] = {"type": activity.role.value, "name": activity.name}
    if activity.tolerated:
        data["tolerance"] = activity.tolerance
    data["provider"] = _provider(activity.provider)
    if activity.background:
        data["background"] = True
    pauses = {"before": activity.before_s, "after": activity.after_s}
    if any(pauses.values()):
        data["pauses"] = {key: value for key, value in pauses.items() if value}
    return data


def _provider(provider: Provider) -> dict[str, Any]:
    data: dict[str, Any]
    match provider:
        case Process(argv, timeout_s):
            data = {"type": "process", "path": argv[0], "arguments": list(argv[1:]), "timeout": timeout_s}
        case Http(url, method, headers, body, timeout_s):
            data = {"type": "http", "url": url, "method": method, "headers": dict(headers) or None}
            data |= {"arguments": body, "timeout": timeout_s}
        case _:
            data = {"type": "python", "module": provider.module, "func": provider.function}
            data |= {"arguments": dict(provider.arguments) or None}
    return {key: value for key, value in data.items() if value is not None}


def ran(activity: Activity, start: datetime, end: datetime, output: Any, error: str = "") -> dict[str, Any]:
    """Return the entry of a journal for one activity that ran; ``error``: why it failed."""
    entry = {
        "activity": activity_as_json(activity),
        "status": "failed" if error else "succeeded",
        "output": output,
        "start": stamp(start),
        "end": stamp(end),
        "duration": (end - start).total_seconds(),
    }
    return entry | ({"exception": [error]} if error else {})


def journal(
    experiment: Mapping[str, Any],
    status: str,
    deviated: bool,
    times: tuple[datetime, datetime],
    steady_states: Mapping[str, Any],
    run: Iterable[Mapping[str, Any]],
    rollbacks: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a journal: ``status`` is completed, failed, aborted or interrupted."""
    start, end = times
    return {
        "experiment": dict(experiment),
        "status": status,
        "deviated": deviated,
        "start": stamp(start),
        "end": stamp(end),
        "duration": (end - start).total_seconds(),
        "steady_states": {"before": None, "after": None, "during": []} | dict(steady_states),
        "run": list(run),
        "rollbacks": list(rollbacks),
    }


def stamp(moment: datetime) -> str:
    """Return a moment as the format writes it: ISO 8601, with its zone."""
    return moment.isoformat()
