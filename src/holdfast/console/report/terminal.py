"""Drills on a terminal: a few lines after each, and the matrix of them all."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from holdfast.console.looks import Look
from holdfast.console.page import BLANK, Line, Page, columns, say
from holdfast.console.report.figures import (
    claim,
    duration,
    gap,
    headline,
    healed,
    loss,
    lost,
    number,
    path_names,
    phases,
    where_lost,
    whom,
    worst,
)
from holdfast.console.words import clean, counted
from holdfast.console.xmltext import short
from holdfast.drills.check.cache import RULE as CACHE_LOST
from holdfast.drills.record import DrillRecord, Finding, PathNumbers, Promise, Proof, Struck, Verdict

VERDICTS: Mapping[Verdict, Look] = {
    Verdict.KEPT: Look("●", "bold green"),
    Verdict.BROKEN: Look("✖", "bold red"),
    Verdict.UNKNOWN: Look("?", "bold magenta"),
}
_MOST_PATHS, _MOST_FAULTS = 4, 2
# Letters of a title in the matrix: a table that fits is worth more than the end of a long title.
_TITLE = 44


def summary(drill: DrillRecord) -> RenderableType:
    """Return a drill in at most 15 lines: verdict, what was done, what was measured, how to repeat it."""
    look = VERDICTS[drill.verdict]
    first = say(
        (f"{look.symbol} {drill.verdict.value.upper()}", look.style), "  ", (clean(drill.title), "bold"), hang=2
    )
    reason = say(clean(drill.reason), indent=2)
    lines = (
        first,
        reason,
        *_faults(drill.struck),
        *_paths(drill.paths),
        *_worst_promise(drill.promises),
        _loss(drill),
        *_allowed(drill),
        _after(drill),
        *_broken(drill.findings),
        say(("repeat: ", "dim"), (clean(drill.repeat), "cyan"), indent=2, hang=8),
    )
    return Page(lines)


def _faults(struck: Sequence[Struck]) -> Iterable[Line]:
    for each in struck[:_MOST_FAULTS]:
        evidence = "; ".join(each.evidence) or "nothing shows that it bit"
        yield say(("done: ", "dim"), clean(f"{each.title} ({whom(each)}); {evidence}"), indent=2, hang=6)
    if len(struck) > _MOST_FAULTS:
        yield say(("done: ", "dim"), f"and {counted(len(struck) - _MOST_FAULTS, 'more fault')}", indent=2)


def _paths(paths: Sequence[PathNumbers]) -> Iterable[Line]:
    # The longest gaps are what a person looks for: when there are more ways in than lines, these are shown.
    longest = sorted(range(len(paths)), key=lambda index: -paths[index].longest_gap_s)[:_MOST_PATHS]
    return columns((_path(paths[index]) for index in sorted(longest)), indent=2)


def _path(each: PathNumbers) -> tuple[Text, ...]:
    doubt = f", {number(each.indeterminate)} in doubt" if each.indeterminate else ""
    return (
        Text(clean(each.name)),
        Text.assemble("longest gap ", (duration(each.longest_gap_s), "bold")),
        Text(f"{number(each.acknowledged)} acknowledged, {number(each.failed)} failed{doubt}"),
        Text(f"p50 {duration(each.p50_s)}, p99 {duration(each.p99_s)}", "dim"),
    )


def _worst_promise(promises: Sequence[Promise]) -> Iterable[Line]:
    kept = sum(each.verdict is Verdict.KEPT for each in promises)
    seen = worst(each.verdict for each in promises)
    if not promises:
        return
    bad = next((each for each in promises if each.verdict is seen and seen is not Verdict.KEPT), None)
    words = f": {bad.sentence}: promised {bad.target}, measured {bad.measured}" if bad else ""
    count = f"{kept} of {counted(len(promises), 'promise')} kept"
    yield say(("promises: ", "dim"), (count, VERDICTS[seen].style), clean(words), indent=2, hang=10)


def _loss(drill: DrillRecord) -> Line:
    gone, where = lost(drill.paths), where_lost(drill.paths)
    words = f"{number(gone)}{f' ({where})' if where else ''}"
    style = "bold red" if gone else "magenta" if gone is None or where else "green"
    return say(("acknowledged writes lost: ", "dim"), (clean(words), style), indent=2, hang=4)


def _allowed(drill: DrillRecord) -> Iterable[Line]:
    """Say of a loss that is allowed how large it was, and how near to the fault."""
    if lost(drill.paths):
        for each in drill.findings:
            if each.rule.endswith(CACHE_LOST) and each.verdict is Verdict.KEPT:
                yield say(("allowed: ", "dim"), clean(each.text), indent=2, hang=9)


def _after(drill: DrillRecord) -> Line:
    steps = ", ".join(f"{name} {duration(value_s)}" for name, value_s in phases(drill))
    told = f"{steps}; " if steps else ""
    return say(("after the fault: ", "dim"), clean(f"{told}healed {healed(drill)}"), indent=2, hang=4)


def _broken(findings: Sequence[Finding]) -> Iterable[Line]:
    bad = [each for each in findings if each.verdict is Verdict.BROKEN]
    if bad:
        others = f" (and {counted(len(bad) - 1, 'more rule')} broken)" if len(bad) > 1 else ""
        words = clean(f"{bad[0].rule}: {bad[0].text}{others}")
        yield say((f"✖ {words}", "bold red"), indent=2, hang=2)


def matrix(proof: Proof) -> RenderableType:
    """Return all drills of a proof as a table, what could not be tried, and what this shows in counts."""
    names = path_names(proof.drills)
    titles = ("drill", "verdict", *(clean(name) for name in names), "lost")
    head = tuple(Text(each, "bold") for each in titles)
    rows = columns([head, *(_row(drill, names) for drill in proof.drills)])
    skipped = counted(len(proof.unsupported), "fault")
    lines = [*rows, BLANK, say((headline(proof), VERDICTS[worst(each.verdict for each in proof.drills)].style))]
    lines += [say(claim(proof))]
    lines += [say((f"{skipped} unsupported here: the report says why", "dim"))] if proof.unsupported else []
    return Page((*lines, say(("repeat: ", "dim"), (clean(proof.repeat), "cyan"))))


def _row(drill: DrillRecord, names: Iterable[str]) -> tuple[Text, ...]:
    look = VERDICTS[drill.verdict]
    gaps = (Text(duration(gap(drill, name))) for name in names)
    gone = Text(clean(loss(drill.paths)), "bold red" if lost(drill.paths) else "")
    return (
        Text(short(clean(drill.title), _TITLE)),
        Text(f"{look.symbol} {drill.verdict.value}", look.style),
        *gaps,
        gone,
    )
