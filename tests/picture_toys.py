"""A cluster of toy components with a floating address, as the console's tests show it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network

from holdfast.design.design import Design, make_design
from holdfast.design.judge import Status, judge
from holdfast.model.component import Component, Declaration, Need, Offer, Peer
from holdfast.model.member import Member
from holdfast.model.spec import Durability, EntryOptions, Host, Layer, Promises, Spec, Ssh
from holdfast.model.watch import Reading, State

DOOR = Declaration((Offer("entry", 443, public=True),), (Need("http", first=False),))
WEB = Declaration((Offer("http", 8000),), (Need("sql"), Need("lock", flow=False)))
STORE = Declaration((Offer("sql", 5432),), (Need("lock"),), (Peer(5432, "replication"),))
LOCK = Declaration((Offer("lock", 2379),), (Need("http", scope="here", first=False),))


def toy(name: str, declaration: Declaration = Declaration(), layer: str = "", ground: bool = False) -> Component:
    return Component(
        name=name,
        layer=layer,
        ground=ground,
        place=lambda spec: spec.hosts_of(layer) if layer else tuple(host.name for host in spec.hosts),
        declare=lambda _spec, _host: declaration,
        build=lambda _context: (),
        lead_roles=("leader",) if name == "store" else (),
    )


TOYS = {
    each.name: each
    for each in (
        toy("door", DOOR, "edge"),
        toy("floor", ground=True),
        toy("lock", LOCK, "dcs"),
        toy("store", STORE, "database"),
        toy("web", WEB, "app"),
    )
}


def make(names: Sequence[str] = "abc", zones: int = 3, vip: str | None = "10.0.0.100") -> Design:
    hosts = tuple(Host(name, f"10.0.0.{11 + i}", f"rack{i % zones + 1}") for i, name in enumerate(names))
    every = tuple(host.name for host in hosts)
    layers = {
        each.layer: Layer(each.layer, each.name, every, EntryOptions(vip=vip)) for each in TOYS.values() if each.layer
    }
    promises = Promises(30.0, 0.0, Durability.AVAILABILITY)
    return make_design(Spec("toy", IPv4Network("10.0.0.0/24"), hosts, layers, promises, Ssh("root", 22, "")), TOYS)


def well(design: Design) -> dict[Member, Reading]:
    first = design.spec.hosts[0].name
    roles = {"store": ("leader", "replica"), "door": ("holder", "standby")}
    return {
        each: Reading(State.OK, roles.get(each.component, ("", ""))[each.host != first]) for each in design.members
    }


def status_of(design: Design, ill: Mapping[Member, Reading] | None = None) -> Status:
    return replace(judge(design, well(design) | dict(ill or {})), digest="0123456789abcdef")


def host_down(design: Design, host: str) -> dict[Member, Reading]:
    return {each: Reading(State.DOWN, reason="host unreachable: timed out") for each in design.on(host)}
