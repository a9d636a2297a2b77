"""A proof as one self-contained page: it fetches nothing, and works without its little script."""

from base64 import b64encode
from collections.abc import Iterable, Sequence

from holdfast.console.report.drill import drill_section
from holdfast.console.report.elements import (
    Content,
    Html,
    aside,
    bullets,
    element,
    facts,
    heading,
    joined,
    meter,
    sign,
    table,
    verdict,
    whole,
)
from holdfast.console.report.figures import (
    claim,
    day,
    duration,
    faults,
    gap,
    headline,
    is_write,
    lost,
    number,
    path_names,
    tally,
    unaimed,
    where_lost,
    worst,
    worst_promises,
    writes,
)
from holdfast.console.report.latency import MOST_POINTS
from holdfast.console.report.style import css
from holdfast.console.words import counted, unique
from holdfast.console.xmltext import xml
from holdfast.drills.record import DrillRecord, PathNumbers, Proof, Verdict

# What all plots of a page may draw together: a page of a megabyte still opens on a phone.
_POINTS_OF_PAGE = 40_000
# More drills than this open one by one.
_FEW = 3

# A printed page shows all drills, and a link into a closed one opens it. All else works without.
_SCRIPT = """
const drills=[...document.querySelectorAll('details')];
addEventListener('beforeprint',()=>drills.forEach(d=>{d.dataset.was=d.open;d.open=true}));
addEventListener('afterprint',()=>drills.forEach(d=>{d.open=d.dataset.was==='true'}));
const show=()=>{const d=document.getElementById(location.hash.slice(1));if(d&&'open' in d)d.open=true};
addEventListener('hashchange',show);show();
document.querySelectorAll('a[href^="#drill"]').forEach(a=>a.addEventListener('click',()=>setTimeout(show)));
"""


