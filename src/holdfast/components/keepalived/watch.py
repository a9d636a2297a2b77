"""Who holds the floating address."""

from collections.abc import Mapping

from holdfast.components.keepalived.build import UNIT
from holdfast.model.component import Context
from holdfast.model.member import Member
from holdfast.model.watch import Output, Probe, Reading, State

HOLDER, STANDBY = "holder", "standby"


def probes(context: Context) -> tuple[Probe, ...]:
    """Whether the address is on an interface of this host, and whether keepalived runs."""
    address = f"{context.spec.entry.vip}/32"
    return (
        Probe("address", ("ip", "-oneline", "-4", "address", "show", "to", address), read_address, units=(UNIT,)),
        Probe("vrrp", ("systemctl", "is-active", UNIT), read_vrrp, units=(UNIT,)),
    )


def read_address(output: Output) -> Reading:
    """Read the listing of addresses: any line means that this host holds it."""
    if output.exit_code:
        return Reading(State.UNKNOWN, reason=f"the addresses cannot be listed: {output.stderr.strip()}")
    words = output.stdout.split()
    return Reading(State.OK, HOLDER, facts={"interface": words[1]}) if words else Reading(State.OK, STANDBY)


def read_vrrp(output: Output) -> Reading:
    """Read what systemd says about keepalived."""
    state = output.stdout.strip()
    if state == "active":
        return Reading(State.OK)
    if state in ("activating", "reloading"):
        return Reading(State.STARTING, reason="keepalived is starting")
    return Reading(State.DOWN, reason=f"keepalived does not run ({state or output.stderr.strip()})")


def violations(readings: Mapping[Member, Reading]) -> tuple[str, ...]:
    """Two holders answer for one address: clients reach one or the other by chance."""
    holders = [member.host for member, reading in sorted(readings.items()) if reading.role == HOLDER]
    return (f"the floating address is held by {' and '.join(holders)} at once",) if len(holders) > 1 else ()
