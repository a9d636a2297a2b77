"""Where members sit, and what is wrong or weak about that."""

from collections import Counter
from collections.abc import Iterable

from holdfast.model.spec import Complaint, Finding, Host, Spec

_SMALL, _LARGE = 3, 5


def place(spec: Spec) -> tuple[str, ...]:
    """Return the hosts of layer ``dcs``; when there is no such layer, hosts derived from layer ``database``."""
    if "dcs" in spec.layers:
        return spec.served_by("dcs", "etcd")
    return tuple(sorted(_derive(spec, tuple(spec.host(name) for name in spec.hosts_of("database")))))


def _derive(spec: Spec, data: tuple[Host, ...]) -> Iterable[str]:
    if len(data) == 2:
        return _names((*data, *_third(spec, data)))
    if len(data) == _SMALL + 1:
        return _names(_spread(data, _SMALL))
    return _names(_spread(data, _LARGE))


def _names(hosts: Iterable[Host]) -> Iterable[str]:
    return (host.name for host in hosts)


def _third(spec: Spec, data: tuple[Host, ...]) -> tuple[Host, ...]:
    """Return the best host for a tie-breaking member: not a data host, in a zone of its own when there is one."""
    zones = {host.zone for host in data}
    others = [host for host in spec.hosts if host not in data]
    return tuple(sorted(others, key=lambda host: (host.zone in zones, host.name))[:1])


def _spread(hosts: Iterable[Host], count: int) -> list[Host]:
    """Return so many hosts, taking one of each zone before a second of any."""
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, str, Host]] = []
    for host in sorted(hosts, key=lambda each: each.name):
        ranked.append((seen[host.zone], host.name, host))
        seen[host.zone] += 1
    return [host for _, _, host in sorted(ranked, key=lambda each: each[:2])[:count]]


def check(spec: Spec) -> tuple[Complaint, ...]:
    """Refuse an even number of members: one failure then costs as much as with one member fewer, or everything."""
    members = place(spec)
    if not members or len(members) % 2:
        return ()
    return (_even(members, "dcs" in spec.layers),)


def _even(members: tuple[str, ...], declared: bool) -> Complaint:
    names = ", ".join(members)
    message = f"{len(members)} dcs members ({names}) survive no more failures than {len(members) - 1}"
    if len(members) == 2:
        message = f"two dcs members have no quorum when either of {names} dies"
    if declared:
        return Complaint(("layers", "dcs", "hosts"), message, "use 1, 3 or 5 hosts")
    hint = "add a third host (a small one will do) to break ties, or list 1, 3 or 5 under layers.dcs.hosts"
    return Complaint(("layers", "database", "hosts"), message, hint)


def foresee(spec: Spec) -> tuple[Finding, ...]:
    """Name a single member, and a zone that takes the majority with it."""
    members = place(spec)
    if len(members) == 1:
        return (_alone(members[0]),)
    zones: dict[str, list[str]] = {}
    for name in members:
        zones.setdefault(spec.host(name).zone, []).append(name)
    return tuple(_crowded(zone, names) for zone, names in sorted(zones.items()) if len(names) > len(members) // 2)


def _alone(host: str) -> Finding:
    return Finding(
        what=f"etcd has one member ({host}): losing it ends every automatic failover of the database",
        where=host,
        remedy="give the database three hosts, or list three hosts under layers.dcs.hosts",
    )


def _crowded(zone: str, names: list[str]) -> Finding:
    return Finding(
        what=f"{' and '.join(names)} share zone {zone}: losing it loses the etcd quorum",
        where=zone,
        remedy="spread the dcs members over three zones, so that no zone holds a majority",
    )
