"""Who holds the floating address."""

from collections.abc import Mapping

from holdfast.components.keepalived.build import PROBE, UNIT, WATCH_UNIT
from holdfast.model.component import Context
from holdfast.model.member import Member
from holdfast.model.watch import Output, Probe, Reading, State

HOLDER, STANDBY = "holder", "standby"


def probes(_context: Context) -> tuple[Probe, ...]:
    """Whether keepalived runs, and whether the address is on an interface of this host."""
    return (Probe("vrrp", (PROBE,), read_vrrp, units=(UNIT, WATCH_UNIT)),)


def read_vrrp(output: Output) -> Reading:
    """Read ``unit=`` and ``watch=``, systemd's words, and ``address=``, the interface that has it (empty: none)."""
    facts = dict(line.split("=", 1) for line in output.stdout.splitlines() if "=" in line)
    if output.exit_code or "unit" not in facts:
        return Reading(State.UNKNOWN, reason=f"the host could not be asked: {output.stderr.strip() or 'no answer'}")
    role = HOLDER if facts.get("address") else STANDBY
    if facts["unit"] == "active" and facts.get("watch") == "active":
        return Reading(State.OK, role, facts=facts)
    if facts["unit"] == "active":
        why = "vip-watch does not run: the address would stay on this host although its front door does not answer"
        return Reading(State.DEGRADED, role, why, facts)
    if facts["unit"] in ("activating", "reloading"):
        return Reading(State.STARTING, role, "keepalived is starting", facts)
    return Reading(State.DOWN, role, f"keepalived does not run ({facts['unit']})", facts)


def violations(readings: Mapping[Member, Reading]) -> tuple[str, ...]:
    """Two holders answer for one address: clients reach one or the other by chance."""
    holders = [member.host for member, reading in sorted(readings.items()) if reading.role == HOLDER]
    return (f"the floating address is held by {' and '.join(holders)} at once",) if len(holders) > 1 else ()
