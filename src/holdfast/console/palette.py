"""Colours and type of the picture, for light and dark pages. States keep their colour wherever they appear."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.model.watch import State


@dataclass(frozen=True, slots=True)
class Shade:
    """Colours of one theme: page and surfaces, text, the hue of each row, and sign and ground of each state."""

    page: str
    zone: str
    zone_edge: str
    card: str
    card_edge: str
    box: str
    box_edge: str
    text: str
    muted: str
    accent: str
    on_colour: str
    hues: tuple[str, ...]
    states: Mapping[State, tuple[str, str]]


LIGHT = Shade(
    page="#f6f8fb",
    zone="#ebf0f6",
    zone_edge="#d5deea",
    card="#ffffff",
    card_edge="#d7dfe9",
    box="#fbfcfe",
    box_edge="#cdd7e3",
    text="#101828",
    muted="#5b6b80",
    accent="#3557e0",
    on_colour="#ffffff",
    hues=("#3f63e8", "#0b82c4", "#0b8f83", "#7a3fe0", "#b02bc4", "#b4537f", "#52688f"),
    states={
        State.OK: ("#15994a", "#fbfcfe"),
        State.STARTING: ("#0784a6", "#e6f6fa"),
        State.DEGRADED: ("#c96a00", "#fff4e0"),
        State.DOWN: ("#d62828", "#fde9e9"),
        State.UNKNOWN: ("#7b6690", "#f2edf7"),
    },
)
DARK = Shade(
    page="#0c1118",
    zone="#121923",
    zone_edge="#243142",
    card="#18212d",
    card_edge="#2b394b",
    box="#1f2a38",
    box_edge="#384a60",
    text="#e8eef5",
    muted="#93a2b5",
    accent="#8aa2ff",
    on_colour="#0c1118",
    hues=("#8aa2ff", "#5cbff2", "#48cfc0", "#b697ff", "#e38df0", "#f09fc0", "#9fb4d8"),
    states={
        State.OK: ("#44c767", "#1f2a38"),
        State.STARTING: ("#41c7e0", "#12333c"),
        State.DEGRADED: ("#efab45", "#3b2d13"),
        State.DOWN: ("#ff7b73", "#421c1f"),
        State.UNKNOWN: ("#bda6d0", "#2d2638"),
    },
)
HUES = len(LIGHT.hues)

# Signs of 10 px around their own middle: a state can be told by its form alone.
SIGNS: Mapping[State, str] = {
    State.OK: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    State.STARTING: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0zM0-3.5a3.5 3.5 0 0 0 0 7z",
    State.DEGRADED: "M0-5.2L5.6 4.6H-5.6z",
    State.DOWN: "M-4.8-3L-3-4.8L0-1.8L3-4.8L4.8-3L1.8 0L4.8 3L3 4.8L0 1.8L-3 4.8L-4.8 3L-1.8 0z",
    State.UNKNOWN: "M0-5.5L5.5 0L0 5.5L-5.5 0zM0-2.7L-2.7 0L0 2.7L2.7 0z",
}

_FORMS = """
.holdfast text{font-family:Inter,system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.holdfast .title{font-size:24px;font-weight:700}
.holdfast .sub,.holdfast .small{font-size:12px}
.holdfast .zone-name,.holdfast .label{font-size:12px;font-weight:600;letter-spacing:.03em}
.holdfast .host{font-size:16px;font-weight:700}
.holdfast .address{font-size:11.5px}
.holdfast .name{font-size:13px;font-weight:600}
.holdfast .detail{font-size:11px}
.holdfast .chip-name{font-size:10.5px}
.holdfast .badge-name{font-size:10.5px;font-weight:700}
.holdfast .door-name{font-size:16px;font-weight:700}
.holdfast .pill-name,.holdfast .alarm{font-size:12.5px;font-weight:700}
.holdfast .zone{stroke-dasharray:5 4}
.holdfast .box{stroke-width:1.2}
.holdfast .bracket{stroke-width:2;stroke-linecap:round}
.holdfast .holder{stroke-width:2}
.holdfast .tie,.holdfast .peer,.holdfast .way,.holdfast .bracket{fill:none}
.holdfast .tie{stroke-width:1.5;opacity:.42}
.holdfast .here{opacity:.85}
.holdfast .tie:hover{stroke-width:3;opacity:1}
.holdfast .off{stroke-dasharray:2 4;opacity:.3}
.holdfast .peer{stroke-width:1.6;stroke-dasharray:1 4;stroke-linecap:round}
.holdfast .way{stroke-width:1.6;stroke-dasharray:5 5;opacity:.55}
.holdfast .held{stroke-width:2.6;stroke-dasharray:none;opacity:1}
"""


def css() -> str:
    """Return the style sheet: forms, the light colours, and the dark ones for dark pages."""
    return f"{_FORMS}{_colours(LIGHT)}\n@media (prefers-color-scheme:dark){{{_colours(DARK)}}}\n"


def _colours(shade: Shade) -> str:
    rules = {
        ".page": f"fill:{shade.page}",
        ".zone": f"fill:{shade.zone};stroke:{shade.zone_edge}",
        ".card": f"fill:{shade.card};stroke:{shade.card_edge}",
        ".box,.chip": f"fill:{shade.box};stroke:{shade.box_edge}",
        ".title,.host,.name": f"fill:{shade.text}",
        ".sub,.small,.address,.detail,.chip-name,.zone-name,.label": f"fill:{shade.muted}",
        ".door,.badge": f"fill:{shade.accent}",
        ".door-name,.door-note,.badge-name,.pill-name": f"fill:{shade.on_colour}",
        ".way": f"stroke:{shade.accent}",
        ".arrow": f"fill:{shade.accent}",
        ".peer": f"stroke:{shade.muted}",
        ".bracket": f"stroke:{shade.zone_edge}",
        ".alarm": f"fill:{shade.states[State.DOWN][0]}",
    }
    lines = [_rule(names, colours) for names, colours in rules.items()]
    lines += [_hue(index, colour) for index, colour in enumerate(shade.hues)]
    lines += [_state(state, sign, ground) for state, (sign, ground) in shade.states.items()]
    return "\n".join([*lines, _rule(".card.holder", f"stroke:{shade.accent}")])


def _rule(names: str, colours: str) -> str:
    return ",".join(f".holdfast {name}" for name in names.split(",")) + f"{{{colours}}}"


def _hue(index: int, colour: str) -> str:
    return _rule(f".tie.h{index}", f"stroke:{colour}") + _rule(f".stripe.h{index},.port.h{index}", f"fill:{colour}")


def _state(state: State, sign: str, ground: str) -> str:
    ill = "" if state is State.OK else _rule(f".box.{state},.chip.{state}", f"fill:{ground};stroke:{sign}")
    return _rule(f".sign.{state},.pill.{state}", f"fill:{sign}") + ill
