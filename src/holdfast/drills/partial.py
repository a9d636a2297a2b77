"""Partial cuts: a host reaches some of what the others offer, and not the rest. Done over SSH, in its own kernel.

Only packets to and from the other hosts of the cluster are dropped. SSH passes, clients pass, and so does VRRP: who
holds the floating address is another question.
"""

from collections.abc import Callable, Iterable

from holdfast.design.design import Design
from holdfast.drills.targets import offering
from holdfast.model.blows import drop_packets
from holdfast.model.component import Declaration
from holdfast.model.fault import Aim, Blow, Fault, Ground

_DROP = "counter drop"
_VRRP = "ip protocol 112 accept"
_SERVES = "clients are served within the promised time, and nothing acknowledged is lost"
# Host, its peers' addresses, the second host's address or "": the rules for what comes in and for what goes out.
_Rules = Callable[[str, str], tuple[tuple[str, ...], tuple[str, ...]]]


def partial_faults(design: Design) -> tuple[Fault, ...]:
    """Return the partial cuts that a design's layers allow."""
    dcs, sql = ports_of(design, "dcs"), _served(design, "sql")
    ssh = design.spec.ssh.port
    if not dcs or not sql:
        return ()
    return (
        _fault(
            design,
            "inside-no-dcs",
            "cut {hosts} off from the other members of the dcs, and from nothing else",
            "{hosts} reaches everybody, but no other member of the dcs",
            "leader",
            lambda others, _second: _only_without(others, dcs),
        ),
        _fault(
            design,
            "inside-only-dcs",
            "cut {hosts} off from the other hosts, but for their members of the dcs",
            "{hosts} reaches the dcs and nothing else of the other hosts",
            "leader",
            lambda others, _second: _all_but(ssh, others, *_either("", dcs)),
        ),
        _fault(
            design,
            "inside-only-sql",
            "cut the first of {hosts} off from the other hosts, but for its database's way to the second",
            "of {hosts} the first is cut off from everybody, the dcs included, but the second still streams from it",
            "leader+sync_standby",
            lambda others, second: _all_but(ssh, others, *_either(second, sql)),
        ),
    )


def ports_of(design: Design, kind: str) -> tuple[int, ...]:
    """Return all TCP ports of the members that offer a kind: for their clients, and among themselves."""
    peers = {peer.port for each in _declared(design, kind) for peer in each.peers if peer.protocol == "tcp"}
    return tuple(sorted({*_served(design, kind), *peers}))


def _served(design: Design, kind: str) -> tuple[int, ...]:
    offers = (offer for each in _declared(design, kind) for offer in each.offers)
    return tuple(sorted({offer.port for offer in offers if offer.kind == kind}))


def _declared(design: Design, kind: str) -> tuple[Declaration, ...]:
    """Return what the members that offer a kind declare."""
    spec = design.spec
    return tuple(
        design.components[member.component].declare(spec, spec.host(member.host)) for member in offering(design, kind)
    )


def _fault(design: Design, name: str, title: str, diagnosis: str, target: str, rules: _Rules) -> Fault:
    addresses = {host.name: host.address for host in design.spec.hosts}
    tag = name.replace("-", "_")

    def strike(aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
        first, *rest = aim.hosts
        if not rest and "+" in target:
            return ()
        others = _set(address for host, address in addresses.items() if host != first)
        return (drop_packets(first, tag, *rules(others, addresses[rest[0]] if rest else "")),)

    return Fault(name, title, target, _SERVES, diagnosis, strike, hold_s=40.0)


def _set(words: Iterable[object]) -> str:
    return f"{{ {', '.join(map(str, words))} }}"


def _only_without(others: str, ports: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = _set(ports)
    return (
        tuple(f"ip saddr {others} tcp {way} {found} {_DROP}" for way in ("dport", "sport")),
        tuple(f"ip daddr {others} tcp {way} {found} {_DROP}" for way in ("dport", "sport")),
    )


def _either(address: str, ports: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what lets a host (""; any) and this one speak at these ports, whoever of them serves."""
    source, target = (f"ip {way} {address} " if address else "" for way in ("saddr", "daddr"))
    found = _set(ports)
    return (
        tuple(f"{source}tcp {way} {found} accept" for way in ("dport", "sport")),
        tuple(f"{target}tcp {way} {found} accept" for way in ("dport", "sport")),
    )


def _all_but(
    ssh: int, others: str, incoming: tuple[str, ...], outgoing: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (
        (f"tcp dport {ssh} accept", _VRRP, *incoming, f"ip saddr {others} {_DROP}"),
        (f"tcp sport {ssh} accept", _VRRP, *outgoing, f"ip daddr {others} {_DROP}"),
    )