def html(proof: Proof) -> str:
    """Return the page of a proof."""
    title = xml(f"{proof.cluster}: {headline(proof)}")
    body = joined((_head(proof), element("main", joined(_sections(proof))), _foot(proof)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n<style>{css()}</style>\n</head>\n'
        f"<body>\n{body}\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _head(proof: Proof) -> Html:
    brand = element("div", f"Holdfast {proof.holdfast} · drill report", class_="brand")
    about = f"Suite {proof.suite}, begun {day(proof.begun)}, {duration(proof.length_s)} long"
    return element("header", brand, heading(1, proof.cluster), element("p", about, class_="lead"))


def _sections(proof: Proof) -> Iterable[Html]:
    yield _glance(proof)
    yield element("dl", *_tiles(proof), class_="tiles")
    yield heading(2, "Promises", "promises")
    yield element("p", "The worst that was measured, over all drills.", class_="lead")
    yield _promises(proof)
    yield heading(2, "All drills", "matrix")
    yield element("p", "Longest time without a success on each way in, and acknowledged writes lost.", class_="lead")
    yield _matrix(proof)
    yield from _topology(proof)
    yield heading(2, "Each drill", "drills")
    yield from _drills(proof)
    yield from _unsupported(proof)
    yield from _limits(proof)
    yield heading(2, "What was tried, and how to repeat it", "repeat")
    yield element("pre", element("code", proof.repeat or "not told"))
    yield _facts(proof)
    yield from _words()


def _glance(proof: Proof) -> Html:
    seen = worst(each.verdict for each in proof.drills)
    words = element("strong", headline(proof)) + element("span", f"{_capital(claim(proof))}.")
    return element("section", sign(seen, "big"), element("div", Html(words)), class_=f"glance {seen.value}")


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _tiles(proof: Proof) -> Iterable[Html]:
    counts, struck = tally(proof), faults(proof)
    others = ", ".join(f"{counts[each]} {each.value}" for each in (Verdict.BROKEN, Verdict.UNKNOWN) if counts[each])
    yield _tile(
        "drills kept", f"{counts[Verdict.KEPT]} of {len(proof.drills)}", others or "none broken, none unknown"
    )
    paths = [path for drill in proof.drills for path in drill.paths]
    yield _tile("acknowledged writes", number(writes(proof)), f"read: {number(_reads(paths))}")
    yield _tile("of these lost", number(lost(paths)), _read_back(paths))
    yield _longest(proof)
    blunt = sum(not each.bit for each in struck)
    yield _tile("faults that bit", str(len(struck) - blunt), f"{blunt} did not" if blunt else "every one did")


def _read_back(paths: Sequence[PathNumbers]) -> str:
    gone = ", ".join(unique(path.name for path in paths if path.lost))
    if any(is_write(path) and path.lost is None for path in paths):
        return f"{gone}; not all could be read back" if gone else "not all could be read back"
    return gone or "all were read back"


def _reads(paths: Iterable[PathNumbers]) -> int:
    return sum(path.acknowledged for path in paths if not is_write(path))


def _longest(proof: Proof) -> Html:
    gaps = [(path.longest_gap_s, path.name, drill) for drill in proof.drills for path in drill.paths]
    if not gaps:
        return _tile("longest gap", "–", "no way in was watched")
    gap_s, name, drill = max(gaps, key=lambda each: each[0])
    return _tile("longest gap", duration(gap_s), f"{name}: {drill.title}")


def _tile(name: str, value: str, small: str) -> Html:
    said = element("dd", value, *([element("small", small)] if small else []))
    return element("div", element("dt", name), said, class_="tile")


def _promises(proof: Proof) -> Html:
    rows = (
        (
            each.promise.sentence,
            whole(each.promise.target),
            joined((each.promise.measured, aside(f"{each.drill}; measured in {counted(each.drills, 'drill')}"))),
            verdict(each.promise.verdict),
        )
        for each in worst_promises(proof.drills)
    )
    return table(("promise", "target", "worst measured", ""), rows, "Promises and the worst measured of each")


def _matrix(proof: Proof) -> Html:
    names = path_names(proof.drills)
    longest_s = max((path.longest_gap_s for drill in proof.drills for path in drill.paths), default=0.0)
    head = ("drill", "", *names, "lost", "whole again")
    rows = (_line(drill, index, names, longest_s) for index, drill in enumerate(proof.drills, 1))
    return table(head, rows, "All drills: verdict, longest gaps, loss", 2)


def _line(drill: DrillRecord, index: int, names: Iterable[str], longest_s: float) -> tuple[Content, ...]:
    link = element("a", drill.title, href=f"#drill-{index}")
    gaps = (_gap(gap(drill, name), longest_s) for name in names)
    again = "by hand" if drill.by_hand else duration(drill.whole_after_s) if drill.whole_after_s is not None else "no"
    return link, verdict(drill.verdict), *gaps, _lost(drill), again


def _lost(drill: DrillRecord) -> Content:
    gone, where = lost(drill.paths), where_lost(drill.paths)
    count = element("span", number(gone), class_="loss" if gone else "")
    return joined((count, aside(where))) if where else count


def _gap(value_s: float | None, longest_s: float) -> Content:
    return "–" if value_s is None else Html(duration(value_s) + meter(value_s / longest_s if longest_s else 0))


def _drills(proof: Proof) -> Iterable[Html]:
    most = min(MOST_POINTS, _POINTS_OF_PAGE // max(len(proof.drills), 1))
    for index, drill in enumerate(proof.drills, 1):
        opened = drill.verdict is not Verdict.KEPT or len(proof.drills) <= _FEW or index == 1
        yield drill_section(drill, f"drill-{index}", opened, most)


def _topology(proof: Proof) -> Iterable[Html]:
    if not proof.topology_svg:
        return
    # As an image no script of it runs and nothing of it is fetched, whoever made it.
    data = b64encode(proof.topology_svg.encode(errors="replace")).decode()
    picture = f'<img class="topology" alt="Topology of {xml(proof.cluster)}" src="data:image/svg+xml;base64,{data}">'
    yield heading(2, "Topology", "topology")
    yield element("div", Html(picture), class_="figure", tabindex="0")


def _unsupported(proof: Proof) -> Iterable[Html]:
    if not proof.unsupported:
        return
    rows = (
        (joined((unaimed(each), aside(" ".join((each.name, *each.codes))))), each.reason)
        for each in proof.unsupported
    )
    yield heading(2, "Not tried: unsupported here", "unsupported")
    yield table(("fault", "why not"), rows, "Faults that cannot be injected here, with the reason")


def _limits(proof: Proof) -> Iterable[Html]:
    if proof.limits:
        yield heading(2, "Limits", "limits")
        yield bullets(proof.limits)


def _facts(proof: Proof) -> Html:
    return facts(
        (
            ("cluster", proof.cluster),
            ("design", element("code", proof.digest)),
            ("promised", "; ".join(f"{name}: {target}" for name, target in proof.promises.items())),
            ("holdfast", proof.holdfast),
            ("engines", ", ".join(f"{name} {version}" for name, version in proof.engines.items())),
            ("suite", f"{proof.suite}, seed {proof.seed}"),
            ("begun", f"{day(proof.begun)}, {duration(proof.length_s)} long"),
            ("machine", proof.machine),
        )
    )


def _words() -> Iterable[Html]:
    yield heading(2, "How to read this", "words")
    yield facts(
        (
            ("kept", "the fault was seen to bite, and every promise held while it did and afterwards"),
            ("broken", "at least one promise did not hold"),
            ("unknown", "too little was seen to say anything: it counts neither as kept nor as broken"),
            ("gap", "the longest time between two successes, as a client outside saw it"),
            ("in doubt", "no answer told whether the write took effect; neither outcome is a loss"),
            (
                "p99",
                "99 of 100 acknowledged operations took at most so long, counted from when they should have begun",
            ),
        )
    )


def _foot(proof: Proof) -> Html:
    return element(
        "footer",
        element("p", f"Made by Holdfast {proof.holdfast}. Drills show the presence of faults, not their absence."),
    )
