"""The style sheet of the page: calm, light and dark, for a phone, a screen and paper. Nothing is fetched."""

from collections.abc import Mapping

from holdfast.console.palette import DARK, LIGHT, Shade
from holdfast.drills.record import Verdict
from holdfast.model.watch import State

STATES: Mapping[Verdict, State] = {
    Verdict.KEPT: State.OK,
    Verdict.BROKEN: State.DOWN,
    Verdict.UNKNOWN: State.UNKNOWN,
}
# The signs' own colours are too pale for small words on a white page: these have a contrast above 4.5.
_INKS: Mapping[str, Mapping[Verdict, str]] = {
    LIGHT.page: {Verdict.KEPT: "#0b6b34", Verdict.BROKEN: "#b01c1c", Verdict.UNKNOWN: "#64517a"},
    DARK.page: {Verdict.KEPT: "#6fdc8c", Verdict.BROKEN: "#ff9c95", Verdict.UNKNOWN: "#cdb8df"},
}
_TINTS: Mapping[str, Mapping[Verdict, str]] = {
    LIGHT.page: {Verdict.KEPT: "#e6f5ec", Verdict.BROKEN: "#fde9e9", Verdict.UNKNOWN: "#f2edf7"},
    DARK.page: {Verdict.KEPT: "#15301f", Verdict.BROKEN: "#421c1f", Verdict.UNKNOWN: "#2d2638"},
}
_MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
_SANS = "Inter,system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"

