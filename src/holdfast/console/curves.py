"""The curves of the picture: from a client's lower edge to its server's upper edge, around what lies between."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from holdfast.console.layout import BOX_HEIGHT, GUTTER, Box, Layout
from holdfast.console.picture import Link
from holdfast.console.words import unique
from holdfast.model.member import Member

# Room left and right of the outermost ports of a box, and between two tracks of a gutter.
_PORT_PAD = 24
_TRACK = 6
_BEND = 30


@dataclass(frozen=True)
class Ports:
    """Where curves leave and reach boxes: one port for each component at the other end."""

    layout: Layout
    below: Mapping[str, tuple[str, ...]]
    above: Mapping[str, tuple[str, ...]]

    def leave(self, link: Link) -> tuple[float, float]:
        """Return where the curve of a link leaves its client."""
        box = self.layout.boxes[link.client]
        return _port(box, self.below[link.client.component], link.server.component), box.bottom

    def reach(self, link: Link) -> tuple[float, float]:
        """Return where the curve of a link reaches its server."""
        box = self.layout.boxes[link.server]
        return _port(box, self.above[link.server.component], link.client.component), box.y


def _port(box: Box, others: tuple[str, ...], other: str) -> float:
    step = (box.width - 2 * _PORT_PAD) / (len(others) + 1)
    return box.x + _PORT_PAD + step * (others.index(other) + 1)


def drawable(layout: Layout, found: Iterable[Link]) -> tuple[Link, ...]:
    """Return the links that the picture shows: connections between members that have boxes, downwards."""
    return tuple(
        link
        for link in found
        if link.flow
        and link.client in layout.boxes
        and link.server in layout.boxes
        and layout.row_of(link.client.component) < layout.row_of(link.server.component)
    )


def ports(layout: Layout, found: Iterable[Link]) -> Ports:
    """Return the ports of all links; the nearest row gets the middle-left one, so that curves rarely cross."""
    pairs = unique((link.client.component, link.server.component) for link in found)
    names = [row.component for row in layout.rows]
    below = {name: tuple(sorted((b for a, b in pairs if a == name), key=names.index)) for name in names}
    above = {name: tuple(sorted((a for a, b in pairs if b == name), key=names.index)) for name in names}
    return Ports(layout, below, above)


def curve(where: Ports, link: Link) -> str:
    """Return the path of a link, in the words of SVG."""
    start, end = where.leave(link), where.reach(link)
    if not _obstacles(where.layout, link):
        return _direct(start, end)
    return _around(start, end, _track(where, link), where.layout.boxes[link.server])


def _obstacles(layout: Layout, link: Link) -> bool:
    """Return whether boxes of the server's column, or of other columns, lie on the direct way."""
    upper, lower = layout.row_of(link.client.component), layout.row_of(link.server.component)
    between = [row.component for row in layout.rows[upper + 1 : lower]]
    if link.client.host == link.server.host:
        return any(Member(name, link.server.host) in layout.boxes for name in between)
    return bool(between)


def _direct(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    bend = (y2 - y1) / 2
    return f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"


def _track(where: Ports, link: Link) -> float:
    """Return the x of the gutter in which the curve goes down: on the side it comes from."""
    box = where.layout.boxes[link.server]
    kinds = where.above[link.server.component]
    offset = GUTTER / 2 - _TRACK / 2 + _TRACK * (kinds.index(link.client.component) % 2)
    return box.x - offset if where.layout.boxes[link.client].x < box.x else box.right + offset


def _around(start: tuple[float, float], end: tuple[float, float], x: float, server: Box) -> str:
    (x1, y1), (x2, y2) = start, end
    enter, leave = y1 + _BEND + 8, server.y - _BEND
    down = f"C{x1:g} {y1 + _BEND:g} {x:g} {y1 + 8:g} {x:g} {enter:g}V{leave:g}"
    return f"M{x1:g} {y1:g}{down}C{x:g} {y2 - 6:g} {x2:g} {y2 - _BEND + 4:g} {x2:g} {y2:g}"


def between_neighbours(layout: Layout, component: str, hosts: Iterable[str]) -> str:
    """Return the path that joins the members of one component side by side."""
    boxes = sorted((layout.boxes[Member(component, host)] for host in hosts), key=lambda box: box.x)
    y = boxes[0].y + BOX_HEIGHT / 2
    return "".join(f"M{left.right:g} {y:g}H{right.x:g}" for left, right in pairwise(boxes))
