"""Where everything of the picture lies: rows for components, columns for hosts, grouped by zone. Lengths in px."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from holdfast.console.picture import grounds, layer_of, offered, rows
from holdfast.console.topology import hosts_in, zones
from holdfast.design.design import Design
from holdfast.model.member import Member

MARGIN = 32
LABELS_WIDTH = 104
BOX_WIDTH, BOX_HEIGHT = 140, 46
PITCH = 88
GUTTER = 26
CARD_WIDTH = BOX_WIDTH + 2 * GUTTER
CARD_GAP = 18
CARD_HEAD = 64
ZONE_PAD, ZONE_HEAD, ZONE_GAP = 14, 34, 24
TITLE_HEIGHT, DOOR_HEIGHT = 118, 104
CHIP_HEIGHT, CHIP_GAP = 22, 5
LEGEND_HEIGHT = 56
MIN_WIDTH = 760


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Its horizontal middle."""
        return self.x + self.width / 2

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Row:
    """A component's row: the words on its left and the y of its boxes."""

    component: str
    words: tuple[str, ...]
    y: float


@dataclass(frozen=True, slots=True)
class Label:
    """Words left of one row, or of several that share them; ``top`` and ``bottom`` of their boxes."""

    words: tuple[str, ...]
    top: float
    bottom: float


@dataclass(frozen=True)
class Layout:
    """The whole picture: its size, and the places of zones, hosts, members and chips (ground members)."""

    width: float
    height: float
    rows: tuple[Row, ...]
    zones: Mapping[str, Box]
    cards: Mapping[str, Box]
    boxes: Mapping[Member, Box]
    chips: Mapping[Member, Box]
    door: Box

    def row_of(self, component: str) -> int:
        """Return the number of a component's row, from the top."""
        return next(index for index, row in enumerate(self.rows) if row.component == component)


def lay_out(design: Design) -> Layout:
    """Return the places of everything in a design's picture."""
    top = TITLE_HEIGHT + DOOR_HEIGHT
    first_row = top + ZONE_HEAD + CARD_HEAD
    order = rows(design)
    lines = tuple(Row(name, _words(design, name), first_row + index * PITCH) for index, name in enumerate(order))
    chips_y = first_row + len(order) * PITCH - (PITCH - BOX_HEIGHT) + 22
    chip_rows = _chip_rows(grounds(design))
    card_height = chips_y + len(chip_rows) * (CHIP_HEIGHT + CHIP_GAP) + 10 - (top + ZONE_HEAD)
    zone_boxes, cards = _place_hosts(design, top, card_height)
    drawn = max(zone.right for zone in zone_boxes.values())
    width = max(drawn + MARGIN, MIN_WIDTH)
    door = Box((MARGIN + LABELS_WIDTH + drawn) / 2 - 112, TITLE_HEIGHT, 224, 50)
    return Layout(
        width=width,
        height=top + ZONE_HEAD + card_height + ZONE_PAD + LEGEND_HEIGHT,
        rows=lines,
        zones=zone_boxes,
        cards=cards,
        boxes=_boxes(design, lines, cards),
        chips=_chips(design, chip_rows, cards, chips_y),
        door=door,
    )


def _words(design: Design, component: str) -> tuple[str, ...]:
    """Return the words left of a row: the layer, or what is offered there."""
    layer = layer_of(design, component)
    return (layer,) if layer else tuple(offered(design, component))


def labels(layout: Layout) -> tuple[Label, ...]:
    """Return the labels of the rows, neighbours of one layer under one label."""
    groups = [(words, list(own)) for words, own in groupby(layout.rows, key=lambda row: row.words)]
    return tuple(Label(words, own[0].y, own[-1].y + BOX_HEIGHT) for words, own in groups if words)


def _place_hosts(design: Design, top: float, card_height: float) -> tuple[dict[str, Box], dict[str, Box]]:
    zone_boxes: dict[str, Box] = {}
    cards: dict[str, Box] = {}
    x = float(MARGIN + LABELS_WIDTH)
    for zone in zones(design):
        hosts = hosts_in(design, zone)
        width = 2 * ZONE_PAD + len(hosts) * (CARD_WIDTH + CARD_GAP) - CARD_GAP
        zone_boxes[zone] = Box(x, top, width, ZONE_HEAD + card_height + ZONE_PAD)
        for index, host in enumerate(hosts):
            left = x + ZONE_PAD + index * (CARD_WIDTH + CARD_GAP)
            cards[host.name] = Box(left, top + ZONE_HEAD, CARD_WIDTH, card_height)
        x += width + ZONE_GAP
    return zone_boxes, cards


def _boxes(design: Design, lines: Sequence[Row], cards: Mapping[str, Box]) -> dict[Member, Box]:
    return {
        member: Box(cards[member.host].x + GUTTER, row.y, BOX_WIDTH, BOX_HEIGHT)
        for row in lines
        for member in design.of(row.component)
    }


def chip_width(name: str) -> float:
    """Return the width of a chip with a name."""
    return 25 + 6 * len(name)


def _chip_rows(names: Sequence[str]) -> list[list[str]]:
    """Break names into rows that fit into a card."""
    found: list[list[str]] = []
    left = 0.0
    for name in names:
        if not found or left < chip_width(name):
            found.append([])
            left = CARD_WIDTH - 12.0
        found[-1].append(name)
        left -= chip_width(name) + CHIP_GAP
    return found


def _chips(
    design: Design, chip_rows: Sequence[Sequence[str]], cards: Mapping[str, Box], top: float
) -> dict[Member, Box]:
    found: dict[Member, Box] = {}
    for index, names in enumerate(chip_rows):
        row_width = sum(chip_width(name) + CHIP_GAP for name in names) - CHIP_GAP
        for position, name in enumerate(names):
            before = sum(chip_width(each) + CHIP_GAP for each in names[:position])
            for member in design.of(name):
                x = cards[member.host].middle - row_width / 2 + before
                y = top + index * (CHIP_HEIGHT + CHIP_GAP)
                found[member] = Box(x, y, chip_width(name), CHIP_HEIGHT)
    return found
