"""A proof as Markdown: what goes into a repository, a ticket or a mail."""

import re
from collections.abc import Iterable, Sequence

from holdfast.console.report.figures import (
    at,
    claim,
    day,
    duration,
    gap,
    happened,
    headline,
    healed,
    loss,
    moments,
    number,
    old_side,
    path_names,
    phases,
    unaimed,
    when,
    whom,
    worst_promises,
)
from holdfast.console.words import clean, counted
from holdfast.drills.record import DrillRecord, Finding, PathNumbers, Proof, Struck

# What would be a link, an emphasis, a tag, a cell's end or an entity. Underscores stay: names have them.
_SPECIAL = re.compile(r"([\\`*\[\]<>|&~$])")


def markdown(proof: Proof) -> str:
    """Return the whole report."""
    blocks = [
        f"# {plain(proof.cluster)}: {headline(proof)}",
        f"**{_capital(claim(proof))}.**",
        _head(proof),
        "## To repeat it",
        code(proof.repeat),
        "## Promises, and the worst measured of each",
        _promises(proof),
        "## All drills",
        _matrix(proof),
        *(block for index, drill in enumerate(proof.drills, 1) for block in _drill(index, drill)),
        *_unsupported(proof),
        *_limits(proof),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def plain(words: str) -> str:
    """Return words that mean themselves in Markdown, in one line."""
    return _SPECIAL.sub(r"\\\1", clean(words))


def code(words: str) -> str:
    """Return one line as a block of code, whose fence is longer than any that the line holds."""
    line = clean(words) or "not told"
    longest = max((len(each) for each in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{line}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: int = 99) -> str:
    """Return a table with its columns aligned; from ``numeric`` on they hold numbers. "" without rows."""
    lines = [[plain(cell) for cell in row] for row in rows]
    if not lines:
        return ""
    widths = [max(3, *map(len, column)) for column in zip(head, *lines, strict=True)]
    rule = ["-" * (width - 1) + ":" if index >= numeric else "-" * width for index, width in enumerate(widths)]
    return "\n".join(_row(line, widths, numeric) for line in (head, rule, *lines))


def _row(cells: Sequence[str], widths: Sequence[int], numeric: int) -> str:
    padded = (
        cell.rjust(width) if index >= numeric else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"


def bullets(items: Iterable[str]) -> str:
    """Return a list of lines that are Markdown already."""
    return "\n".join(f"- {item}" for item in items)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _head(proof: Proof) -> str:
    rows = (
        ("cluster", proof.cluster),
        ("design", proof.digest),
        ("promised", "; ".join(f"{name}: {target}" for name, target in proof.promises.items())),
        ("holdfast", proof.holdfast),
        ("engines", ", ".join(f"{name} {version}" for name, version in proof.engines.items())),
        ("suite", f"{proof.suite}, seed {proof.seed}"),
        ("begun", f"{day(proof.begun)}, {duration(proof.length_s)} long"),
        ("machine", proof.machine),
    )
    return table(("what", "which"), [row for row in rows if row[1]])


def _promises(proof: Proof) -> str:
    rows = (
        (
            each.promise.sentence,
            each.promise.target,
            each.promise.measured,
            each.promise.verdict.value,
            each.drill,
            str(each.drills),
        )
        for each in worst_promises(proof.drills)
    )
    return table(("promise", "target", "worst measured", "verdict", "in the drill", "drills"), rows, 5)


def _matrix(proof: Proof) -> str:
    names = path_names(proof.drills)
    head = ("drill", "verdict", *(f"gap: {plain(name)}" for name in names), "lost", "whole again")
    rows = (
        (
            drill.title,
            drill.verdict.value,
            *(duration(gap(drill, name)) for name in names),
            loss(drill.paths),
            "by hand" if drill.by_hand else duration(drill.whole_after_s),
        )
        for drill in proof.drills
    )
    return table(head, rows, 2)


def _drill(index: int, drill: DrillRecord) -> Iterable[str]:
    yield f"## {index}. {plain(drill.title)}: {drill.verdict.value}"
    yield f"{plain(_capital(drill.reason))}."
    yield f"Diagnosis: {plain(drill.diagnosis)}" if drill.diagnosis else ""
    yield bullets(map(_struck, drill.struck))
    yield table(
        ("promise", "target", "measured", "verdict"),
        ((each.sentence, each.target, each.measured, each.verdict.value) for each in drill.promises),
    )
    yield _paths(drill.paths)
    yield bullets(_after(drill))
    yield _moments(drill)
    yield _findings(drill.findings)
    yield code(drill.repeat)


def _struck(each: Struck) -> str:
    evidence = "; ".join(each.evidence) or "none, it did not bite"
    return f"**{plain(each.title)}** ({plain(whom(each))}), {when(each)}. Evidence: {plain(evidence)}."


def _paths(paths: Sequence[PathNumbers]) -> str:
    head = (
        "way in",
        "acknowledged",
        "in doubt",
        "took effect",
        "failed",
        "lost",
        "longest gap",
        "p50",
        "p99",
        "p99.9",
    )
    rows = (
        (
            each.name,
            *map(number, (each.acknowledged, each.indeterminate, each.took_effect, each.failed, each.lost)),
            f"{duration(each.longest_gap_s)} from {at(each.gap_from_s)}",
            *map(duration, (each.p50_s, each.p99_s, each.p999_s)),
        )
        for each in paths
    )
    return table(head, rows, 1)


def _after(drill: DrillRecord) -> Iterable[str]:
    steps = ", ".join(f"{plain(name)} {duration(value_s)}" for name, value_s in phases(drill))
    if steps:
        yield f"After the fault: {steps} (from the engines' journals)."
    yield f"Old side: {old_side(drill)}."
    yield f"Healed {plain(healed(drill))}."
    yield f"Begun {plain(day(drill.begun))}, {duration(drill.length_s)} long, seed {drill.seed}."


def _moments(drill: DrillRecord) -> str:
    rows = (
        (at(each.at_s), each.kind, happened(each), "" if each.until_s is None else at(each.until_s))
        for each in moments(drill, "role", "finding", "violation", "milestone", "deed")
    )
    return table(("when", "what", "", "until"), rows)


def _findings(findings: Sequence[Finding]) -> str:
    rows = ((each.rule, each.verdict.value, _found(each)) for each in findings)
    return table(("rule", "verdict", "found"), rows)


def _found(each: Finding) -> str:
    return f"{each.text} (for example {', '.join(each.examples)})" if each.examples else each.text


def _unsupported(proof: Proof) -> Iterable[str]:
    if proof.unsupported:
        yield f"## Not tried: {counted(len(proof.unsupported), 'fault')} unsupported here"
        rows = ((each.name, " ".join(each.codes), unaimed(each), each.reason) for each in proof.unsupported)
        yield table(("fault", "catalogue", "what it does", "why not"), rows)


def _limits(proof: Proof) -> Iterable[str]:
    if proof.limits:
        yield "## Limits"
        yield bullets(map(plain, proof.limits))
