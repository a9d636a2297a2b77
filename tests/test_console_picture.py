"""Pictures of a design: as text, and as an XML document with a geometry."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from holdfast.console.layout import lay_out
from holdfast.console.picture import rows
from holdfast.console.svg import topology_svg
from holdfast.console.topology import topology_text
from holdfast.model.member import Member
from holdfast.model.watch import Reading, State
from picture_toys import host_down, make, status_of


def test_topology_as_text() -> None:
    design = make("ab", zones=2)
    assert topology_text(design) == (
        f"toy: 10 members on 2 hosts in 2 zones (design {design.name})\n"
        "promised: writes back within 30 s, no loss of acknowledged writes (maximum availability)\n"
        "\n"
        "clients ──▶ 10.0.0.100 (floating) ──▶ door on a, b\n"
        "\n"
        "┌─ rack1 ──────┐  ┌─ rack2 ──────┐\n"
        "│ a  10.0.0.11 │  │ b  10.0.0.12 │\n"
        "│   door       │  │   door       │\n"
        "│   web        │  │   web        │\n"
        "│   store      │  │   store      │\n"
        "│   lock       │  │   lock       │\n"
        "│   (floor)    │  │   (floor)    │\n"
        "└──────────────┘  └──────────────┘\n"
        "\n"
        "Connections between machines\n"
        "  tcp 22    operators: SSH            anywhere ──▶ a, b\n"
        "  tcp 443   everybody: entry of door  anywhere ──▶ a, b\n"
        "  tcp 2379  store uses lock of lock   a, b ──▶ a, b\n"
        "  tcp 5432  store peers: replication  a, b ──▶ a, b\n"
        "  tcp 5432  web uses sql of store     a, b ──▶ a, b\n"
        "  tcp 8000  door uses http of web     a, b ──▶ a, b\n"
        "\n"
        "On the same machine\n"
        "  port 8000  lock uses http of web  a, b\n"
    )


def test_topology_text_breaks_rows_of_zones_at_the_width() -> None:
    text = topology_text(make("abcdefghi", zones=9), width=60)
    boxes = [line for line in text.splitlines() if line[:1] in "┌│└"]
    assert max(map(len, boxes)) <= 60
    assert all(f"─ rack{number} ─" in text for number in range(1, 10))


def test_clients_stand_above_what_they_use_even_when_needs_close_a_circle() -> None:
    design = make()
    assert any(tie.client.component == "lock" and tie.server.component == "web" for tie in design.ties)
    assert rows(design) == ("door", "web", "store", "lock")


SVG = "{http://www.w3.org/2000/svg}"


def elements(svg: str, name: str, class_: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(svg)
    return [each for each in root.iter(f"{SVG}{name}") if class_ in each.get("class", "").split()]


@pytest.mark.parametrize("names", ["a", "abc", "abcdefghi"])
def test_picture_has_a_box_for_every_member_and_nothing_overlaps_or_leaves_the_page(names: str) -> None:
    design = make(names)
    layout = lay_out(design)
    places = [*layout.boxes.values(), *layout.chips.values()]
    assert {*layout.boxes, *layout.chips} == set(design.members)
    for index, one in enumerate(places):
        assert 0 <= one.x < one.right <= layout.width
        assert 0 <= one.y < one.bottom <= layout.height
        for other in places[index + 1 :]:
            apart = one.right <= other.x or other.right <= one.x or one.bottom <= other.y or other.bottom <= one.y
            assert apart
    drawn = elements(topology_svg(design), "rect", "box") + elements(topology_svg(design), "rect", "chip")
    assert len(drawn) == len(design.members)


def test_picture_draws_every_connection_once_with_its_reason() -> None:
    ties = elements(topology_svg(make()), "path", "tie")
    titles = [title.text for each in ties if (title := each.find(f"{SVG}title")) is not None]
    # 3 × 3 for each of door → web, web → store, store → lock; the terms that web takes of lock are no connection.
    assert len(titles) == 27
    assert "web@a uses sql of store@b (port 5432)" in titles
    assert len([each for each in ties if "here" in each.get("class", "")]) == 9 + 1  # and the sample of the legend


def test_picture_shows_states_roles_and_who_holds_the_floating_address() -> None:
    design = make()
    svg = topology_svg(design, status_of(design, host_down(design, "c")))
    assert len(elements(svg, "rect", "down")) == 5 + 1  # the members of c, and the badge of the host
    assert len(elements(svg, "rect", "holder")) == 1
    assert len(elements(svg, "path", "held")) == 1
    assert {"leader", "DEGRADED", "floating address, on a"} <= {each.text for each in words(svg)}


def words(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{SVG}text"))


def test_picture_tells_violations() -> None:
    design = make()
    svg = topology_svg(design, replace(status_of(design), health="unsafe", violations=("two leaders",)))
    assert [each.text for each in elements(svg, "text", "alarm")] == ["two leaders"]


def test_picture_escapes_what_users_and_servers_wrote() -> None:
    design = make(["a<&>\"'", "b"])
    nasty = "</title><script>x</script>\x00\x1b & \ud800"
    svg = topology_svg(design, status_of(design, {Member("web", "b"): Reading(State.DOWN, reason=nasty)}))
    assert "<script" not in svg
    assert "a<&>\"'" in {each.text for each in words(svg)}
    svg.encode()


def test_picture_stands_alone_and_knows_light_and_dark() -> None:
    svg = topology_svg(make())
    assert "prefers-color-scheme:dark" in svg
    assert svg.count("http") - svg.count("http of") == 1  # the name space, and no address to load anything from
    assert "url(" not in svg
    assert svg == topology_svg(make())


def test_picture_without_floating_address_says_so() -> None:
    assert {"clients", "no floating address"} <= {each.text for each in words(topology_svg(make(vip=None)))}
