"""Binding: needs meet offers; flows and the order of starting follow from that."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from holdfast.model.component import Component, Declaration, Flow, Need, Offer, Tie
from holdfast.model.member import Member
from holdfast.model.spec import Spec

Declarations = Mapping[Member, Declaration]


class BindError(Exception):
    """A need that nobody meets, or components that wait for each other; says which."""


def place(spec: Spec, components: Mapping[str, Component]) -> tuple[Member, ...]:
    """Return every member of the cluster, sorted."""
    return tuple(sorted(Member(name, host) for name, each in components.items() for host in each.place(spec)))


def declare(spec: Spec, members: Iterable[Member], components: Mapping[str, Component]) -> Declarations:
    """Return what every member offers and needs."""
    return {each: components[each.component].declare(spec, spec.host(each.host)) for each in members}


def tie(spec: Spec, declarations: Declarations) -> tuple[Tie, ...]:
    """Bind every need to all offers that meet it. Raises BindError for a need without offer."""
    return tuple(
        bound
        for client, declaration in sorted(declarations.items())
        for need in declaration.needs
        for bound in _meet(spec, declarations, client, need)
    )


def _meet(spec: Spec, declarations: Declarations, client: Member, need: Need) -> tuple[Tie, ...]:
    found = tuple(
        Tie(client, server, spec.host(server.host), offer, need)
        for server, declaration in sorted(declarations.items())
        for offer in declaration.offers
        if _fits(client, need, server, offer)
    )
    if not found and not need.optional:
        raise BindError(f"{client.name} needs {need.kind} ({need.scope} host) and nobody offers it")
    return found


def _fits(client: Member, need: Need, server: Member, offer: Offer) -> bool:
    return offer.kind == need.kind and (need.scope == "any" or server.host == client.host)


def flows(spec: Spec, declarations: Declarations, ties: Iterable[Tie]) -> tuple[Flow, ...]:
    """Return every connection that may be made in the cluster, sorted, each with its reason."""
    found = {*_public_flows(spec, declarations), *_tied_flows(ties), *_peer_flows(declarations)}
    return tuple(sorted(found, key=lambda flow: (flow.target, flow.protocol, flow.port, flow.source, flow.reason)))


def _public_flows(spec: Spec, declarations: Declarations) -> Iterable[Flow]:
    for host in spec.hosts:
        yield Flow("", host.name, "tcp", spec.ssh.port, "operators: SSH")
    for member, declaration in declarations.items():
        for offer in declaration.offers:
            if offer.public:
                yield Flow("", member.host, "tcp", offer.port, f"everybody: {offer.kind} of {member.component}")


def _tied_flows(ties: Iterable[Tie]) -> Iterable[Flow]:
    for each in ties:
        if each.need.flow and each.client.host != each.server.host and not each.offer.public:
            reason = f"{each.client.component} uses {each.offer.kind} of {each.server.component}"
            ports = (each.offer.port, *(int(each.offer.terms[term]) for term in each.need.extra_ports))
            for port in ports:
                yield Flow(each.client.host, each.server.host, "tcp", port, reason)


def _peer_flows(declarations: Declarations) -> Iterable[Flow]:
    for member, declaration in declarations.items():
        for other in declarations:
            if other.component == member.component and other.host != member.host:
                for peer in declaration.peers:
                    reason = f"{member.component} peers: {peer.reason}"
                    yield Flow(other.host, member.host, peer.protocol, peer.port, reason, peer.twice)


def stages(components: Mapping[str, Component], ties: Iterable[Tie]) -> tuple[tuple[str, ...], ...]:
    """Return groups of component names in the order they start; a group's components do not need each other.

    Ground components come before all others. Raises BindError when components wait for each other.
    """
    ground = {name for name, each in components.items() if each.ground}
    waits: dict[str, set[str]] = {name: set() if name in ground else set(ground) for name in components}
    for each in ties:
        if each.need.first and each.client.component != each.server.component:
            waits[each.client.component].add(each.server.component)
    sorter = TopologicalSorter(waits)
    try:
        sorter.prepare()
    except CycleError as error:
        raise BindError(f"components wait for each other: {' → '.join(error.args[1])}") from error
    return tuple(_groups(sorter))


def _groups(sorter: "TopologicalSorter[str]") -> Iterable[tuple[str, ...]]:
    while sorter.is_active():
        ready = tuple(sorted(sorter.get_ready()))
        yield ready
        sorter.done(*ready)
