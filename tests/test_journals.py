"""Journals of a drill: read as journald writes them, and what they tell of a failover."""

import asyncio
import json
from dataclasses import replace

import pytest

from holdfast.design.design import make_design
from holdfast.drills.clocks import Clock, Tick
from holdfast.drills.journals import (
    Entry,
    entries,
    failover_steps,
    masked,
    milestone_moments,
    milestones,
    phases,
    read_journal,
    text_of,
    units_of,
)
from holdfast.model.component import Component, Declaration
from holdfast.model.fault import Milestone
from holdfast.model.member import Member
from holdfast.model.watch import Output
from holdfast.wire.fake import FakeWire
from toys import TOYS, spec

# The machine's wall clock shows 1,000,000 s at second 100 of the drill.
CLOCK = Clock((Tick(100.0, 50.0, 1_000_000.0, 0.001),))
STEPS = (
    Milestone("detect", "store.service", "lost the leader"),
    Milestone("elect", "store.service", r"chose \w+"),
    Milestone("promote", "store.service", "^leads now$"),
    Milestone("route", "web.service", "server is UP"),
)


def line(at_s: float, unit: str, message: object, **more: object) -> str:
    data = {"__REALTIME_TIMESTAMP": str(int((1_000_000 + at_s - 100) * 1e6)), "_SYSTEMD_UNIT": unit}
    return json.dumps(data | {"MESSAGE": message} | more)


def story(*told: tuple[float, str, str]) -> tuple[Entry, ...]:
    return entries("\n".join(line(*each) for each in told), "b", CLOCK)


def test_entries_are_placed_on_the_clock_of_the_drill() -> None:
    (entry,) = story((112.5, "store.service", "lost the leader"))
    assert (round(entry.at_s, 6), entry.host, entry.unit) == (112.5, "b", "store.service")
    assert entry.text == "lost the leader"


def test_what_systemd_says_of_a_unit_is_of_that_unit() -> None:
    text = line(101, "init.scope", "Started the store.", UNIT="store.service")
    assert [each.unit for each in entries(text, "b", CLOCK)] == ["store.service"]


def test_messages_that_are_no_text_are_read_and_nonsense_is_left_out() -> None:
    text = "\n".join([line(101, "x", list(b"caf\xc3\xa9")), line(102, "x", None), "-- No entries --", "{}", "[1]"])
    assert [each.text for each in entries(text, "b", CLOCK)] == ["café", ""]


def test_milestones_are_those_of_their_unit_within_the_window() -> None:
    journal = story(
        (90, "store.service", "lost the leader"),
        (101, "web.service", "lost the leader"),
        (102, "store.service", "a moment ago I lost the leader"),
        (103, "store.service", "leads now, nearly"),
    )
    found = milestones(journal, STEPS, (100, 110))
    (moment,) = milestone_moments(found)
    assert (round(moment.at_s, 6), moment.text, moment.host) == (102, "detect: a moment ago I lost the leader", "b")


def test_each_phase_comes_after_the_one_before_it() -> None:
    """The router saw an old leader come up before its loss was noticed: that is not the route that counts."""
    journal = story(
        (98, "store.service", "lost the leader"),
        (101, "web.service", "server is UP"),
        (103, "store.service", "lost the leader"),
        (104, "store.service", "chose b"),
        (104.5, "store.service", "chose b"),
        (105, "store.service", "leads now"),
        (105.5, "web.service", "server is UP"),
        (109, "web.service", "server is UP"),
    )
    found = milestones(journal, STEPS, (90, 120))
    assert phases(found, 100.0) == pytest.approx({"detect": 3, "elect": 4, "promote": 5, "route": 5.5})


def test_a_router_that_knows_before_the_promotion_leads_nobody_there_yet() -> None:
    journal = story(
        (101, "store.service", "lost the leader"),
        (102, "web.service", "server is UP"),
        (102.1, "store.service", "chose b"),
        (103, "store.service", "leads now"),
    )
    found = milestones(journal, STEPS, (90, 120))
    assert phases(found, 100.0) == pytest.approx({"detect": 1, "elect": 2.1, "promote": 3, "route": 3})


def test_a_phase_that_was_not_seen_is_left_out() -> None:
    journal = story((101, "store.service", "leads now"), (102, "web.service", "server is UP"))
    found = milestones(journal, STEPS, (90, 120))
    assert phases(found, 100.0) == pytest.approx({"promote": 1, "route": 2})
    assert phases(found, 103.0) == {}


def test_a_journal_is_read_in_one_round_trip() -> None:
    wire = FakeWire("b", lambda _argv, _stdin: Output(0, line(101, "store.service", "hello")))
    (entry,) = asyncio.run(read_journal(wire, "b", ("store.service", "web.service"), CLOCK, since_s=99.0))
    assert entry.text == "hello"
    (argv,) = wire.asked
    assert argv[-5:] == ("--since=@999999.000", "-u", "store.service", "-u", "web.service")


def test_the_units_of_a_member_are_those_it_has_and_those_its_probes_name() -> None:
    design = make_design(spec(), TOYS)
    assert units_of(design, Member("store", "a")) == ("store.service",)


def test_only_steps_of_the_database_and_of_its_guides_are_a_failover() -> None:
    """A component of another layer has a failover of its own; one without a layer leads clients to all of them."""
    guide = Component("guide", lambda _spec: ("a",), lambda _spec, _host: Declaration(), lambda _context: ())
    parts = {
        "store": replace(TOYS["store"], milestones=STEPS[:3]),
        "web": replace(TOYS["web"], milestones=(Milestone("route", "web.service", "other"),)),
        "guide": replace(guide, milestones=STEPS),
    }
    steps = failover_steps(make_design(spec(), parts))
    assert steps == (*STEPS[:3], STEPS[3])


def test_text_has_both_times_and_no_other_unit() -> None:
    journal = story((101.25, "store.service", "two"), (100.5, "store.service", "one"), (101, "web.service", "no"))
    assert text_of(journal, ("store.service",)) == (
        "13:46:40.500     100.500  store.service  one\n13:46:41.250     101.250  store.service  two\n"
    )


def test_secrets_are_masked_whole_and_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nabc\n-----END KEY-----"
    text = "password hunter2hunter2hunter2, key MIIEvQIBADANBgkq abc"
    veiled = masked(text, {"hunter2hunter2hunter2": "database/app", key: "pki/host/a.key"})
    assert veiled == "password @@database/app@@, key @@pki/host/a.key@@ abc"
