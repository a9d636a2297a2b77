"""The design: binding, flows, order, digest."""

from dataclasses import replace

import pytest

from holdfast.design import bind
from holdfast.design.design import make_design
from holdfast.design.judge import DEGRADED, DOWN, HEALTHY, UNKNOWN, UNREACHABLE, UNSAFE, judge
from holdfast.design.render import rendered
from holdfast.model.component import Declaration, Need
from holdfast.model.member import Member
from holdfast.model.parts import File, put_values, value, values_in
from holdfast.model.spec import EntryOptions, Layer
from holdfast.model.watch import Reading, State
from toys import STORE, TOYS, WEB, spec


def test_members_are_placed_where_their_layer_is() -> None:
    names = [member.name for member in make_design(spec(), TOYS).members]
    assert names == ["store@a", "store@b", "store@c", "web@a"]


def test_flows_follow_from_needs_and_peers() -> None:
    flows = make_design(spec(), TOYS).flows
    to_b = {(flow.source, flow.port) for flow in flows if flow.target == "b"}
    assert to_b == {("", 22), ("a", 5432), ("a", 8008), ("c", 5432)}
    assert {(flow.source, flow.port) for flow in flows if flow.target == "a" and not flow.source} == {
        ("", 22),
        ("", 443),
    }
    assert all(flow.reason for flow in flows)


def test_a_server_starts_before_its_clients() -> None:
    assert make_design(spec(), TOYS).stages == (("store",), ("web",))


def test_a_need_that_nobody_meets_is_an_error() -> None:
    lonely = replace(WEB, declare=lambda _spec, _host: Declaration(needs=(Need("cache"),)))
    with pytest.raises(bind.BindError, match="web@a needs cache"):
        make_design(spec(), {"store": STORE, "web": lonely})


def test_components_that_wait_for_each_other_are_an_error() -> None:
    wants = replace(STORE, declare=lambda s, h: replace(STORE.declare(s, h), needs=(Need("entry"),)))
    with pytest.raises(bind.BindError, match="wait for each other"):
        make_design(spec(), {"store": wants, "web": WEB})


def test_two_members_cannot_own_one_file() -> None:
    own = File("/etc/store.conf", "")
    twin = replace(WEB, build=lambda _context: (own,))
    with pytest.raises(ValueError, match=r"/etc/store.conf belongs to store@a and web@a"):
        make_design(spec(), {"store": STORE, "web": twin})


def test_the_digest_is_of_the_content_only() -> None:
    assert make_design(spec(), TOYS).digest == make_design(spec(), TOYS).digest
    assert make_design(spec(size=11), TOYS).digest != make_design(spec(), TOYS).digest


def test_rendered_files_hold_names_of_secrets_only() -> None:
    files = rendered(make_design(spec(), TOYS))
    assert "password = @@store/admin@@" in files["a/etc/store.conf"]
    assert "unit store.service enabled and running" in files["a/PARTS.txt"]


def test_values_are_put_in_by_name() -> None:
    text = f"a={value('x/y')} b={value('z.key')}"
    assert values_in(text) == {"x/y", "z.key"}
    assert put_values(text, {"x/y": "1", "z.key": "2"}) == "a=1 b=2"
    with pytest.raises(KeyError):
        put_values(text, {"x/y": "1"})


def _readings(**roles: str) -> dict[Member, Reading]:
    return {Member("store", host): Reading(State.OK, role) for host, role in roles.items()} | {
        Member("web", "a"): Reading(State.OK)
    }


@pytest.mark.parametrize(
    ("readings", "health"),
    [
        (_readings(a="leader", b="replica", c="replica"), HEALTHY),
        (_readings(a="leader", b="leader", c="replica"), UNSAFE),
        (_readings(a="leader", b="replica"), DEGRADED),
        (_readings(a="leader", b="replica", c="replica") | {Member("web", "a"): Reading(State.DOWN)}, DOWN),
    ],
)
def test_health_is_judged_from_all_readings(readings: dict[Member, Reading], health: str) -> None:
    assert judge(make_design(spec(), TOYS), readings).health == health


def test_when_no_host_answers_nothing_is_known() -> None:
    silent = Reading(State.DOWN, reason="host unreachable: no route", facts=UNREACHABLE)
    design = make_design(spec(), TOYS)
    assert judge(design, dict.fromkeys(design.members, silent)).health == UNKNOWN
    one = dict.fromkeys(design.members, silent) | {Member("store", "a"): Reading(State.OK, "leader")}
    assert judge(design, one).health == DOWN


def test_a_floating_address_that_nobody_holds_is_not_healthy() -> None:
    edge = Layer("edge", "web", ("a",), EntryOptions(vip="10.9.0.100"))
    floating = replace(spec(), layers={**spec().layers, "edge": edge})
    design = make_design(floating, TOYS | {"web": replace(WEB, options=EntryOptions)})
    assert judge(design, _readings(a="leader", b="replica", c="replica")).health == DEGRADED
    held = _readings(a="leader", b="replica", c="replica") | {Member("web", "a"): Reading(State.OK, "holder")}
    assert judge(design, held).health == HEALTHY
