"""Targets: which hosts a word means at this moment. Pure: a word, the design and a status in, hosts out."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from holdfast.design.design import Design
from holdfast.design.judge import Status
from holdfast.model.member import Member

Draw = Callable[[Sequence[str]], str]
SYNC_STANDBY = "sync standby"


class TargetError(Exception):
    """A word that means no host now, or none that is known; the message says why."""


class _View(NamedTuple):
    design: Design
    status: Status
    draw: Draw


def resolve(word: str, design: Design, status: Status, draw: Draw) -> tuple[str, ...]:
    """Return the hosts that a word means now. Raises TargetError.

    ``draw`` chooses one of several names, by the drill's seed. Words joined by ``+`` mean one after the other, each
    a host that none before it meant.
    """
    view = _View(design, status, draw)
    hosts: tuple[str, ...] = ()
    for part in word.split("+"):
        hosts += _one_word(part.strip(), view, hosts)
    return hosts


def words() -> dict[str, str]:
    """Return every word, and what it means."""
    return {name: (meaning.__doc__ or "").splitlines()[0].rstrip(".") for name, meaning in _WORDS.items()} | {
        "zone:NAME": "every host of a zone",
        "NAME, host:NAME": "that host",
        "WORD+WORD": "both, on two hosts",
    }


def possible(word: str, design: Design) -> bool:
    """Return whether a design has the layers that a word speaks of (it may mean nobody at a moment all the same)."""
    return all(_has(part.strip(), design) for part in word.split("+"))


def _has(word: str, design: Design) -> bool:
    if word.startswith("vip_"):
        return bool(design.spec.entry.vip)
    kind = _KINDS.get(word, "")
    return not kind or bool(offering(design, kind))


# The kind that a word's hosts must offer.
_KINDS = {
    **dict.fromkeys(("leader", "sync_standby", "replica", "leader_side", "leader_zone"), "sql"),
    **dict.fromkeys(("dcs_leader", "dcs_follower", "minority", "majority"), "dcs"),
    **dict.fromkeys(("cache_primary", "cache_replica"), "cache"),
    "app": "http",
}


def _one_word(word: str, view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    names = {host.name for host in view.design.spec.hosts}
    if meaning := _WORDS.get(word):
        return meaning(view, taken)
    kind, colon, name = word.partition(":")
    if kind == "zone" and colon:
        return _zone(name, view)
    if (plain := name if kind == "host" and colon else word) in names:
        return (plain,)
    known = ", ".join([*_WORDS, "zone:NAME", *sorted(names)])
    raise TargetError(f"{word!r} is neither a host nor a word for one; known: {known}")


def _zone(name: str, view: _View) -> tuple[str, ...]:
    found = tuple(host.name for host in view.design.spec.hosts if host.zone == name)
    if not found:
        zones = ", ".join(sorted({host.zone for host in view.design.spec.hosts}))
        raise TargetError(f"no host is in zone {name}; zones: {zones}")
    return found


def offering(design: Design, kind: str) -> tuple[Member, ...]:
    """Return the members that offer a kind, sorted by host."""
    spec = design.spec
    return tuple(
        member
        for member in design.members
        if any(
            offer.kind == kind
            for offer in design.components[member.component].declare(spec, spec.host(member.host)).offers
        )
    )


def _roles(view: _View, kind: str) -> dict[str, str]:
    """Return host → role of the members that offer a kind; those without a role are left out."""
    members = set(offering(view.design, kind))
    return {
        member.host: reading.role for member, reading in view.status.members if member in members and reading.role
    }


def _lead_roles(view: _View, kind: str) -> tuple[str, ...]:
    return tuple(role for member in offering(view.design, kind) for role in _component_roles(view, member))


def _component_roles(view: _View, member: Member) -> tuple[str, ...]:
    return view.design.components[member.component].lead_roles


def _leading(view: _View, kind: str, what: str) -> tuple[str, ...]:
    lead = _lead_roles(view, kind)
    found = tuple(host for host, role in _roles(view, kind).items() if role in lead)
    if len(found) > 1:
        raise TargetError(f"{' and '.join(found)} both say they are the {what}: nothing to aim at")
    if not found:
        raise TargetError(f"nobody is the {what} now")
    return found


def _following(view: _View, kind: str, what: str, taken: tuple[str, ...], role: str = "") -> tuple[str, ...]:
    lead = _lead_roles(view, kind)
    found = [host for host, has in _roles(view, kind).items() if has not in lead and role in ("", has)]
    return _drawn(view, found, what, taken)


def _drawn(view: _View, hosts: Iterable[str], what: str, taken: tuple[str, ...]) -> tuple[str, ...]:
    left = sorted(set(hosts) - set(taken))
    if not left:
        raise TargetError(f"no host is {what} now" + (f" besides {', '.join(taken)}" if taken else ""))
    return (view.draw(left),)


def _leader(view: _View, _taken: tuple[str, ...]) -> tuple[str, ...]:
    """The host whose database leads."""
    return _leading(view, "sql", "leader of the database")


def _sync_standby(view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    """A host whose database follows synchronously."""
    return _following(view, "sql", "a synchronous standby", taken, SYNC_STANDBY)


def _replica(view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    """A host whose database follows, synchronously or not."""
    return _following(view, "sql", "a replica of the database", taken)


def _dcs_leader(view: _View, _taken: tuple[str, ...]) -> tuple[str, ...]:
    """The host whose member of the dcs leads."""
    return _leading(view, "dcs", "leader of the dcs")


def _dcs_follower(view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    """A host whose member of the dcs follows."""
    return _following(view, "dcs", "a follower of the dcs", taken)


def _cache_primary(view: _View, _taken: tuple[str, ...]) -> tuple[str, ...]:
    """The host whose cache is the primary."""
    return _leading(view, "cache", "primary of the cache")


def _cache_replica(view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    """A host whose cache follows."""
    return _following(view, "cache", "a replica of the cache", taken)


def _vip_holder(view: _View, _taken: tuple[str, ...]) -> tuple[str, ...]:
    """The host that holds the floating address."""
    holders = _holders(view)
    if not view.design.spec.entry.vip:
        raise TargetError("this cluster has no floating address")
    if len(holders) != 1:
        said = f"{' and '.join(holders)} hold" if holders else "nobody holds"
        raise TargetError(f"{said} the floating address now: nothing to aim at")
    return holders


def _holders(view: _View) -> tuple[str, ...]:
    return tuple(member.host for member, reading in view.status.members if reading.role == "holder")


def _vip_standby(view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    """A host that would take the floating address over."""
    _vip_holder(view, ())
    keepers = {member.component for member, reading in view.status.members if reading.role == "holder"}
    waiting = [
        member.host
        for member, reading in view.status.members
        if member.component in keepers and reading.role not in ("", "holder")
    ]
    return _drawn(view, waiting, "a standby for the floating address", taken)


def _app(view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    """A host that runs the application."""
    return _drawn(view, view.design.spec.hosts_of("app"), "an application host", taken)


def _minority(view: _View, _taken: tuple[str, ...]) -> tuple[str, ...]:
    """As many hosts of the dcs as it can do without, the database's leader among them when it is one."""
    voters = sorted(member.host for member in offering(view.design, "dcs"))
    size = (len(voters) - 1) // 2
    if not size:
        raise TargetError(f"the dcs has {len(voters)} members: it can do without none")
    first = [host for host in _first_choice(view) if host in voters][:1]
    rest = [host for host in voters if host not in first]
    while len(first) < size:
        first.append(view.draw([host for host in rest if host not in first]))
    return tuple(sorted(first))


