"""A design as plain text: zones as boxes, hosts with their members, and who may connect to whom."""

from collections.abc import Iterable, Sequence
from math import isinf

from holdfast.console.picture import Link, entrances, grounds, links, rows
from holdfast.console.words import counted, hosts_in_words, listed, unique
from holdfast.design.design import Design
from holdfast.model.component import Flow
from holdfast.model.spec import Host, Promises

WIDTH = 100
_GAP = 2


def topology_text(design: Design, width: int = WIDTH) -> str:
    """Return the picture as lines of text no wider than ``width`` as far as names allow."""
    order = rows(design)
    parts = [
        [_title(design), _promise(design.spec.promises)],
        _front_door(design),
        side_by_side([_zone(design, zone, order) for zone in zones(design)], width),
        _section("Connections between machines", _flow_table(design)),
        _section("On the same machine", _local_table(design)),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _section(title: str, lines: list[str]) -> list[str]:
    return [title, *lines] if lines else []


def _title(design: Design) -> str:
    hosts, found = counted(len(design.spec.hosts), "host"), counted(len(zones(design)), "zone")
    members = counted(len(design.members), "member")
    return f"{design.spec.name}: {members} on {hosts} in {found} (design {design.name})"


def _promise(promises: Promises) -> str:
    return f"promised: {promise_words(promises)}"


def promise_words(promises: Promises) -> str:
    """Return the promises in one line: ``writes back within 30 s, loss of at most 5 s (maximum availability)``."""
    bounded = f"loss of at most {promises.rpo_s:g} s" if promises.rpo_s else "no loss of acknowledged writes"
    loss = "loss unbounded" if isinf(promises.rpo_s) else bounded
    return f"writes back within {promises.rto_s:g} s, {loss} (maximum {promises.durability.value})"


def zones(design: Design) -> tuple[str, ...]:
    """Return the failure domains, sorted."""
    return tuple(sorted({host.zone for host in design.spec.hosts}))


def hosts_in(design: Design, zone: str) -> tuple[Host, ...]:
    """Return the hosts of a failure domain."""
    return tuple(host for host in design.spec.hosts if host.zone == zone)


def _front_door(design: Design) -> list[str]:
    doors = entrances(design)
    if not doors:
        return []
    names, hosts = unique(each.component for each in doors), unique(each.host for each in doors)
    way = f" ──▶ {design.spec.entry.vip} (floating)" if design.spec.entry.vip else ""
    return [f"clients{way} ──▶ {', '.join(names)} on {listed(hosts)}"]


def _zone(design: Design, zone: str, order: tuple[str, ...]) -> list[str]:
    """Return one box: the zone's name in its upper edge, its hosts below each other."""
    body: list[str] = []
    for host in hosts_in(design, zone):
        body += ([""] if body else []) + _host(design, host, order)
    inner = max(len(zone) + 2, *(len(line) for line in body))
    top = f"┌─ {zone} {'─' * (inner - len(zone) - 1)}┐"
    return [top, *(f"│ {line:<{inner}} │" for line in body), f"└{'─' * (inner + 2)}┘"]


def _host(design: Design, host: Host, order: tuple[str, ...]) -> list[str]:
    own = {member.component for member in design.on(host.name)}
    above = [f"  {name}" for name in order if name in own]
    ground = [name for name in grounds(design) if name in own]
    return [f"{host.name}  {host.address}", *above, *([f"  ({', '.join(ground)})"] if ground else [])]


def side_by_side(boxes: Sequence[list[str]], width: int) -> list[str]:
    """Return boxes of text in rows no wider than ``width``; a box that is wider stands alone."""
    lines: list[str] = []
    row: list[list[str]] = []
    for box in boxes:
        if row and _row_width([*row, box]) > width:
            lines += _joined(row)
            row = []
        row.append(box)
    return lines + _joined(row) if row else lines


def _row_width(boxes: Sequence[list[str]]) -> int:
    return sum(len(box[0]) for box in boxes) + _GAP * (len(boxes) - 1)


def _joined(boxes: Sequence[list[str]]) -> list[str]:
    height = max(len(box) for box in boxes)
    padded = [box + [" " * len(box[0])] * (height - len(box)) for box in boxes]
    return [(" " * _GAP).join(cells).rstrip() for cells in zip(*padded, strict=True)]


def _table(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _flow_table(design: Design) -> list[str]:
    reasons: dict[str, list[Flow]] = {}
    for flow in design.flows:
        reasons.setdefault(flow.reason, []).append(flow)
    return _table([_flow_line(design, reason, found) for reason, found in reasons.items()])


def _flow_line(design: Design, reason: str, flows: Iterable[Flow]) -> tuple[str, str, str]:
    found, every = tuple(flows), [host.name for host in design.spec.hosts]
    ports = ", ".join(map(str, sorted({flow.port for flow in found})))
    sources = {flow.source for flow in found}
    targets = hosts_in_words((flow.target for flow in found), every)
    way = f"{'anywhere' if '' in sources else hosts_in_words(sources, every)} ──▶ {targets}"
    return f"{found[0].protocol} {ports}", reason, way


def _local_table(design: Design) -> list[str]:
    found: dict[tuple[str, str], list[str]] = {}
    for link in (link for link in links(design) if link.here):
        found.setdefault(_local_words(link), []).append(link.client.host)
    every = [host.name for host in design.spec.hosts]
    return _table([(*words, hosts_in_words(hosts, every)) for words, hosts in found.items()])


def _local_words(link: Link) -> tuple[str, str]:
    ports = ", ".join(map(str, link.ports))
    return f"port {ports}", f"{link.client.component} uses {link.kind} of {link.server.component}"
