"""The machines' own journals of a drill: read in one round trip, and what they tell of a failover."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from holdfast.design.design import Design
from holdfast.drills.clocks import Clock
from holdfast.drills.record import Moment
from holdfast.model.fault import Milestone
from holdfast.model.member import Member
from holdfast.model.parts import Unit, value
from holdfast.runner.fleet import probes_of
from holdfast.wire.base import Wire

FIELDS = "MESSAGE,_SYSTEMD_UNIT,UNIT,SYSLOG_IDENTIFIER"
TIMEOUT_S = 30.0
# The phases of a failover, and after which others each comes.
PHASES = {"detect": (), "elect": ("detect",), "promote": ("detect", "elect"), "route": ("detect",)}
# Lines of a secret (a key has many) shorter than this are common words of its format.
SECRET_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a machine's journal, placed on the drill's clock."""

    at_s: float
    wall_s: float
    host: str
    unit: str
    text: str


def units_of(design: Design, member: Member) -> tuple[str, ...]:
    """Return the units whose journal is a member's: those it has, those its probes name, those of its milestones."""
    own = [part.name for part in design.parts[member] if isinstance(part, Unit)]
    probed = [unit for probe in probes_of(design, member) for unit in probe.units]
    steps = [each.unit for each in design.components[member.component].milestones]
    return tuple(dict.fromkeys([*own, *probed, *steps]))


async def read_journal(
    wire: Wire, host: str, units: Iterable[str], clock: Clock, since_s: float
) -> tuple[Entry, ...]:
    """Return what the units of a host wrote since a moment of the drill's clock. Raises WireError."""
    chosen = [word for unit in units for word in ("-u", unit)]
    since = f"--since=@{clock.wall_at(since_s):.3f}"
    argv = ["journalctl", "--no-pager", "--output=json", f"--output-fields={FIELDS}", since, *chosen]
    done = await wire.run(argv, timeout_s=TIMEOUT_S)
    return entries(done.stdout, host, clock)


def entries(text: str, host: str, clock: Clock) -> tuple[Entry, ...]:
    """Return the entries of a journal in JSON lines; what is no entry is left out."""
    found = (_entry(line, host, clock) for line in text.splitlines())
    return tuple(each for each in found if each is not None)


def _entry(line: str, host: str, clock: Clock) -> Entry | None:
    try:
        data: dict[str, Any] = json.loads(line)
        wall_s = int(data["__REALTIME_TIMESTAMP"]) / 1e6
    except (ValueError, KeyError, TypeError):
        return None
    # What systemd says of a unit stands in the journal of process 1.
    unit = data.get("UNIT") or data.get("_SYSTEMD_UNIT") or ""
    return Entry(clock.at_wall(wall_s), wall_s, host, str(unit), _text(data.get("MESSAGE")))


def _text(message: object) -> str:
    # Bytes that are no text come as a list of numbers, a message that is too long as nothing.
    if isinstance(message, list):
        return bytes(each for each in message if isinstance(each, int)).decode(errors="replace")
    return message if isinstance(message, str) else ""


def milestones(
    journal: Iterable[Entry], wanted: Sequence[Milestone], window: tuple[float, float]
) -> tuple[tuple[Milestone, Entry], ...]:
    """Return the entries within a window that are steps of a failover, in the order of time."""
    begin_s, end_s = window
    patterns = [(each, re.compile(each.pattern)) for each in wanted]
    found = [
        (step, entry)
        for entry in journal
        if begin_s <= entry.at_s <= end_s
        for step, pattern in patterns
        if step.unit == entry.unit and pattern.search(entry.text)
    ]
    return tuple(sorted(found, key=lambda each: each[1].at_s))


def milestone_moments(found: Iterable[tuple[Milestone, Entry]]) -> tuple[Moment, ...]:
    """Return steps of a failover as moments."""
    return tuple(Moment(entry.at_s, "milestone", f"{step.phase}: {entry.text}", entry.host) for step, entry in found)


def phases(found: Iterable[tuple[Milestone, Entry]], fault_s: float) -> dict[str, float]:
    """Return the seconds from a fault to the first step of each phase that comes after the phase before it.

    Who leads clients may learn of the new leader before it accepts writes: then clients are led there when it does.
    """
    steps = sorted((entry.at_s, step.phase) for step, entry in found)
    moments: dict[str, float] = {}
    for phase, after in PHASES.items():
        edge_s = max([fault_s, *(moments[each] for each in after if each in moments)])
        if times_s := [at_s for at_s, name in steps if name == phase and at_s >= edge_s]:
            moments[phase] = times_s[0]
    if {"promote", "route"} <= moments.keys():
        moments["route"] = max(moments["promote"], moments["route"])
    return {phase: at_s - fault_s for phase, at_s in moments.items()}


def failover_steps(design: Design, layer: str = "database") -> tuple[Milestone, ...]:
    """Return the milestones of a layer's engine, and of those that lead clients to it."""
    own = [each for each in design.components.values() if each.layer == layer]
    guides = [each for each in design.components.values() if not each.layer]
    steps = [step for each in own for step in each.milestones]
    return (*steps, *(step for each in guides for step in each.milestones if step.phase == "route"))


def text_of(journal: Iterable[Entry], units: Sequence[str]) -> str:
    """Return the journal of some units as lines: the machine's time (UTC), seconds of the drill, unit, message."""
    own = sorted((each for each in journal if each.unit in units), key=lambda each: each.at_s)
    return "".join(f"{_utc(each.wall_s)}  {each.at_s:10.3f}  {each.unit}  {each.text}\n" for each in own)


def _utc(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).strftime("%H:%M:%S.%f")[:-3]


def masked(text: str, hidden: Mapping[str, str]) -> str:
    """Return a text in which the name stands for every hidden value. ``hidden``: value → name."""
    for secret, name in sorted(hidden.items(), key=lambda each: -len(each[0])):
        for line in secret.splitlines():
            if len(line) >= SECRET_LENGTH:
                text = text.replace(line, value(name))
    return text
