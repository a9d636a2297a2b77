"""The status of a cluster on one screen: the summary first, the problems last, violations loudest."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from holdfast.console.looks import HEALTH, LEADING_ROLES, STATES, by_urgency
from holdfast.console.page import BLANK, Line, Page, columns, say
from holdfast.console.words import clean, counted, listed, plural, unique
from holdfast.design.judge import Status
from holdfast.model.member import Member
from holdfast.model.watch import Reading, State


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not well: of a member, or of a whole host that does not answer."""

    subject: str
    state: State
    reason: str
    remedy: str


@dataclass(frozen=True)
class StatusView:
    """A status that takes the form which fits the width: a grid of hosts, or one line per component."""

    status: Status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines, for rich."""
        grid = _grid(self.status)
        fits = max(line.text.cell_len for line in grid) <= options.max_width
        trouble = (*_trouble(problems(self.status)), *_violations(self.status.violations))
        yield Page((headline(self.status), BLANK, *(grid if fits else _roll(self.status)), *trouble))


def status_lines(status: Status) -> RenderableType:
    """Return a status as one screen of text."""
    return StatusView(status)


def headline(status: Status) -> Line:
    """Return the summary line: cluster, health, holder of the floating address, design, members by state."""
    look = HEALTH[status.health]
    line = Text.assemble((f"{look.symbol} {status.health.upper()}", look.style), "  ", (status.cluster, "bold"))
    if status.vip:
        held = f"{status.vip} on {status.vip_holder}" if status.vip_holder else f"{status.vip} on no host"
        line.append("   ").append(held, "" if status.vip_holder else "bold red")
    hosts = counted(len(_hosts(status)), "host")
    line.append(f"   {counted(len(status.members), 'member')} on {hosts}: {_tally(status)}")
    return Line(line.append(f"   design {status.digest[:12]}", "dim"), 2)


def _tally(status: Status) -> str:
    counts = Counter(reading.state for _, reading in status.members)
    return ", ".join(f"{counts[state]} {state.value}" for state in sorted(counts, key=by_urgency)) or "none"


def _hosts(status: Status) -> tuple[str, ...]:
    return tuple(sorted({member.host for member, _ in status.members}))


def _components(status: Status) -> tuple[str, ...]:
    return unique(member.component for member, _ in status.members)


def _cell(reading: Reading | None) -> Text:
    if reading is None:
        return Text("")
    look = STATES[reading.state]
    words = reading.role or ("" if reading.state is State.OK else reading.state.value)
    style = "bold" if reading.role in LEADING_ROLES else "" if reading.role else look.style
    return Text.assemble((look.symbol, look.style), f" {words}" if not style else (f" {words}", style))


def _grid(status: Status) -> tuple[Line, ...]:
    readings = dict(status.members)
    hosts = _hosts(status)
    head = [Text(), *(Text(host, "bold") for host in hosts)]
    rows = [
        [Text(name), *(_cell(readings.get(Member(name, host))) for host in hosts)] for name in _components(status)
    ]
    return columns([head, *rows], indent=2)


def _roll(status: Status) -> tuple[Line, ...]:
    rows = []
    for name in _components(status):
        own = [(member, reading) for member, reading in status.members if member.component == name]
        rows.append([Text(name), _counts(reading.state for _, reading in own), _roles(own)])
    return columns(rows, indent=2)


def _counts(states: Iterable[State]) -> Text:
    counts = Counter(states)
    parts = [
        Text(f"{STATES[state].symbol} {counts[state]}", STATES[state].style)
        for state in sorted(counts, key=by_urgency)
    ]
    return Text("  ").join(parts)


def _roles(members: Iterable[tuple[Member, Reading]]) -> Text:
    holders: dict[str, list[str]] = {}
    for member, reading in members:
        if reading.role:
            holders.setdefault(reading.role, []).append(member.host)
    leading_first = sorted(holders, key=lambda role: (role not in LEADING_ROLES, role))
    return Text(", ").join(_role(role, holders[role]) for role in leading_first)


def _role(role: str, hosts: list[str]) -> Text:
    if role in LEADING_ROLES or len(hosts) == 1:
        return Text(f"{role} {listed(hosts)}", "bold" if role in LEADING_ROLES else "")
    return Text(f"{len(hosts)} {plural(role)}")


def problems(status: Status) -> tuple[Problem, ...]:
    """Return what is not well, the most urgent last; members of a silent host are told as one."""
    by_host: dict[str, dict[Member, Reading]] = {}
    for member, reading in status.members:
        by_host.setdefault(member.host, {})[member] = reading
    found = [each for host, readings in sorted(by_host.items()) for each in _problems_on(host, readings)]
    silent = any(each.subject.startswith(_HOST) for each in found)
    # While a host is away the others sort themselves out: looking again is what helps, not an apply.
    told = [replace(each, remedy=_WATCH) if silent and not each.subject.startswith(_HOST) else each for each in found]
    return tuple(sorted(told, key=lambda each: by_urgency(each.state)))


def _problems_on(host: str, readings: Mapping[Member, Reading]) -> tuple[Problem, ...]:
    reasons = {(reading.state, reading.reason) for reading in readings.values()}
    if len(readings) > 1 and len(reasons) == 1:
        ((state, reason),) = reasons
        return () if state is State.OK else (_silent(host, state, reason),)
    return tuple(
        Problem(member.name, reading.state, clean(reading.reason), _remedy(reading.state))
        for member, reading in readings.items()
        if reading.state is not State.OK
    )


def _silent(host: str, state: State, reason: str) -> Problem:
    remedy = f"see to its power and network (in the lab: holdfast lab power on {host})"
    return Problem(f"{_HOST}{host}", state, clean(reason), remedy if state is not State.STARTING else _WATCH)


_HOST = "host "
_WATCH = "holdfast status --watch"
_COMPARE = "holdfast plan says whether the machine differs from the design; holdfast apply repairs that"


def _remedy(state: State) -> str:
    return {State.STARTING: _WATCH, State.DEGRADED: _COMPARE, State.DOWN: _COMPARE}.get(state, "")


def _trouble(found: tuple[Problem, ...]) -> Iterable[Line]:
    if not found:
        return
    yield BLANK
    yield say((counted(len(found), "problem"), "bold"))
    yield from columns((_problem(each) for each in found), indent=2)
    for remedy in unique(each.remedy for each in found if each.remedy):
        whom = listed([each.subject for each in found if each.remedy == remedy], limit=4)
        yield say((f"→ {whom}: {remedy}", "cyan"), indent=2, hang=2)


def _problem(each: Problem) -> tuple[Text, ...]:
    look = STATES[each.state]
    subject = Text.assemble((look.symbol, look.style), " ", (each.subject, "bold"))
    return subject, Text(each.state.value, look.style), Text(each.reason or "no reason given")


def _violations(sentences: tuple[str, ...]) -> Iterable[Line]:
    if not sentences:
        return
    yield BLANK
    yield say((" SAFETY VIOLATED ", "bold white on red"))
    for sentence in sentences:
        yield say((f"✖ {clean(sentence)}", "bold red"), indent=2, hang=2)
    yield say(("→ keep the evidence before anything is changed: holdfast status -o json", "cyan"), indent=2, hang=2)
