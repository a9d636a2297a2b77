"""The page of a proof: well-formed, self-contained, legible; and its pictures, as what they are computed from."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.console.report import html
from holdfast.console.report.axes import LEFT, RIGHT, Time, nice
from holdfast.console.report.latency import scale_for, slices, thinned
from holdfast.console.report.style import css
from holdfast.console.report.timeline import gaps, notes
from holdfast.drills.record import LatencyPoint, Moment
from proofs import PROOFS, failed_vip, many, nasty, points, power_off, proof, split, vacuous

# Elements that have no closing tag.
VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Reads a page and remembers its tags, attributes, texts, and what was left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.wrong: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def values(self, key: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == key]


@pytest.mark.parametrize("name", PROOFS)
def test_the_page_is_well_formed_and_fetches_nothing(name: str) -> None:
    page = html(PROOFS[name])
    read = Reader(page)
    assert (read.wrong, read.open) == ([], [])
    assert all(each.startswith(("#", "data:")) for each in read.values("href") + read.values("src"))
    assert not set(read.tags) & {"iframe", "object", "embed", "base", "form", "use"}
    assert "@import" not in page
    assert "url(" not in page
    assert not [key for _, key, _ in read.attributes if key.startswith("on")]


@pytest.mark.parametrize("name", PROOFS)
def test_ids_are_unique_and_links_lead_somewhere(name: str) -> None:
    read = Reader(html(PROOFS[name]))
    ids = read.values("id")
    assert len(ids) == len(set(ids))
    assert {each[1:] for each in read.values("href") if each.startswith("#")} <= set(ids)
    assert {word for each in read.values("aria-labelledby") for word in each.split()} <= set(ids)


def test_hostile_words_stay_words_on_the_page() -> None:
    page = html(nasty())
    assert Reader(page).tags.count("script") == 1
    assert "alert(1)</script>" not in page
    assert "\x1b" not in page
    page.encode()


def test_every_picture_is_described_and_has_a_table() -> None:
    read = Reader(html(proof()))
    plots = read.values("aria-labelledby")
    assert len(plots) == 2 * len(proof().drills)
    assert html(proof()).count("as a table</summary>") == len(plots)
    assert read.tags.count("desc") == len(plots)


def test_broken_and_unknown_drills_are_open_at_first() -> None:
    page = html(replace(proof(), drills=(power_off(), failed_vip(), split(), vacuous())))
    starts = re.findall(r'<details class="drill (\w+)" id="drill-\d"( open)?>', page)
    assert starts == [("kept", " open"), ("kept", ""), ("broken", " open"), ("unknown", " open")]


def test_a_full_suite_is_a_page_that_opens_on_a_phone() -> None:
    page = html(many(40))
    assert len(page.encode()) < 1_500_000
    assert page.count('class="dot ok"') == 40 + 40  # a plot and a legend each


def luminance(colour: str) -> float:
    parts = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_words_have_contrast_in_light_and_dark(dark: bool) -> None:
    light, night = css().split("@media screen and (prefers-color-scheme:dark)", 1)
    rules = (night if dark else light).split("*{box-sizing", 1)[0]
    colours = dict(re.findall(r"--([\w-]+):(#\w{6})", rules.split("}", 1)[0] if dark else rules))
    for ground in ("page", "card", "zone"):
        for ink in ("text", "muted", "accent", "bad"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["bad"], colours["hole"]) >= 4.5
    assert contrast(colours["text"], colours["served"]) >= 4.5
    assert contrast(colours["on-fault"], colours["fault"]) >= 4.5
    verdicts = re.findall(r"\.(kept|broken|unknown)\{--sign:#\w+;--ink:(#\w+);--tint:(#\w+)\}", rules)
    assert len(verdicts) == 3
    for name, ink, tint in verdicts:
        assert contrast(ink, tint) >= 4.5, name
        assert contrast(ink, colours["card"]) >= 4.5, name


# Pictures


def test_time_is_drawn_from_left_to_right_and_never_outside() -> None:
    time = Time(120.0)
    assert (time.x(0), time.x(120), time.x(60)) == (LEFT, RIGHT, (LEFT + RIGHT) / 2)
    assert (time.x(-5), time.x(500)) == (LEFT, RIGHT)
    assert list(time.ticks())[-1] == 120.0
    assert Time(0.0).x(1.0) == LEFT


@given(st.floats(1e-6, 1e9))
def test_steps_of_an_axis_are_round_and_large_enough(least: float) -> None:
    step = nice(least)
    assert least * 0.999 <= step <= least * 10
    assert f"{step:.0e}"[0] in "125"


def test_a_lane_shows_the_longest_gap_and_those_that_points_show() -> None:
    drill = replace(power_off(), points=points(7, 120.0, (30.2, 51.6)))
    write = drill.paths[1]
    assert [round(each.length_s, 1) for each in gaps(drill, write)] == [21.4]
    second = tuple(each for each in drill.points if not 70 < each.at_s < 80)
    assert [round(each.length_s) for each in gaps(replace(drill, points=second), write)] == [21, 10]
    assert len(gaps(replace(drill, points=()), write)) == 1
    assert gaps(drill, drill.paths[3]) == ()


def test_words_of_moments_do_not_cover_each_other() -> None:
    time = Time(100.0)
    crowd = tuple(Moment(10 + index / 10, "role", "somebody takes the lead") for index in range(9))
    placed = notes(crowd, time)
    assert [each.row for each in placed[:6]] == [0, 1, 2, 3, 4, 5]
    assert [each.words == "" for each in placed] == [False] * 6 + [True] * 3
    (late,) = notes((Moment(99, "role", "somebody takes the lead"),), time)
    assert late.before


POINTS = st.builds(
    LatencyPoint,
    st.sampled_from(["read page", "sql write"]),
    st.floats(0, 100),
    st.floats(0, 60),
    st.sampled_from(["ok", "fail", "indeterminate"]),
)


@given(st.lists(POINTS, max_size=300), st.integers(24, 200))
def test_thinning_keeps_the_extremes_of_every_outcome(found: list[LatencyPoint], most: int) -> None:
    left = thinned(found, 100.0, most)
    assert len(left) <= most
    assert set(left) <= set(found)
    for outcome in {each.outcome for each in found}:
        before = [each.took_s for each in found if each.outcome == outcome]
        after = [each.took_s for each in left if each.outcome == outcome]
        assert (min(after), max(after)) == (min(before), max(before))


@given(st.lists(POINTS, min_size=1, max_size=50))
def test_the_table_behind_the_plot_counts_every_operation(found: list[LatencyPoint]) -> None:
    drill = replace(power_off(), points=tuple(found), length_s=100.0)
    assert sum(sum(each.counts.values()) for each in slices(drill)) == len(found)
    assert max(each.slowest_s for each in slices(drill)) == max(each.took_s for each in found)
    scale = scale_for(found)
    assert all(scale.y(each.took_s) >= scale.y(10.0**scale.high) for each in found)