def _first_choice(view: _View) -> tuple[str, ...]:
    """The database's leader, then the leader of the dcs, as far as there is one."""
    leads = [(kind, _lead_roles(view, kind)) for kind in ("sql", "dcs")]
    return tuple(host for kind, lead in leads for host, role in _roles(view, kind).items() if role in lead)


def _majority(view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    """All hosts of the dcs but a minority: without them it has no quorum."""
    spared = _minority(view, taken)
    return tuple(sorted({member.host for member in offering(view.design, "dcs")} - set(spared)))


def _everyone(view: _View, _taken: tuple[str, ...]) -> tuple[str, ...]:
    """Every host of the cluster."""
    return tuple(host.name for host in view.design.spec.hosts)


def _leader_side(view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    """The database's leader and, unless it runs the application itself, one host that does."""
    leader = _leader(view, taken)
    return leader if leader[0] in view.design.spec.hosts_of("app") else leader + _app(view, (*taken, *leader))


def _leader_zone(view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    """Every host in the zone of the database's leader."""
    return _zone(view.design.spec.host(_leader(view, taken)[0]).zone, view)


def _other(view: _View, taken: tuple[str, ...]) -> tuple[str, ...]:
    """The host with the fewest leading roles, never the database's leader."""
    leading = [host for kind in ("sql", "dcs", "cache") for host in _leads_of(view, kind)] + [*_holders(view)]
    left = [host for host in _everyone(view, ()) if host not in (*_leads_of(view, "sql"), *taken)]
    fewest = min((leading.count(host) for host in left), default=0)
    return _drawn(view, [host for host in left if leading.count(host) == fewest], "without a leading role", taken)


def _leads_of(view: _View, kind: str) -> tuple[str, ...]:
    lead = _lead_roles(view, kind)
    return tuple(host for host, role in _roles(view, kind).items() if role in lead)


_WORDS: dict[str, Callable[[_View, tuple[str, ...]], tuple[str, ...]]] = {
    "leader": _leader,
    "sync_standby": _sync_standby,
    "replica": _replica,
    "dcs_leader": _dcs_leader,
    "dcs_follower": _dcs_follower,
    "cache_primary": _cache_primary,
    "cache_replica": _cache_replica,
    "vip_holder": _vip_holder,
    "vip_standby": _vip_standby,
    "app": _app,
    "minority": _minority,
    "majority": _majority,
    "leader_side": _leader_side,
    "leader_zone": _leader_zone,
    "everyone": _everyone,
    "other": _other,
}
