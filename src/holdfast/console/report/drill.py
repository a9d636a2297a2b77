"""One drill on the page: what was done, what was promised and measured, and its two pictures."""

from collections.abc import Iterable

from holdfast.console.report import latency, timeline
from holdfast.console.report.elements import (
    Content,
    Html,
    aside,
    bullets,
    element,
    facts,
    heading,
    joined,
    more,
    table,
    verdict,
    whole,
)
from holdfast.console.report.figures import at, day, duration, healed, loss, number, old_side, phases, when, whom
from holdfast.console.words import counted
from holdfast.drills.record import DrillRecord, Finding, Moment, PathNumbers, Struck, Verdict

# A table that says what a picture says: for readers of screens, and left out on paper.
_TWIN = "more twin"


def drill_section(drill: DrillRecord, name: str, opened: bool, most_points: int) -> Html:
    """Return the section of a drill; ``name`` is its id, ``opened`` whether it shows itself at first."""
    body = element("div", *_body(drill, name, most_points), class_="inner")
    # An attribute without value: there is no way to say "closed" by one.
    start = f'<details class="drill {drill.verdict.value}" id="{name}"{" open" if opened else ""}>'
    return Html(f"{start}\n{_summary(drill)}\n{body}\n</details>")


def _summary(drill: DrillRecord) -> Html:
    gap_s = max((path.longest_gap_s for path in drill.paths), default=None)
    told = [aside(f"longest gap {duration(gap_s)}")] if gap_s is not None else []
    title = heading(3, drill.title)
    return element("summary", title, *told, aside(f"lost {loss(drill.paths)}"), verdict(drill.verdict))


def _body(drill: DrillRecord, name: str, most_points: int) -> Iterable[Html]:
    yield element("p", drill.reason, class_="reason")
    yield element("p", drill.diagnosis, class_="lead") if drill.diagnosis else Html("")
    yield from _timeline(drill, name)
    yield from _latency(drill, name, most_points)
    yield heading(3, "Promises")
    yield _promises(drill)
    yield heading(3, "Ways in")
    yield _paths(drill)
    yield element("div", _left(drill), _right(drill), class_="two")
    yield _findings(drill)
    yield heading(3, "To repeat it")
    yield element("pre", element("code", drill.repeat or "not told"))


def _timeline(drill: DrillRecord, name: str) -> Iterable[Html]:
    yield heading(3, "Timeline")
    yield element("div", Html(timeline.timeline(drill, name)), class_="figure", tabindex="0")
    swatches = [_swatch("band", "fault in force"), _swatch("served", "answering"), _swatch("hole", "gap")]
    shown = {each.kind for each in drill.moments}
    marks = [_key(sign, words) for kind, sign, words in timeline.legend() if kind in shown]
    yield bullets([*swatches, *marks], "keys")
    yield more("The timeline as a table", _moments(drill), _TWIN)


def _latency(drill: DrillRecord, name: str, most_points: int) -> Iterable[Html]:
    plot = latency.latency_plot(drill, name, most_points)
    if not plot:
        return
    yield heading(3, "How long every operation took")
    yield element("div", Html(plot), class_="figure", tabindex="0")
    yield bullets([_key(shape, words) for shape, words in latency.legend()], "keys")
    yield more("The latencies as a table", _slices(drill), _TWIN)


def _swatch(class_: str, words: str) -> Html:
    return _key(element("span", class_=f"swatch {class_}"), words)


def _key(sign: str, words: str) -> Html:
    return Html(sign + element("span", words))


def _moments(drill: DrillRecord) -> Html:
    found = sorted(drill.moments, key=lambda each: each.at_s)
    return table(("when", "what", "where", "", "until"), map(_moment, found), "What happened when")


def _moment(each: Moment) -> tuple[Content, ...]:
    until = "" if each.until_s is None else at(each.until_s)
    return at(each.at_s), each.kind, each.host, each.text, until


def _slices(drill: DrillRecord) -> Html:
    head = ("when", *latency.OUTCOMES.values(), "slowest")
    rows = (
        (
            f"{at(each.from_s)} to {at(each.to_s)}",
            *(number(each.counts[outcome]) for outcome in latency.OUTCOMES),
            duration(each.slowest_s),
        )
        for each in latency.slices(drill)
    )
    return table(head, rows, "Operations by time, as drawn in the plot", 1)


def _promises(drill: DrillRecord) -> Html:
    rows = ((each.sentence, whole(each.target), each.measured, verdict(each.verdict)) for each in drill.promises)
    return table(("promise", "target", "measured", ""), rows, "Promises, target and measured")


def _paths(drill: DrillRecord) -> Html:
    head = ("way in", "acknowledged", "in doubt", "failed", "lost", "longest gap", "p50", "p99", "p99.9")
    return table(head, map(_path, drill.paths), "Every way in, in numbers", 1)


def _path(each: PathNumbers) -> tuple[Content, ...]:
    gone = element("span", number(each.lost), class_="loss") if each.lost else number(each.lost)
    effect = "" if each.took_effect is None or not each.indeterminate else aside(f"{each.took_effect} took effect")
    doubt = Html(number(each.indeterminate) + effect)
    since = aside(f"from {at(each.gap_from_s)}")
    gap = Html(duration(each.longest_gap_s) + since)
    percentiles = map(duration, (each.p50_s, each.p99_s, each.p999_s))
    return each.name, number(each.acknowledged), doubt, number(each.failed), gone, gap, *percentiles


def _left(drill: DrillRecord) -> Html:
    done = bullets(_struck(each) for each in drill.struck) or element("p", "no fault")
    return element("div", heading(3, "What was done, and what shows that it bit"), done)


def _struck(each: Struck) -> Html:
    evidence = f"Evidence: {'; '.join(each.evidence)}" if each.evidence else "There is no evidence that it bit"
    words = f"{whom(each)}, {when(each)}. {evidence}."
    return joined((each.title, aside(words)))


def _right(drill: DrillRecord) -> Html:
    steps = bullets((_step(name, value_s) for name, value_s in phases(drill)), "steps")
    after = facts(
        (
            ("old side", old_side(drill)),
            ("healed", healed(drill)),
            ("begun", f"{day(drill.begun)}, {duration(drill.length_s)} long, seed {drill.seed}"),
        )
    )
    title = "After the fault" if not steps else "After the fault: until each step, from the engines' journals"
    return element("div", heading(3, title), steps, after)


def _step(name: str, value_s: float) -> Html:
    return Html(element("span", name) + element("b", duration(value_s)))


def _findings(drill: DrillRecord) -> Html:
    if not drill.findings:
        return Html("")
    clean = sum(each.verdict is Verdict.KEPT for each in drill.findings)
    rows = table(("rule", "found", ""), map(_finding, drill.findings), "What the checker found")
    title = f"What the checker found: {counted(len(drill.findings), 'rule')}, {clean} kept"
    if clean == len(drill.findings):
        return more(title, rows)
    return joined((heading(3, title), rows))


def _finding(each: Finding) -> tuple[Content, ...]:
    examples = aside(f"for example {', '.join(each.examples)}") if each.examples else ""
    return each.rule, joined((each.text, examples)), verdict(each.verdict)
