"""A design as a picture: self-contained SVG, light and dark, coloured by a status when there is one."""

from collections.abc import Iterable, Mapping

from holdfast.console.curves import between_neighbours, curve, drawable, ports
from holdfast.console.layout import LABELS_WIDTH, LEGEND_HEIGHT, MARGIN, Box, Label, Layout, labels, lay_out
from holdfast.console.palette import HUES, SIGNS, css
from holdfast.console.picture import Link, entrances, links, offered, peer_reasons
from holdfast.console.topology import promise_words, zones
from holdfast.console.words import counted, listed, unique
from holdfast.console.xmltext import group, path, rect, short, tag, text, xml
from holdfast.design import judge
from holdfast.design.design import Design
from holdfast.design.judge import Status
from holdfast.model.member import Member
from holdfast.model.watch import Reading, State

_SILENT = (State.DOWN, State.UNKNOWN)
_HEALTH_STATE: Mapping[str, State] = {
    judge.HEALTHY: State.OK,
    judge.DEGRADED: State.DEGRADED,
    judge.DOWN: State.DOWN,
    judge.UNSAFE: State.DOWN,
    judge.UNKNOWN: State.UNKNOWN,
}


def topology_svg(design: Design, status: Status | None = None) -> str:
    """Return the picture of a design as an SVG document; ``status`` colours it."""
    layout = lay_out(design)
    readings = dict(status.members) if status else {}
    holder = status.vip_holder if status else ""
    parts = [
        *_heading(design, layout, status),
        *(_zone(name, box) for name, box in layout.zones.items()),
        *map(_label, labels(layout)),
        *_door(design, layout, status),
        *(_card(design, host, box, _ill(host, readings), host == holder) for host, box in layout.cards.items()),
        *_peers(design, layout),
        *_ties(design, layout, readings),
        *(_member(design, layout, each, readings.get(each)) for each in layout.boxes),
        *(_chip(each, box, readings.get(each)) for each, box in layout.chips.items()),
        *_legend(layout, bool(readings)),
    ]
    return _document(design, layout, parts)


def _document(design: Design, layout: Layout, parts: Iterable[str]) -> str:
    width, height = f"{layout.width:g}", f"{layout.height:g}"
    title = xml(f"Topology of {design.spec.name}")
    hosts = counted(len(design.spec.hosts), "host")
    about = xml(f"{counted(len(design.members), 'member')} on {hosts}, design {design.name}")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="holdfast" role="img" aria-label="{title}" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{title}</title><desc>{about}</desc>",
        f"<style>{css()}</style>",
        rect(Box(0, 0, layout.width, layout.height), "page", 0),
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _heading(design: Design, layout: Layout, status: Status | None) -> Iterable[str]:
    hosts, places = counted(len(design.spec.hosts), "host"), counted(len(zones(design)), "zone")
    count = counted(len(design.members), "member")
    yield text(MARGIN, 44, design.spec.name, "title")
    yield text(MARGIN, 66, f"{count} on {hosts} in {places} · design {design.name}", "sub")
    yield text(MARGIN, 84, f"promised: {promise_words(design.spec.promises)}", "sub")
    if status:
        yield _health(layout, status)
        yield text(MARGIN, 106, short("; ".join(status.violations), 110), "alarm")


def _health(layout: Layout, status: Status) -> str:
    word = status.health.upper()
    pill = Box(layout.width - MARGIN - 40 - 9 * len(word), 24, 40 + 9 * len(word), 30)
    shape = rect(pill, f"pill {_HEALTH_STATE[status.health]}", 15)
    return shape + text(pill.middle, pill.y + 19.5, word, "pill-name", "middle")


def _zone(name: str, box: Box) -> str:
    return group(
        rect(box, "zone", 16),
        text(box.x + 16, box.y + 22, short(name, 24), "zone-name"),
        title=f"zone {name}",
    )


def _label(label: Label) -> str:
    first = (label.top + label.bottom) / 2 + 4 - 7.5 * (len(label.words) - 1)
    lines = [text(MARGIN, first + 15 * place, short(word, 12), "label") for place, word in enumerate(label.words)]
    x = MARGIN + LABELS_WIDTH - 12
    return "".join(lines) + path(f"M{x:g} {label.top:g}V{label.bottom:g}", "bracket")


def _door(design: Design, layout: Layout, status: Status | None) -> Iterable[str]:
    doors = entrances(design)
    if not doors:
        return
    holder = status.vip_holder if status else ""
    for host in sorted(unique(each.host for each in doors), key=lambda each: each == holder):
        yield _way(layout.door, layout.cards[host], host, host == holder)
    kinds = {kind: numbers for each in doors for kind, numbers in offered(design, each.component).items()}
    reach = "; ".join(f"{kind}: port {listed([str(port) for port in numbers])}" for kind, numbers in kinds.items())
    yield group(
        rect(layout.door, "door", 25),
        text(layout.door.middle, layout.door.y + 22, design.spec.entry.vip or "clients", "door-name", "middle"),
        text(layout.door.middle, layout.door.y + 39, _door_note(design, status), "door-note detail", "middle"),
        title=f"everybody may reach {reach}",
    )


def _door_note(design: Design, status: Status | None) -> str:
    if not design.spec.entry.vip:
        return "no floating address"
    return f"floating address, on {short(status.vip_holder, 14) or 'no host'}" if status else "floating address"


def _way(door: Box, card: Box, host: str, held: bool) -> str:
    x1, y1, x2, y2 = door.middle, door.bottom, card.middle, card.y
    bend = (y2 - y1) / 2
    line = f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend - 8:g} {x2:g} {y2 - 8:g}"
    head = f"M{x2 - 5:g} {y2 - 9:g}h10l-5 8z"
    return path(line, "way held" if held else "way", f"clients reach {host}") + path(head, "arrow")


