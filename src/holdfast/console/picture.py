"""What a picture of a design shows: its rows from the front door down, and who uses whom. Names no engine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from holdfast.console.words import unique
from holdfast.design.design import Design
from holdfast.model.component import Offer, Tie
from holdfast.model.member import Member


@dataclass(frozen=True, slots=True)
class Link:
    """All ties of one kind between two members; ``flow``: a connection is made, not only terms taken."""

    client: Member
    server: Member
    kind: str
    ports: tuple[int, ...]
    here: bool
    flow: bool

    @property
    def sentence(self) -> str:
        """The reason of the link in words."""
        ports = ", ".join(map(str, self.ports))
        verb = "uses" if self.flow else "takes the terms of"
        return f"{self.client.name} {verb} {self.kind} of {self.server.name} (port {ports})"


def links(design: Design) -> tuple[Link, ...]:
    """Return who uses whom, each pair and kind once."""
    grouped: dict[tuple[Member, Member, str], list[Tie]] = {}
    for tie in design.ties:
        grouped.setdefault((tie.client, tie.server, tie.offer.kind), []).append(tie)
    return tuple(_link(ties) for ties in grouped.values())


def _link(ties: list[Tie]) -> Link:
    first = ties[0]
    ports = tuple(sorted({port for tie in ties for port in _ports(tie)}))
    flow = any(tie.need.flow for tie in ties)
    return Link(first.client, first.server, first.offer.kind, ports, first.need.scope == "here", flow)


def _ports(tie: Tie) -> tuple[int, ...]:
    return (tie.offer.port, *(int(tie.offer.terms[term]) for term in tie.need.extra_ports))


def grounds(design: Design) -> tuple[str, ...]:
    """Return the components that every other stands on, in the order they start."""
    return tuple(name for stage in design.stages for name in stage if design.components[name].ground)


def rows(design: Design) -> tuple[str, ...]:
    """Return the other components from the front door down: a client stands above those it uses."""
    clients: dict[str, set[str]] = {name: set() for name in design.components if not design.components[name].ground}
    for client, server in _pairs(design):
        if client in clients and server in clients and not _above(clients, server, client):
            clients[server].add(client)
    return tuple(_in_order(TopologicalSorter(clients)))


def _pairs(design: Design) -> tuple[tuple[str, str], ...]:
    # Needs that order the start count first; the others may close a circle and then yield.
    ordered = sorted(design.ties, key=lambda tie: (not tie.need.first, tie.client, tie.server))
    pairs = unique((tie.client.component, tie.server.component) for tie in ordered)
    return tuple(pair for pair in pairs if pair[0] != pair[1])


def _above(clients: Mapping[str, set[str]], upper: str, lower: str) -> bool:
    return any(each == upper or _above(clients, upper, each) for each in clients[lower])


def _in_order(sorter: "TopologicalSorter[str]") -> Iterable[str]:
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        yield from ready
        sorter.done(*ready)


def offers(design: Design, member: Member) -> tuple[Offer, ...]:
    """Return what a member offers."""
    return design.components[member.component].declare(design.spec, design.spec.host(member.host)).offers


def offered(design: Design, component: str) -> Mapping[str, tuple[int, ...]]:
    """Return kind → ports of what a component's members offer."""
    found: dict[str, set[int]] = {}
    for offer in (offer for member in design.of(component) for offer in offers(design, member)):
        found.setdefault(offer.kind, set()).add(offer.port)
    return {kind: tuple(sorted(ports)) for kind, ports in found.items()}


def entrances(design: Design) -> tuple[Member, ...]:
    """Return the members that everybody may reach."""
    return tuple(member for member in design.members if any(offer.public for offer in offers(design, member)))


def layer_of(design: Design, component: str) -> str:
    """Return the layer a component belongs to: its own, or that of the neighbour it only serves; else ""."""
    own = design.components[component].layer
    if own or offered(design, component):
        return own
    neighbours = (tie.server.component for tie in design.ties if tie.client.component == component)
    return next((layer for each in neighbours if (layer := design.components[each].layer)), "")


def peer_reasons(design: Design, component: str) -> tuple[str, ...]:
    """Return why the members of a component talk to each other."""
    declarations = (
        design.components[component].declare(design.spec, design.spec.host(member.host))
        for member in design.of(component)
    )
    return unique(peer.reason for each in declarations for peer in each.peers)