_PAGE = f"""
*{{box-sizing:border-box}}
html{{-webkit-text-size-adjust:100%;scroll-behavior:smooth;scroll-padding-top:16px}}
body{{margin:0;background:var(--page);color:var(--text);font:15px/1.55 {_SANS};font-variant-numeric:tabular-nums}}
main,header,footer{{max-width:1080px;margin:0 auto;padding:0 24px}}
header{{padding-top:40px}}
a{{color:var(--accent);text-underline-offset:3px}}
h1{{font-size:34px;line-height:1.15;letter-spacing:-.02em;margin:2px 0 6px}}
h2{{font-size:20px;letter-spacing:-.01em;margin:52px 0 6px}}
h3{{font-size:13px;font-weight:600;color:var(--muted);margin:26px 0 8px}}
p{{margin:6px 0;max-width:74ch}}
.brand{{font-weight:600;color:var(--muted);font-size:13px;letter-spacing:.02em}}
.lead,.aside{{color:var(--muted)}}
.aside{{font-size:13.5px}}
code,pre{{font:13px/1.5 {_MONO}}}
pre{{background:var(--zone);border:1px solid var(--edge);border-radius:8px;padding:10px 14px;margin:8px 0;
overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere}}
"""
_GLANCE = """
.glance{display:flex;gap:22px;align-items:center;margin:24px 0 14px;padding:24px 28px;border-radius:16px;
background:var(--tint);border:1px solid var(--sign)}
.glance .big{flex:none;width:58px;height:58px}
.glance strong{display:block;font-size:25px;line-height:1.25;letter-spacing:-.015em;color:var(--ink)}
.glance span{display:block;margin-top:4px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;padding:0;margin:0}
.tile{background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:14px 18px}
.tile dt{color:var(--muted);font-size:13px}
.tile dd{margin:0;font-size:26px;font-weight:650;letter-spacing:-.02em;line-height:1.3}
.tile small{display:block;color:var(--muted);font-size:12.5px;font-weight:400;letter-spacing:0;line-height:1.4}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:5px 22px;margin:12px 0;font-size:14px}
.facts dt{color:var(--muted)}
.facts dd{margin:0;overflow-wrap:anywhere}
"""
_TABLES = """
.wide{overflow-x:auto;margin:10px 0;background:var(--card);border:1px solid var(--edge);border-radius:12px}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:9px 14px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
tbody tr:last-child>*{border-bottom:0}
thead th{color:var(--muted);font-weight:600;font-size:12.5px;white-space:nowrap;vertical-align:bottom}
tbody th{font-weight:600;min-width:13em}
.num{text-align:right;white-space:nowrap}
.meter{display:block;height:4px;border-radius:2px;background:var(--line);margin-top:5px;min-width:64px}
.meter i{display:block;height:4px;border-radius:2px;background:var(--accent)}
.verdict{display:inline-flex;gap:7px;align-items:center;font-weight:650;color:var(--ink);white-space:nowrap}
.verdict svg{flex:none}
.sign{fill:var(--sign)}
td .aside,th .aside,.list .aside{display:block;font-weight:400;font-size:12.5px}
.whole{white-space:nowrap}
.num .aside{white-space:normal}
.loss{color:var(--bad);font-weight:650}
"""
_DRILLS = """
.drill{background:var(--card);border:1px solid var(--edge);border-radius:14px;margin:14px 0}
.drill>summary{display:flex;flex-wrap:wrap;gap:4px 18px;align-items:baseline;padding:16px 22px;cursor:pointer;
list-style:none;border-radius:14px}
.drill>summary::-webkit-details-marker{display:none}
.drill>summary::after{content:"";align-self:center;width:8px;height:8px;border:solid var(--muted);
border-width:0 2px 2px 0;transform:rotate(45deg);margin-left:4px}
.drill[open]>summary::after{transform:rotate(225deg)}
.drill>summary:focus-visible,a:focus-visible,.more>summary:focus-visible{outline:2px solid var(--accent);
outline-offset:2px}
.drill>summary h3{flex:1 1 18em;margin:0;font-size:17px;color:var(--text);letter-spacing:-.01em}
.drill>summary span.aside{white-space:nowrap}
.inner{padding:0 22px 22px}
.inner .wide{border-radius:10px}
.reason{font-size:15.5px;margin:0 0 4px}
.broken .reason,.unknown .reason{color:var(--ink);font-weight:600}
.two{display:grid;grid-template-columns:1fr 1fr;gap:0 34px}
.two>div{min-width:0}
.list{margin:0;padding-left:18px}
.list li{margin:3px 0}
.steps{display:flex;flex-wrap:wrap;gap:8px;list-style:none;margin:0;padding:0}
.steps li{background:var(--zone);border-radius:8px;padding:5px 12px;font-size:14px}
.steps b{margin-left:6px}
.more{margin:6px 0}
.more>summary{cursor:pointer;color:var(--muted);font-size:13px}
.keys{display:flex;flex-wrap:wrap;gap:4px 18px;color:var(--muted);font-size:12.5px;margin:6px 0 0;padding:0;
list-style:none}
.keys li{display:flex;gap:6px;align-items:center}
.keys .swatch{width:18px;height:10px;border-radius:2px}
.figure{overflow-x:auto;margin:0}
.topology{display:block;margin:0 auto;max-width:100%;height:auto}
footer{padding-top:46px;padding-bottom:60px;color:var(--muted);font-size:13px}
"""
_PLOTS = """
.plot{display:block;width:100%;min-width:720px;height:auto;font-size:11.5px}
.plot text{fill:var(--text)}
.plot .tick,.plot .lane-name{fill:var(--muted)}
.plot .lane-name{font-weight:600}
.plot .grid{stroke:var(--line);fill:none}
.plot .rule{stroke:var(--line);fill:none;stroke-dasharray:2 3}
.band,.swatch.band{fill:var(--fault);background:var(--fault);opacity:.16}
.swatch.band{opacity:.45}
.fault{fill:var(--fault)}
.fault.blunt{fill:none;stroke:var(--fault);stroke-dasharray:3 3}
.plot .on-fault{fill:var(--on-fault);font-weight:600}
.served,.swatch.served{fill:var(--served);background:var(--served)}
.hole,.swatch.hole{fill:var(--hole);background:var(--hole);stroke:var(--bad);stroke-width:1;outline-color:var(--bad)}
.swatch.hole{border:1px solid var(--bad)}
.plot .hole-name{fill:var(--bad);font-weight:700}
.plot .on-served{fill:var(--text);font-weight:600}
.mark.role,.span.role{fill:var(--accent)}
.mark.milestone,.span.milestone{fill:var(--good)}
.mark.finding,.span.finding{fill:var(--warn)}
.mark.violation,.span.violation{fill:var(--bad)}
.mark.deed,.span.deed{fill:var(--muted)}
.span{opacity:.25}
.dot{fill:none;stroke-linecap:round}
.dot.ok{stroke:var(--accent);stroke-width:3.2;stroke-opacity:.6}
.dot.indeterminate{stroke:var(--warn);stroke-width:1.6}
.dot.fail{stroke:var(--bad);stroke-width:1.6}
.key .dot.ok{stroke-width:5;stroke-opacity:1}
"""
_NARROW = """
@media (max-width:640px){
main,header,footer{padding-left:14px;padding-right:14px}
header{padding-top:22px}
h1{font-size:27px}
h2{margin-top:38px}
.glance{padding:18px;gap:14px;align-items:flex-start}
.glance .big{width:38px;height:38px}
.glance strong{font-size:19px}
.tiles{grid-template-columns:1fr 1fr;gap:8px}
.tile{padding:10px 13px}
.tile dd{font-size:21px}
.tile:last-child:nth-child(odd){grid-column:1/-1}
tbody th{min-width:9.5em}
.facts{grid-template-columns:1fr;gap:0}
.facts dd{margin-bottom:7px}
.two{grid-template-columns:1fr}
.drill>summary{padding:13px 15px}
.inner{padding:0 15px 15px}
th,td{padding:8px 10px}
.topology{max-width:none;width:720px}
}
@media print{
@page{margin:14mm}
body{font-size:10.5pt}
main,header,footer{max-width:none;padding:0}
.drill,.tile,.wide,.glance{break-inside:auto}
.plot,.tile,.glance,tr,pre{break-inside:avoid}
h2,h3,.drill>summary{break-after:avoid}
.plot{min-width:0}
.wide,.figure{overflow:visible}
.drill>summary::after,.twin,.meter{display:none}
th,td{padding:4px 6px}
table{font-size:8.5pt}
thead th,td .aside,th .aside,.list .aside{font-size:7.5pt}
tbody th{min-width:8em}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
"""


