"""Findings, history and explanation as text, and the one place to take all text pages from."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.text import Text

from holdfast.console.changes import plan_lines
from holdfast.console.looks import REMARK, SEVERITIES
from holdfast.console.page import BLANK, Line, Page, columns, say
from holdfast.console.status import status_lines
from holdfast.console.words import clean, counted
from holdfast.design.explain import Setting
from holdfast.model.spec import Finding
from holdfast.runner.runs import Past

__all__ = ["explain_lines", "findings_lines", "history_lines", "plan_lines", "status_lines"]


def findings_lines(findings: Iterable[Finding]) -> RenderableType:
    """Return the weaknesses of a design, each with what it costs and the cheapest remedy."""
    found = tuple(findings)
    if not found:
        return Page((say(("● no weakness found in this design", "green")),))
    lines = [line for each in found for line in _finding(each)]
    return Page((*lines, BLANK, say((counted(len(found), "finding"), "bold"))))


def _finding(finding: Finding) -> tuple[Line, ...]:
    look = SEVERITIES.get(finding.severity, REMARK)
    where = (clean(finding.where), "bold")
    first = say((look.symbol, look.style), " ", where, f": {clean(finding.what)}", hang=2)
    return (first, say((f"→ {clean(finding.remedy)}", "cyan"), indent=2, hang=2)) if finding.remedy else (first,)


def history_lines(past: Iterable[Past]) -> RenderableType:
    """Return all runs, the latest last."""
    runs = tuple(past)
    if not runs:
        return Page((say("nothing was done to this cluster yet"),))
    return Page(columns([_titles("begun (UTC)", "verb", "design", "result"), *map(_run, runs)]))


def _titles(*words: str) -> tuple[Text, ...]:
    return tuple(Text(word, "bold") for word in words)


def _run(run: Past) -> tuple[Text, ...]:
    return Text(_moment(run.begun)), Text(run.verb), Text(run.digest[:12], "dim"), _result(run.result)


def _moment(iso: str) -> str:
    try:
        return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return clean(iso)


def _result(result: str) -> Text:
    if not result:
        return Text("still running, or cut off", "yellow")
    return Text(clean(result.splitlines()[0]), {"done": "green", "interrupted": "yellow"}.get(result, "red"))


def explain_lines(rows: Iterable[Setting]) -> RenderableType:
    """Return every setting in force, each meaning told once; what the user gave stands out from the defaults."""
    told: set[str] = set()
    lines = [_titles("key", "origin", "value")]
    for row in rows:
        lines.append(_setting(row, "" if row.doc in told else row.doc))
        told.add(row.doc)
    return Page(columns(lines))


def _setting(row: Setting, doc: str) -> tuple[Text, ...]:
    given = row.origin == "given"
    value = Text.assemble((value_words(row.value), "bold" if given else ""))
    if doc:
        value.append(f"  # {clean(doc)}", "dim")
    return Text(row.name), Text(row.origin, "green" if given else "dim"), value


def value_words(value: object) -> str:
    """Return a value of JSON in one line, as it could stand in the file."""
    if isinstance(value, str):
        return clean(value) or '""'
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return f"[{', '.join(map(value_words, value))}]"
    return json.dumps(value, ensure_ascii=False)
