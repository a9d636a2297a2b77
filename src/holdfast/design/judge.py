"""Judging: what the readings of all members together say about the cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.design.design import Design
from holdfast.model.member import Member
from holdfast.model.watch import Reading, State

HEALTHY = "healthy"
DEGRADED = "degraded"
DOWN = "down"
UNSAFE = "unsafe"
UNKNOWN = "unknown"
# The facts of a reading of which only is known that its host does not answer.
UNREACHABLE = {"host": "unreachable"}


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a cluster at one moment, compared with its design."""

    cluster: str
    digest: str
    health: str
    vip: str
    vip_holder: str
    members: tuple[tuple[Member, Reading], ...]
    violations: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the status as stable JSON data (``schema_version`` 1)."""
        return {
            "schema_version": 1,
            "cluster": self.cluster,
            "digest": self.digest,
            "health": self.health,
            "vip": self.vip or None,
            "vip_holder": self.vip_holder or None,
            "violations": list(self.violations),
            "members": [
                {
                    "name": member.name,
                    "host": member.host,
                    "component": member.component,
                    "role": reading.role,
                    "state": reading.state.value,
                    "reason": reading.reason,
                    "facts": dict(reading.facts),
                }
                for member, reading in self.members
            ],
        }


def judge(design: Design, readings: Mapping[Member, Reading]) -> Status:
    """Return the status of a cluster from the reading of every member; a missing one counts as unknown."""
    whole = {each: readings.get(each, Reading(State.UNKNOWN, reason="not asked")) for each in design.members}
    violations = tuple(
        sentence
        for name, component in design.components.items()
        for sentence in component.violations({each: whole[each] for each in design.of(name)})
    )
    return Status(
        cluster=design.spec.name,
        digest=design.digest,
        health=_health(design, whole, violations),
        vip=design.spec.entry.vip or "",
        vip_holder=next((each.host for each, reading in whole.items() if reading.role == "holder"), ""),
        members=tuple(whole.items()),
        violations=violations,
    )


def _health(design: Design, readings: Mapping[Member, Reading], violations: tuple[str, ...]) -> str:
    states = [reading.state for reading in readings.values()]
    if violations:
        return UNSAFE
    if all(reading.state is State.UNKNOWN or reading.facts == UNREACHABLE for reading in readings.values()):
        # Nobody answers: that may be our own network as well.
        return UNKNOWN
    if any(_all_down(design, name, readings) for name in design.components):
        return DOWN
    # Every member may be well while nobody holds the floating address: just after a start, or by a fault.
    held = not design.spec.entry.vip or any(reading.role == "holder" for reading in readings.values())
    return HEALTHY if held and all(state is State.OK for state in states) else DEGRADED


def _all_down(design: Design, component: str, readings: Mapping[Member, Reading]) -> bool:
    return all(readings[each].state in (State.DOWN, State.UNKNOWN) for each in design.of(component))


def what_is_wrong(status: Status | None) -> str:
    """Return what is wrong in a few words, for somebody who waits; None: no answer has come yet."""
    if status is None:
        return "nobody has answered yet"
    sick = [
        f"{member.name}: {reading.reason or reading.state}"
        for member, reading in status.members
        if reading.state is not State.OK
    ]
    more = f" and {len(sick) - 2} more" if len(sick) > 2 else ""
    return "; ".join([*status.violations, *sick[:2]]) + more or status.health


def worst(readings: tuple[Reading, ...]) -> Reading:
    """Return the reading that matters most of one member's probes; roles come from the first that has one."""
    order = (State.OK, State.STARTING, State.DEGRADED, State.UNKNOWN, State.DOWN)
    chosen = max(readings, key=lambda reading: order.index(reading.state))
    role = next((reading.role for reading in readings if reading.role), "")
    facts = {key: text for reading in readings for key, text in reading.facts.items()}
    return Reading(chosen.state, role, chosen.reason, facts)
