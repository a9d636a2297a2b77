"""What ``status`` found during a drill, and when: the alarms an operator would have seen. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.design.judge import UNREACHABLE, Status
from holdfast.drills.record import Moment
from holdfast.model.member import Member
from holdfast.model.watch import Reading, State

# "4 MiB behind" and "5 MiB behind" are one finding.
_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; ``host``: where, "" for the whole cluster."""

    text: str
    host: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What stays the same while its figures change."""
        return self.host, _NUMBER.sub("#", self.text)


@dataclass(frozen=True, slots=True)
class Found:
    """All findings at one moment of the drill's clock, and the cluster's health."""

    at_s: float
    health: str
    findings: tuple[Finding, ...]


def found_in(status: Status, at_s: float) -> Found:
    """Return the findings of a status; a host that does not answer is one finding, not one for each member."""
    wrong = [(member, reading) for member, reading in status.members if reading.state is not State.OK]
    found = [Finding(sentence) for sentence in status.violations]
    found += [_finding(member, reading) for member, reading in wrong]
    return Found(at_s, status.health, tuple(dict.fromkeys(found)))


def _finding(member: Member, reading: Reading) -> Finding:
    if reading.facts == UNREACHABLE:
        return Finding(f"{member.host} does not answer", member.host)
    return Finding(f"{member.name}: {reading.reason or reading.state.value}", member.host)


def finding_moments(history: Sequence[Found]) -> tuple[Moment, ...]:
    """Return each finding from when to when it was there; what is there at the end has no end."""
    opened: dict[tuple[str, str], tuple[float, Finding]] = {}
    done: list[Moment] = []
    for each in history:
        now = {finding.key: finding for finding in each.findings}
        done += [_moment(*opened.pop(key), each.at_s) for key in [key for key in opened if key not in now]]
        opened = {key: (each.at_s, finding) for key, finding in now.items()} | opened
    done += [_moment(begun_s, finding, None) for begun_s, finding in opened.values()]
    return tuple(sorted(done, key=lambda moment: (moment.at_s, moment.text)))


def _moment(begun_s: float, finding: Finding, until_s: float | None) -> Moment:
    return Moment(begun_s, "finding", finding.text, finding.host, until_s)


def healths(history: Iterable[Found]) -> tuple[tuple[float, str], ...]:
    """Return when the health of the cluster changed, and to what."""
    found: list[tuple[float, str]] = []
    for each in history:
        if not found or found[-1][1] != each.health:
            found.append((each.at_s, each.health))
    return tuple(found)


def unreachable(members: Iterable[Member], reason: str) -> Mapping[Member, Reading]:
    """Return the readings of members whose host does not answer."""
    silent = Reading(State.DOWN, reason=f"host unreachable: {reason}", facts=UNREACHABLE)
    return dict.fromkeys(members, silent)
