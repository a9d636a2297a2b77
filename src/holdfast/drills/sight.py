"""From what streams told to what was seen: answers on the drill's clock, blind times, cost. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from holdfast.drills.clocks import Clock
from holdfast.drills.invariants import BRIDGE_S, Sample
from holdfast.drills.lookout import Log
from holdfast.drills.record import Moment
from holdfast.model.watch import Watch


@dataclass(frozen=True, slots=True)
class Answers:
    """How answers are read: the watches by key, the role of the address, and whose hardware address is which."""

    watches: Mapping[str, Watch]
    address_role: str
    macs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    """What watching cost on one machine, in shares of one CPU core.

    ``roles``: asking several times a second (without what the engines spend on their answers). ``status``: the
    probes of status every few seconds.
    """

    roles: float
    status: float


def samples_of(log: Log, place: str, answers: Answers) -> tuple[Sample, ...]:
    """Return all that a stream told as samples on the drill's clock; none without a reading of its clocks."""
    clock = log.clock
    if clock is None:
        return ()
    found: list[Sample] = []
    for event in log.seen:
        found += (_of_watch(place, answers.watches[key], rest, clock) for key, *rest in event["answers"])
        if event["arp"]:
            asked_s, answered_s, macs = event["arp"]
            holders = tuple(answers.macs.get(mac, mac) for mac in macs)
            found.append(Sample(answers.address_role, place, holders, clock.at(asked_s), clock.at(answered_s)))
    return tuple(each for each in found if each.role)


def _of_watch(place: str, watch: Watch, answer: Sequence[float | str], clock: Clock) -> Sample:
    asked_s, answered_s, text = float(answer[0]), float(answer[1]), str(answer[2])
    held = watch.read(text)
    # An unreadable answer is none.
    role = watch.role if held else ""
    holders = (place,) if held and held.here else ()
    return Sample(role, place, holders, clock.at(asked_s), clock.at(answered_s), held.mark if held else "")


def error_of(logs: Iterable[Log]) -> float:
    """Return how far off the times of a machine may be."""
    return max((log.clock.error_s for log in logs if log.clock), default=0.0)


def blind_times(place: str, logs: Iterable[Log], begin_s: float, end_s: float) -> tuple[Moment, ...]:
    """Return when a machine was not watched: times without any event."""
    marks = [moment_s for log in logs for moment_s in _moments(log) if begin_s <= moment_s <= end_s]
    return tuple(
        Moment(before, "blind", f"{place} was not watched", place, after)
        for before, after in pairwise([begin_s, *sorted(marks), end_s])
        if after - before > BRIDGE_S
    )


def _moments(log: Log) -> list[float]:
    clock = log.clock
    if clock is None:
        return []
    return [clock.at(event["mono_s"]) for event in log.seen]


def costs_of(logs: Sequence[Log]) -> Cost:
    """Return what watching cost: the CPU seconds of all streams, shared out over the time they ran."""
    ran_s = sum(log.ticks[-1].here_s - log.begun_s for log in logs if log.ticks)
    kept_s = sum(log.cost.get("own_cpu_s", 0.0) + log.cost.get("kept_cpu_s", 0.0) for log in logs)
    ended_s = sum(log.cost.get("ended_cpu_s", 0.0) for log in logs)
    return Cost(kept_s / ran_s, ended_s / ran_s) if ran_s else Cost(0.0, 0.0)