def _ill(host: str, readings: Mapping[Member, Reading]) -> State | None:
    """Return the state of a host none of whose members answers."""
    own = [reading.state for member, reading in readings.items() if member.host == host]
    return own[0] if own and all(state in _SILENT for state in own) else None


def _card(design: Design, host: str, box: Box, ill: State | None, holds: bool) -> str:
    address, zone = design.spec.host(host).address, design.spec.host(host).zone
    badge = _badge(box.right - 18, box.y + 15, "VIP") if holds else ""
    return group(
        rect(box, "card holder" if holds else "card", 12),
        text(box.x + 18, box.y + 27, short(host, 12 if holds or ill else 17), "host"),
        text(box.x + 18, box.y + 45, address, "address"),
        _badge(box.right - 18, box.y + 15, ill.value, f"pill {ill}") if ill else badge,
        title=f"{host}, {address}, zone {zone}",
    )


def _badge(right: float, y: float, word: str, class_: str = "badge") -> str:
    box = Box(right - 14 - 6.6 * len(word), y, 14 + 6.6 * len(word), 16)
    return rect(box, class_, 8) + text(box.middle, y + 11.8, word, "badge-name", "middle")


def _peers(design: Design, layout: Layout) -> Iterable[str]:
    for row in layout.rows:
        reasons = peer_reasons(design, row.component)
        hosts = [member.host for member in design.of(row.component)]
        if reasons and len(hosts) > 1:
            title = f"{row.component} among themselves: {', '.join(reasons)}"
            yield path(between_neighbours(layout, row.component, hosts), "peer", title)


def _ties(design: Design, layout: Layout, readings: Mapping[Member, Reading]) -> Iterable[str]:
    found = drawable(layout, links(design))
    where = ports(layout, found)
    pairs: dict[tuple[Member, Member], list[Link]] = {}
    for link in found:
        pairs.setdefault((link.client, link.server), []).append(link)
    for (client, server), own in pairs.items():
        classes = ["tie", _hue(layout, server.component)]
        classes += ["here"] if client.host == server.host else []
        classes += ["off"] if any(_silent(readings.get(each)) for each in (client, server)) else []
        yield path(curve(where, own[0]), " ".join(classes), "; ".join(link.sentence for link in own))
    for x, y, component in dict.fromkeys((*where.reach(link), link.server.component) for link in found):
        yield tag("circle", cx=x, cy=y, r=2.6, class_=f"port {_hue(layout, component)}")


def _silent(reading: Reading | None) -> bool:
    return reading is not None and reading.state in _SILENT


def _hue(layout: Layout, component: str) -> str:
    return f"h{layout.row_of(component) % HUES}"


def _member(design: Design, layout: Layout, member: Member, reading: Reading | None) -> str:
    box = layout.boxes[member]
    state = f" {reading.state}" if reading else ""
    stripe = Box(box.x + 5, box.y + 8, 4, box.height - 16)
    detail = _detail(design, member, box, reading)
    return group(
        rect(box, f"box{state}", 9),
        rect(stripe, f"stripe {_hue(layout, member.component)}", 2),
        text(box.x + 18, box.y + (19.5 if detail else 27.5), short(member.component, 14), "name"),
        detail,
        _sign(box.right - 16, box.y + 15.5, reading),
        title=_member_words(member, reading),
    )


def _detail(design: Design, member: Member, box: Box, reading: Reading | None) -> str:
    """Return the second line of a box: a leading role, another role, what is wrong, or its ports."""
    role = reading.role if reading else ""
    if role in design.components[member.component].lead_roles:
        return _badge(box.x + 32 + 6.6 * len(role), box.y + 25, role)
    words = role or (reading.state.value if reading and reading.state is not State.OK else _offers(design, member))
    return text(box.x + 18, box.y + 36, short(words, 20), "detail") if words else ""


def _offers(design: Design, member: Member) -> str:
    found = offered(design, member.component)
    return ", ".join(f":{port}" for port in sorted({port for numbers in found.values() for port in numbers}))


def _member_words(member: Member, reading: Reading | None) -> str:
    if reading is None:
        return member.name
    words = [member.name, reading.state.value, *([reading.role] if reading.role else [])]
    return ", ".join(words) + (f": {reading.reason}" if reading.reason else "")


def _sign(x: float, y: float, reading: Reading | None) -> str:
    return _sign_of(x, y, reading.state) if reading else ""


def _sign_of(x: float, y: float, state: State) -> str:
    place = f"translate({x:g} {y:g})"
    return tag("path", d=SIGNS[state], transform=place, fill_rule="evenodd", class_=f"sign {state}")


def _chip(member: Member, box: Box, reading: Reading | None) -> str:
    state = f" {reading.state}" if reading else ""
    return group(
        rect(box, f"chip{state}", box.height / 2),
        text(box.middle + (6 if reading else 0), box.y + 15, member.component, "chip-name", "middle"),
        _sign(box.x + 11, box.y + 11, reading),
        title=_member_words(member, reading),
    )


def _legend(layout: Layout, coloured: bool) -> Iterable[str]:
    y = layout.height - LEGEND_HEIGHT / 2 + 4
    x = float(MARGIN)
    for words, sample in (("uses", "tie h0 here"), ("on another host", "tie h0"), ("peers", "peer")):
        yield path(f"M{x:g} {y - 4:g}h26", sample) + text(x + 33, y, words, "small")
        x += 54 + 6.6 * len(words)
    for state in State if coloured else ():
        yield _sign_of(x + 6, y - 4, state) + text(x + 17, y, state.value, "small")
        x += 38 + 6.6 * len(state.value)
