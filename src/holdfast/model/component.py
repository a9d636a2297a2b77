"""Component: what an engine's folder exports, and the words in which components meet (offers and needs)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from holdfast.model.fault import Fault, Milestone
from holdfast.model.member import Member
from holdfast.model.parts import Part
from holdfast.model.spec import Complaint, Finding, Host, Options, Spec
from holdfast.model.watch import Probe, Reading, Watch

Protocol = Literal["tcp", "udp", "vrrp"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A service a member gives on a port; ``terms`` tell its clients how to use it. ``public``: to everybody."""

    kind: str
    port: int
    terms: Mapping[str, str] = field(default_factory=dict)
    public: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """A service a member uses. ``scope="here"``: on its own host. ``first``: it must be up before.

    ``extra_ports``: names of terms of the offer that hold further ports this client connects to.
    ``flow=False``: only the terms are needed, no connection is made.
    """

    kind: str
    scope: Literal["any", "here"] = "any"
    first: bool = True
    optional: bool = False
    flow: bool = True
    extra_ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """A connection that members of one component make among themselves.

    ``twice``: each small packet is sent a second time, for words that cannot wait until TCP has noticed a loss.
    """

    port: int
    reason: str
    protocol: Protocol = "tcp"
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a member offers and needs, and how it talks to its peers."""

    offers: tuple[Offer, ...] = ()
    needs: tuple[Need, ...] = ()
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True)
class Tie:
    """A need bound to the offer that meets it."""

    client: Member
    server: Member
    host: Host
    offer: Offer
    need: Need


@dataclass(frozen=True, slots=True)
class Flow:
    """An allowed connection: ``source`` is a host's name, or "" for everybody. ``twice``: see `Peer`."""

    source: str
    target: str
    protocol: Protocol
    port: int
    reason: str
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """All that a member's `build` and `probes` may know."""

    spec: Spec
    host: Host
    member: Member
    options: Options
    peers: tuple[Host, ...]
    ties: tuple[Tie, ...]
    flows: tuple[Flow, ...]

    def tied(self, kind: str) -> tuple[Tie, ...]:
        """Return the offers of a kind that this member uses, sorted by host."""
        return tuple(tie for tie in self.ties if tie.offer.kind == kind)


@dataclass(frozen=True, slots=True)
class Handover:
    """How the leading member gives its role away before it is touched: a command run on the leader's host."""

    argv: tuple[str, ...]
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Drain:
    """Commands on a client's host that take one server out of use and put it back."""

    out: tuple[str, ...]
    back: tuple[str, ...]
    settle_s: float = 1.0


def _no_complaints(_spec: Spec) -> tuple[Complaint, ...]:
    return ()


def _no_findings(_spec: Spec) -> tuple[Finding, ...]:
    return ()


def _no_probes(_context: Context) -> tuple[Probe, ...]:
    return ()


def _no_watches(_context: Context) -> tuple[Watch, ...]:
    return ()


def _no_sources(_spec: Spec) -> Mapping[str, str]:
    return {}


def _no_faults(_contexts: tuple[Context, ...]) -> tuple[Fault, ...]:
    return ()


def _no_violations(_readings: Mapping[Member, Reading]) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Component:
    """One engine. The required part is small (name, place, declare, build); every other power is optional.

    - ``place(spec)``: the hosts it runs on. ``layer``: the layer of the spec it can serve as engine.
    - ``ground``: it comes before all others on every host (operating system, certificates, firewall).
    - ``check``/``foresee``: errors and weaknesses of a spec that only this engine knows.
    - ``sources(spec)``: name → path of directories or files of the user that become part of the design.
    - ``probes``, ``violations``: health, and states of all its members together that break safety.
    - ``watches``: roles that one member at most may have, as they are watched during a drill.
    - ``lead_roles``: roles whose holder is changed last, after ``handover(context, to_host)`` has moved them.
    - ``standby_roles``: roles that the leader relies on; while fewer members have one than before a change, no other
      member is interrupted.
    - ``drain(context, server_host)``: how a client of its kind takes a server out of use.
    - ``faults(contexts)``: ways to break it that only this engine has, from the contexts of all its members.
    - ``milestones``: the steps of its failover as they stand in its own journal.
    """

    name: str
    place: Callable[[Spec], tuple[str, ...]]
    declare: Callable[[Spec, Host], Declaration]
    build: Callable[[Context], tuple[Part, ...]]
    layer: str = ""
    options: type[Options] = Options
    ground: bool = False
    check: Callable[[Spec], tuple[Complaint, ...]] = _no_complaints
    foresee: Callable[[Spec], tuple[Finding, ...]] = _no_findings
    sources: Callable[[Spec], Mapping[str, str]] = _no_sources
    probes: Callable[[Context], tuple[Probe, ...]] = _no_probes
    violations: Callable[[Mapping[Member, Reading]], tuple[str, ...]] = _no_violations
    watches: Callable[[Context], tuple[Watch, ...]] = _no_watches
    lead_roles: tuple[str, ...] = ()
    standby_roles: tuple[str, ...] = ()
    handover: Callable[[Context, str], Handover] | None = None
    drain: Callable[[Context, str], Drain] | None = None
    faults: Callable[[tuple[Context, ...]], tuple[Fault, ...]] = _no_faults
    milestones: tuple[Milestone, ...] = ()
