"""What a lab is to be, and every name that follows from it. Pure: no input or output."""

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

LAB_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
IMAGE_NAME_LENGTH = 16

Power = Literal["on", "off", "absent"]


class LabError(Exception):
    """The lab could not do what was asked; the message says what failed, why, and what to try."""


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """One machine: its host name and its IPv4 address, as the spec has them."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class LabPlan:
    """Everything a lab is made from."""

    name: str
    network: str
    machines: tuple[MachinePlan, ...]
    packages: tuple[str, ...]
    units_off: tuple[str, ...]
    authorized_key: str
    reserved: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MachineState:
    """How one machine is now; `pid` is its PID 1 seen from this computer, None when it has none."""

    name: str
    address: str
    power: Power
    pid: int | None


def short_hash(text: str) -> str:
    """Eight hex digits that stand for `text` where a kernel name has only 15 characters."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def bridge_name(lab: str) -> str:
    """The bridge all machines of `lab` are plugged into."""
    return f"hf-{short_hash(lab)}"


def table_name(lab: str) -> str:
    """The nft table that lets the machines of `lab` reach the outside."""
    return f"holdfast_{short_hash(lab)}"


def machine_id(lab: str, host: str) -> str:
    """A name no other machine of any lab has, short enough that nspawn does not cut `vb-NAME`."""
    return short_hash(f"{lab}/{host}")


def link_name(lab: str, host: str) -> str:
    """This computer's end of the machine's network cable."""
    return f"vb-{machine_id(lab, host)}"


def delayed_link_name(lab: str, host: str) -> str:
    """The plug in the bridge that stands in for `link_name` while the machine's frames are delayed."""
    return f"vd-{machine_id(lab, host)}"


def pump_link_name(lab: str, host: str) -> str:
    """The other end of `delayed_link_name`, where frames are put in and taken out."""
    return f"vp-{machine_id(lab, host)}"


def bridge_mac(lab: str) -> str:
    """A fixed address: else the bridge takes a port's, and changes it when that machine goes away."""
    digest = short_hash(lab)
    return ":".join(["02", "68", *(digest[at : at + 2] for at in range(0, 8, 2))])


def gateway(plan: LabPlan) -> str:
    """The first address of the network that nobody uses. Raises LabError when there is none."""
    taken = {machine.address for machine in plan.machines} | set(plan.reserved)
    for host in ipaddress.IPv4Network(plan.network).hosts():
        if str(host) not in taken:
            return str(host)
    raise LabError(f"network {plan.network} has no address left for the lab's gateway: use a larger network")


def layout(plan: LabPlan) -> dict[str, str]:
    """What cannot change while the lab is there: its network and every machine's address."""
    machines = {f"machine {machine.name}": machine.address for machine in plan.machines}
    return {"network": plan.network, "gateway": gateway(plan), **machines}


def refuse_change(lab: str, before: dict[str, str], now: dict[str, str]) -> None:
    """Raise LabError when a layout that is already made would have to change."""
    for what in sorted(before.keys() & now.keys()):
        if before[what] != now[what]:
            raise LabError(
                f"lab {lab} was made with {what} {before[what]} and should now have {now[what]}: "
                "run `holdfast lab down`, then `holdfast lab up`"
            )


def prefix_length(plan: LabPlan) -> int:
    """The network's prefix length in bits."""
    return ipaddress.IPv4Network(plan.network).prefixlen


def check(plan: LabPlan) -> None:
    """Raise LabError when the plan cannot be a lab."""
    if not LAB_NAME.fullmatch(plan.name):
        raise LabError(f"lab name {plan.name!r}: use up to 31 of a-z, 0-9 and '-', beginning with a letter")
    network = parse_network(plan.network)
    _check_unique([machine.name for machine in plan.machines], "machine name")
    _check_unique([machine.address for machine in plan.machines], "address")
    for machine in plan.machines:
        _check_machine(machine, network)
    if "\n" in plan.authorized_key.strip() or not plan.authorized_key.strip():
        raise LabError("the lab's SSH key must be one line, as in an .pub file")
    gateway(plan)


def parse_network(text: str) -> ipaddress.IPv4Network:
    """Raises LabError when `text` is no IPv4 network such as 10.77.0.0/24."""
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise LabError(f"network {text!r} is no IPv4 network ({error}): write it like 10.77.0.0/24") from None


def _check_unique(values: list[str], what: str) -> None:
    for value in values:
        if values.count(value) > 1:
            raise LabError(f"{what} {value} is used twice in this lab")


def _check_machine(machine: MachinePlan, network: ipaddress.IPv4Network) -> None:
    if not HOST_NAME.fullmatch(machine.name):
        raise LabError(f"machine name {machine.name!r}: use a-z, 0-9 and '-', at most 63")
    if machine.address not in map(str, network.hosts()):
        raise LabError(f"machine {machine.name}: {machine.address} is no host address of network {network}")
