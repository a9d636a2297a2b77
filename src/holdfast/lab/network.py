"""The lab's network: one bridge, and a way out to the package registry."""

import ipaddress
import json
from pathlib import Path
from typing import Any

from holdfast.lab.host import LABS, STATE, Say, attempt, locked, program, run
from holdfast.lab.plan import LabError, LabPlan, bridge_mac, bridge_name, gateway, prefix_length, table_name

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# What ip_forward was before the first lab; put back by the last one.
IP_FORWARD_BEFORE = STATE / "ip_forward.before"
DEFAULT_MTU = 1500
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def ensure(plan: LabPlan, say: Say) -> None:
    """Make what is missing of the bridge, its address and the way out. Raises LabError on an overlap."""
    with locked("network", say):
        refuse_overlap(plan)
        _ensure_bridge(plan)
        _ensure_way_out(plan)


def remove(lab: str, say: Say) -> None:
    """Remove the bridge and the way out of `lab`, whatever is there of them."""
    with locked("network", say):
        remove_link(bridge_name(lab))
        attempt(["nft", "delete", "table", "ip", table_name(lab)])
        _close_forwarding(bridge_name(lab))
        if not any(path.name != lab for path in LABS.glob("*")):
            _restore_forwarding()


def remove_link(name: str) -> None:
    """Delete a network interface if it is there."""
    if Path("/sys/class/net", name).exists():
        attempt(["ip", "link", "delete", name])


def refuse_overlap(plan: LabPlan) -> None:
    """Raise LabError when an interface of this computer already has addresses of the lab's network."""
    for name, taken in overlaps(plan, json.loads(run(["ip", "-json", "-4", "address"]))):
        raise LabError(
            f"network {plan.network} of lab {plan.name} overlaps {taken} on {_owner(name)}: "
            "choose another network, or take that one down first"
        )


def overlaps(plan: LabPlan, interfaces: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Interface and address of all that overlaps, out of what `ip -json address` prints."""
    network = ipaddress.IPv4Network(plan.network)
    found = []
    for interface in interfaces:
        for address in interface.get("addr_info", []):
            taken = ipaddress.IPv4Interface(f"{address['local']}/{address['prefixlen']}")
            if interface["ifname"] != bridge_name(plan.name) and taken.network.overlaps(network):
                found.append((interface["ifname"], str(taken)))
    return found


def _owner(interface: str) -> str:
    labs = [path.name for path in LABS.glob("*") if bridge_name(path.name) == interface]
    return f"the network of lab {labs[0]} (interface {interface})" if labs else f"interface {interface}"


def _ensure_bridge(plan: LabPlan) -> None:
    bridge = bridge_name(plan.name)
    if not Path("/sys/class/net", bridge).exists():
        run(["ip", "link", "add", bridge, "address", bridge_mac(plan.name), "type", "bridge"])
    run(["ip", "link", "set", bridge, "mtu", str(uplink_mtu()), "up"])
    run(["ip", "address", "replace", f"{gateway(plan)}/{prefix_length(plan)}", "dev", bridge])


def uplink_mtu() -> int:
    """The MTU of the way out in bytes: a larger one in the machines would lose big packets."""
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "default"]))
    mtus = [int(Path("/sys/class/net", route["dev"], "mtu").read_text()) for route in routes if "dev" in route]
    return min([DEFAULT_MTU, *mtus])


def _ensure_way_out(plan: LabPlan) -> None:
    if not IP_FORWARD_BEFORE.exists():
        IP_FORWARD_BEFORE.write_text(IP_FORWARD.read_text())
    IP_FORWARD.write_text("1\n")
    run(["nft", "-f", "-"], stdin=nft_rules(plan))
    _open_forwarding(bridge_name(plan.name))


def nft_rules(plan: LabPlan) -> str:
    """The lab's table, written so that loading it twice is the same as once."""
    table = table_name(plan.name)
    return f"""
table ip {table}
delete table ip {table}
table ip {table} {{
  chain way_out {{
    type nat hook postrouting priority srcnat;
    ip saddr {plan.network} oifname != "{bridge_name(plan.name)}" masquerade
  }}
}}
"""


def _open_forwarding(bridge: str) -> None:
    """Docker and ufw drop what they do not know, between machines too: accept what crosses the lab's bridge."""
    if not program("iptables") or "-P FORWARD DROP" not in attempt(["iptables", "-S", "FORWARD"]).stdout:
        return
    _close_forwarding(bridge)
    for rule in _forward_rules(bridge):
        run(["iptables", "--wait", "-I", "FORWARD", *rule])


def _close_forwarding(bridge: str) -> None:
    if program("iptables"):
        for rule in _forward_rules(bridge):
            while attempt(["iptables", "--wait", "-D", "FORWARD", *rule]).returncode == 0:
                pass


def _forward_rules(bridge: str) -> tuple[list[str], list[str]]:
    return ["-i", bridge, "-j", "ACCEPT"], ["-o", bridge, "-j", "ACCEPT"]


def _restore_forwarding() -> None:
    if IP_FORWARD_BEFORE.exists():
        IP_FORWARD.write_text(IP_FORWARD_BEFORE.read_text())
        IP_FORWARD_BEFORE.unlink()


def resolv_conf() -> str:
    """A resolv.conf for machines: this computer's, without resolvers that only it can reach."""
    candidates = [reachable(path.read_text()) for path in RESOLVERS if path.exists()]
    usable = [lines for lines in candidates if any(line.startswith("nameserver") for line in lines)]
    return "\n".join(usable[0] if usable else []) + "\n"


def reachable(text: str) -> list[str]:
    """The lines of a resolv.conf without the resolvers on the loopback."""
    return [line for line in text.splitlines() if not line.startswith(("nameserver 127.", "nameserver ::1"))]