def css() -> str:
    """Return the whole style sheet; paper is always light."""
    dark = f"@media screen and (prefers-color-scheme:dark){{{_colours(DARK)}}}"
    scheme = ":root{color-scheme:light dark}@media print{:root{color-scheme:light}}"
    return "\n".join((scheme, _colours(LIGHT), dark, _PAGE, _GLANCE, _TABLES, _DRILLS, _PLOTS, _NARROW))


def _colours(shade: Shade) -> str:
    inks, signs = _INKS[shade.page], {each: shade.states[state][0] for each, state in STATES.items()}
    light = shade is LIGHT
    root = {
        "page": shade.page,
        "zone": shade.zone,
        "card": shade.card,
        "edge": shade.card_edge,
        "line": "#e6ebf2" if light else "#263445",
        "text": shade.text,
        "muted": "#526176" if light else "#a3b1c2",
        "accent": shade.accent,
        "good": signs[Verdict.KEPT],
        "bad": inks[Verdict.BROKEN],
        "warn": "#a85800" if light else shade.states[State.DEGRADED][0],
        "fault": "#d98a1f" if light else "#d79a3f",
        "on-fault": "#231500",
        "served": "#b9cbe6" if light else "#3b5273",
        "hole": "#fdeaea" if light else "#421c1f",
    }
    rules = [_rule(":root", root)]
    for verdict in Verdict:
        colours = {"sign": signs[verdict], "ink": inks[verdict], "tint": _TINTS[shade.page][verdict]}
        rules.append(_rule(f".{verdict.value}", colours))
    return "".join(rules)


def _rule(selector: str, variables: Mapping[str, str]) -> str:
    return f"{selector}{{{';'.join(f'--{name}:{value}' for name, value in variables.items())}}}"
