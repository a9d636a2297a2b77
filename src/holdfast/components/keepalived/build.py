"""VRRP on every edge host."""

from holdfast.model.component import Context, Declaration, Need, Peer
from holdfast.model.parts import Effect, File, Package, Part, Unit
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import render

UNIT = "keepalived.service"
CONFIG = "/etc/keepalived/keepalived.conf"
TOOLS = "/usr/local/lib/holdfast"
CHECK, INTERFACE, RELEASE = f"{TOOLS}/vip-check", f"{TOOLS}/vip-interface", f"{TOOLS}/vip-release"
PROBE = f"{TOOLS}/vip-probe"
INTERFACE_FILE = "/run/holdfast-vip.conf"
VRRP_PROTOCOL = 112
# Three silent adverts and the skew: a dead holder is replaced after about 1.1 s.
ADVERT_INTERVAL_S = 0.3


def place(spec: Spec) -> tuple[str, ...]:
    """The edge hosts, when the spec asks for a floating address."""
    return spec.hosts_of("edge") if spec.entry.vip else ()


def declare(_spec: Spec, _host: Host) -> Declaration:
    """Needs the front door on its own host (that is what it checks), and talks VRRP to its peers."""
    adverts = Peer(VRRP_PROTOCOL, "VRRP adverts", "vrrp")
    return Declaration(needs=(Need("entry", scope="here"),), peers=(adverts,))


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one edge host."""
    values = {**_values(context), "interface_file": INTERFACE_FILE}
    return (
        Package("keepalived"),
        _tool(CHECK, "check.sh.j2", values),
        _tool(INTERFACE, "interface.sh.j2", values),
        _tool(RELEASE, "release.sh.j2", values),
        _tool(PROBE, "probe.sh.j2", values),
        File(
            CONFIG, render(__package__, "keepalived.conf.j2", **values), mode=0o640, unit=UNIT, effect=Effect.RELOAD
        ),
        File(
            f"/etc/systemd/system/{UNIT}.d/holdfast.conf",
            render(__package__, "keepalived.service.j2", **values),
            unit=UNIT,
            effect=Effect.RESTART,
        ),
        # The tool writes the file that the configuration includes, then has keepalived check both.
        Unit(UNIT, verify=(INTERFACE, "verify")),
    )


def _tool(path: str, template: str, values: dict[str, object]) -> File:
    return File(path, render(__package__, template, **values), mode=0o755)


def _values(context: Context) -> dict[str, object]:
    vip = context.spec.entry.vip or ""
    entry = context.tied("entry")[0].offer
    return {
        "host": context.host,
        "others": [host for host in context.peers if host.name != context.host.name],
        "vip": vip,
        "router_id": router_id(vip),
        "entry": entry.terms,
        "interface": context.spec.entry.interface,
        "advert_interval_s": ADVERT_INTERVAL_S,
        "config": CONFIG,
        "check": CHECK,
        "find_interface": INTERFACE,
        "release": RELEASE,
    }


def router_id(vip: str) -> int:
    """Return the VRRP router id (1 to 255): the last number of the address, so two clusters rarely share one."""
    return int(vip.rsplit(".", 1)[-1]) or 255
