"""VRRP on every edge host."""

import json

from holdfast.model.component import Context, Declaration, Need, Peer
from holdfast.model.parts import Effect, File, Package, Part, Unit
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import program, render

UNIT = "keepalived.service"
CONFIG = "/etc/keepalived/keepalived.conf"
TOOLS = "/usr/local/lib/holdfast"
INTERFACE, RELEASE, PROBE = f"{TOOLS}/vip-interface", f"{TOOLS}/vip-release", f"{TOOLS}/vip-probe"
# What looks after the host for keepalived: a service of its own.
WATCH, WATCH_UNIT, WATCH_FACTS = f"{TOOLS}/vip-watch", "vip-watch.service", "/etc/holdfast/vip.json"
RUN = "/run/holdfast-vip"
INTERFACE_FILE = "/run/holdfast-vip.conf"
VRRP_PROTOCOL = 112
# The first standby takes over after twelve silent adverts and the skew, 0.25 s; each further one 0.08 s later. With
# the same patience two become holder within a millisecond, and neighbours may remember the one that yields. Many
# small steps and not three of 0.1 s: on links that lose 30 % each way three in a row are lost every other second.
ADVERT_INTERVAL_S = 0.02
SILENT_ADVERTS, STEP_ADVERTS = 12, 4
# Points of the first host, what the holder has more than others, and what a failing check costs: a holder always
# outweighs those who come back, and a failing one is outweighed by everybody (at least 20 against at most 20).
FIRST_PRIORITY, HOLDER_BONUS, CHECK_COST = 120, 100, 200


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
        *_watch(context, values),
    )


def _watch(context: Context, values: dict[str, object]) -> tuple[Part, ...]:
    """Return the service that tells keepalived what it would otherwise start processes for."""
    facts = json.dumps(settings(context), indent=2, sort_keys=True) + "\n"
    unit = render(__package__, "watch.service.j2", program=WATCH, settings=WATCH_FACTS, **values)
    # It may be away for a moment at any time: the address stays where it is.
    return (
        Package("python3"),
        File(WATCH, program(__package__, "vip_watch"), mode=0o755, unit=WATCH_UNIT, effect=Effect.RELOAD),
        File(WATCH_FACTS, facts, unit=WATCH_UNIT, effect=Effect.RELOAD),
        File(f"/etc/systemd/system/{WATCH_UNIT}", unit, unit=WATCH_UNIT, effect=Effect.RELOAD),
        Unit(WATCH_UNIT),
    )


def settings(context: Context) -> dict[str, object]:
    """Return all that the service must know."""
    terms = context.tied("entry")[0].offer.terms
    return {
        "folder": RUN,
        "vip": context.spec.entry.vip,
        "port": int(terms["live_port"]),
        "name": terms["live_name"],
        "path": terms["live_path"],
        "others": [host.address for host in context.peers if host.name != context.host.name],
    }


def _tool(path: str, template: str, values: dict[str, object]) -> File:
    return File(path, render(__package__, template, **values), mode=0o755)


def _values(context: Context) -> dict[str, object]:
    vip = context.spec.entry.vip or ""
    entry = context.tied("entry")[0].offer
    place_in_line = context.peers.index(context.host)
    others = [host for host in context.peers if host.name != context.host.name]
    return {
        "host": context.host,
        "others": others,
        "vip": vip,
        "router_id": router_id(vip),
        "entry": entry.terms,
        "interface": context.spec.entry.interface,
        "advert_interval_s": ADVERT_INTERVAL_S,
        "silent_adverts": SILENT_ADVERTS + STEP_ADVERTS * place_in_line,
        "priority": priority(place_in_line, len(context.peers)),
        "holder_bonus": HOLDER_BONUS,
        "check_cost": CHECK_COST,
        "config": CONFIG,
        "watch_unit": WATCH_UNIT,
        "run": RUN,
        "run_name": RUN.rpartition("/")[2],
        "find_interface": INTERFACE,
        "release": RELEASE,
    }


def priority(place_in_line: int, hosts: int) -> int:
    """Return the VRRP priority of the host at a place in the line of succession, 0 for the first.

    Never the same twice: with equal ones two standbys answer a farewell of the holder at the same moment.
    """
    return FIRST_PRIORITY - place_in_line * min(30, 100 // hosts)


def router_id(vip: str) -> int:
    """Return the VRRP router id (1 to 255): the last number of the address, so two clusters rarely share one."""
    return int(vip.rsplit(".", 1)[-1]) or 255
