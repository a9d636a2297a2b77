"""holdfast-watch: single decisions and their sentences, the gateway's JSON, the rules of a fence, where it runs."""

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

import pytest

from holdfast.components import registry
from holdfast.components.watcher.build import MODULES, PACKAGE, place, settings
from holdfast.components.watcher.service import fencing, senses
from holdfast.components.watcher.service.protocol import decide
from holdfast.components.watcher.service.views import look_request, metrics, txn_request, view_of
from holdfast.components.watcher.service.words import (
    Compare,
    Fence,
    Lead,
    Note,
    Self,
    Senses,
    Standing,
    Sync,
    Txn,
    View,
)
from holdfast.design.design import make_design
from holdfast.design.load import load
from holdfast.model.member import Member
from house import COMPONENTS, ROOT

ME = Self("b", ("a", "b", "c"))
LEAD = Lead("a", 40)
SYNC = Sync("a", ("b", "c"), 1, 50, '{"leader":"a","quorum":1,"sync_standby":"b,c"}')
DOUBTS = {name: Note("a", 40, 60) for name in ("b", "c")}
VIEW = View(LEAD, SYNC, {}, DOUBTS)
GONE = Senses(frozenset("a"), frozenset("a"), waited=True)
FENCE = Fence("a", 40)


def test_a_leader_that_is_heard_is_left_alone() -> None:
    assert decide(ME, replace(VIEW, doubts={}), None, Senses()).act == "rest"


def test_a_silent_leader_is_doubted_first_and_only_under_its_present_revision() -> None:
    decision = decide(ME, replace(VIEW, doubts={"b": Note("a", 39, 9)}), None, GONE)
    assert decision.act == "doubt"
    assert decision.txn
    assert decision.txn.leased, "the doubt of a host that falls silent itself must end"
    assert decision.txn.guards == (Compare("db:leader", 40),)


@pytest.mark.parametrize(
    ("me", "view", "why"),
    [
        (replace(ME, synchronous=False), VIEW, "commits wait for no replica"),
        (ME, replace(VIEW, paused=True), "paused"),
        (ME, replace(VIEW, sync=replace(SYNC, voters=())), "it wrote alone"),
        (ME, replace(VIEW, sync=replace(SYNC, leader="c")), "has not yet said"),
        (ME, replace(VIEW, sync=None), "it wrote alone"),
        (ME, replace(VIEW, doubts={"b": DOUBTS["b"]}), "no majority"),
        (ME, replace(VIEW, doubts={"b": DOUBTS["b"], "z": DOUBTS["c"]}), "no majority"),
        (ME, replace(VIEW, answers={"a": Note("a", 40, 61)}), "answers through the dcs"),
    ],
)
def test_it_stays_out_and_says_why(me: Self, view: View, why: str) -> None:
    decision = decide(me, view, None, GONE)
    assert decision.act == "rest"
    assert why in decision.why


def test_a_doubted_leader_that_is_alive_answers_once() -> None:
    accused = replace(ME, name="a")
    decision = decide(accused, VIEW, None, Senses())
    assert decision.act == "answer"
    assert decide(accused, replace(VIEW, answers={"a": Note("a", 40, 61)}), None, Senses()).act == "rest"


ANSWERED = replace(VIEW, answers={"a": Note("a", 40, 61)})
FIVE = replace(ME, hosts=tuple("abcde"))


def five(quorum: int) -> View:
    """Five hosts, of which all but the leader vote, and three doubt it."""
    sync = replace(SYNC, voters=tuple("bcde"), quorum=quorum)
    return replace(ANSWERED, sync=sync, doubts={name: Note("a", 40, 60) for name in "bce"})


@pytest.mark.parametrize(
    ("me", "view", "act"),
    [
        (ME, ANSWERED, "resign"),
        # It has, and waits for being deposed.
        (ME, VIEW, "rest"),
        (ME, replace(ANSWERED, doubts={}), "rest"),
        # The others are enough for commits, or it is paused, or no replica has everything.
        (ME, replace(ANSWERED, doubts={"b": DOUBTS["b"]}), "rest"),
        (ME, replace(ANSWERED, doubts={"b": DOUBTS["b"], "z": DOUBTS["c"]}), "rest"),
        (ME, replace(ANSWERED, paused=True), "rest"),
        (ME, replace(ANSWERED, sync=replace(SYNC, voters=())), "rest"),
        (replace(ME, synchronous=False), ANSWERED, "rest"),
        # Of four voters three doubt: a commit that waits for two cannot end, one that waits for one can.
        (FIVE, five(quorum=2), "resign"),
        (FIVE, five(quorum=3), "rest"),
    ],
)
def test_a_leader_that_only_the_dcs_reaches_gives_the_lead_up_when_commits_are_stuck(
    me: Self, view: View, act: str
) -> None:
    accused = replace(me, name="a")
    assert decide(accused, view, None, Senses(shunned=True)).act == act
    assert decide(accused, view, None, Senses()).act in ("rest", "answer"), "not at once"


def test_an_answer_that_was_taken_back_keeps_nobody_from_deposing() -> None:
    accused = replace(ME, name="a")
    given_up = decide(accused, ANSWERED, None, Senses(shunned=True)).txn
    assert given_up == Txn((Compare("our:answer/a", 61),), (), ("our:answer/a",))
    assert decide(ME, ANSWERED, None, GONE).act == "rest"
    assert decide(ME, replace(ANSWERED, answers={}), None, GONE).act == "fence"


def test_it_fences_then_promises_then_deposes() -> None:
    assert decide(ME, VIEW, None, GONE).act == "fence"
    assert decide(ME, VIEW, FENCE, GONE).act == "fence", "the rules are not seen in force yet"
    asked = decide(ME, VIEW, FENCE, replace(GONE, secured=True))
    assert asked.act == "promise"
    alone = replace(VIEW, promises={"b": Note("a", 40, 70)})
    assert decide(ME, alone, FENCE, GONE).why == "1 of 2 needed voters have fenced a"
    both = replace(VIEW, promises={"b": Note("a", 40, 70), "c": Note("a", 40, 71)})
    decision = decide(ME, both, FENCE, GONE)
    assert decision.act == "depose"
    assert decision.txn
    assert decision.txn.deletes == ("db:leader",)
    assert set(decision.txn.guards) == {
        Compare("db:leader", 40),
        Compare("db:sync", 50),
        Compare("our:promise/b", 70),
        Compare("our:promise/c", 71),
    }
    assert dict(decision.txn.puts)["db:sync"] == SYNC.text, "all voters promised: the text stays, its revision not"


def test_a_promise_of_another_revision_does_not_count() -> None:
    old = replace(VIEW, promises={"b": Note("a", 40, 70), "c": Note("a", 39, 71)})
    assert decide(ME, old, FENCE, GONE).act == "rest"


def test_the_promise_goes_before_the_fence() -> None:
    heard = Senses()
    promised = replace(VIEW, promises={"b": Note("a", 40, 70)})
    taken = decide(ME, promised, FENCE, heard)
    assert taken.act == "retract"
    assert taken.txn
    assert Compare("db:leader", 40) in taken.txn.guards, "not after it helped to depose"
    assert decide(ME, VIEW, replace(FENCE, asked=0), heard).act == "retract", "a request may be under way"
    written = replace(VIEW, promises={"b": Note("", 0, 72)})
    assert decide(ME, written, replace(FENCE, asked=0), heard).act == "unfence"


def test_an_unused_fence_ends_in_time() -> None:
    assert decide(ME, VIEW, FENCE, replace(GONE, expired=True)).act == "unfence"


@pytest.mark.parametrize(
    ("there", "act"),
    [
        (Standing("replica", "streaming", 2, 90), "unfence"),
        (Standing("replica", "running", 2, 90), "unfence"),
        (Standing("replica", "running", 1, 90), "rest"),
        (Standing("replica", "running", 2, 79), "rest"),
        (Standing("replica", "stopped", 2, 90), "rest"),
        (Standing("primary", "running", 1, 90), "rest"),
        (None, "rest"),
    ],
)
def test_a_fence_that_deposed_stands_until_the_old_host_is_a_replica(there: Standing | None, act: str) -> None:
    standings = {"b": Standing("replica", "streaming", 2, 85), "c": Standing("primary", "running", 2, 85)}
    view = View(Lead("c", 80), replace(SYNC, leader="c"), standings | ({"a": there} if there else {}))
    assert decide(ME, view, FENCE, Senses()).act == act


@pytest.mark.parametrize(("own", "act"), [(1, "unfence"), (2, "rest")])
def test_a_leader_that_took_its_key_again_is_believed_unless_a_later_timeline_is_known(own: int, act: str) -> None:
    standings = {"b": Standing("replica", "streaming", own, 85), "a": Standing("primary", "running", 1, 85)}
    assert decide(ME, View(Lead("a", 80), SYNC, standings), FENCE, Senses()).act == act


def test_a_promise_without_a_fence_is_kept() -> None:
    view = replace(VIEW, promises={"b": Note("a", 40, 70)})
    assert decide(ME, view, None, Senses()).act == "fence"


# The gateway's JSON


def pair(key: str, value: str, revision: int) -> dict[str, str]:
    return {"key": text(key), "value": text(value), "mod_revision": str(revision)}


def text(plain: str) -> str:
    return b64encode(plain.encode()).decode()


def answer(*pairs: dict[str, str]) -> dict[str, Any]:
    return {"response_range": {"kvs": list(pairs)} if pairs else {}}


def test_a_look_is_read() -> None:
    member = '{"role":"replica","state":"streaming","timeline":3,"xlog_location":1}'
    found = view_of(
        {
            "responses": [
                answer(pair("/db/leader", "a", 40)),
                answer(pair("/db/sync", SYNC.text, 50)),
                answer(pair("/db/config", '{"pause":true}', 3)),
                answer(pair("/db/members/b", member, 77)),
                answer(pair("/our/doubt/b", '{"about":"a","under":40}', 60), pair("/our/verdict", "{}", 1)),
            ]
        },
        "/db/",
        "/our/",
    )
    standing = {"b": Standing("replica", "streaming", 3, 77)}
    assert found == View(LEAD, SYNC, standing, {"b": Note("a", 40, 60)}, {}, {}, paused=True)


def test_an_empty_store_shows_nobody() -> None:
    assert view_of({"responses": [answer()] * 5}, "/db/", "/our/") == View()


def test_a_look_is_one_transaction_over_all_keys() -> None:
    wanted = [each["request_range"] for each in look_request("/db/", "/our/")["success"]]
    assert [b64decode(each["key"]).decode() for each in wanted] == [
        *("/db/leader", "/db/sync", "/db/config", "/db/members/", "/our/")
    ]
    assert b64decode(wanted[-1]["range_end"]) == b"/our0"


def test_a_transaction_compares_revisions_and_hangs_on_its_lease() -> None:
    txn = Txn((Compare("db:leader", 40),), (("our:doubt/b", "{}"),), ("db:leader",), leased=True)
    asked = txn_request(txn, "/db/", "/our/", "77")
    assert asked["compare"] == [{"key": text("/db/leader"), "target": "MOD", "result": "EQUAL", "mod_revision": "40"}]
    assert asked["success"] == [
        {"request_put": {"key": text("/our/doubt/b"), "value": text("{}"), "lease": "77"}},
        {"request_delete_range": {"key": text("/db/leader")}},
    ]


def test_metrics_are_what_prometheus_reads() -> None:
    assert metrics([("fence", "gauge", "A fence.", 1.0)]) == (
        "# HELP holdfast_watch_fence A fence.\n# TYPE holdfast_watch_fence gauge\nholdfast_watch_fence 1\n"
    )


# The host


def test_the_fence_cuts_one_direction_only() -> None:
    rules = fencing.rules("10.0.0.1", 5432, 8008)
    assert "ip daddr 10.0.0.1 tcp dport { 5432, 8008 } counter reject with tcp reset" in rules
    assert "ip saddr 10.0.0.1 tcp sport 5432 counter drop" in rules
    assert "saddr 10.0.0.1 tcp dport" not in rules, "what the old host opens stays possible: it must come back"


def test_a_stop_of_this_host_is_not_held_against_the_others() -> None:
    signs = senses.Senses({"name": "b", "hosts": {"a": "10.0.0.1", "b": "10.0.0.2"}, "port": 7901})
    signs.heard["a"] -= 5.0
    assert signs.silent(4.0) == {"a"}
    signs.forgive(4.5)
    assert not signs.silent(1.0)
    assert signs.stops == 1
    signs.heard["a"] -= 5.0
    signs.beaten -= 1.0
    assert not signs.silent(4.0), "it has not even sent its own beats"


def test_a_refused_connection_is_a_sign_of_life() -> None:
    assert senses._is_alive("127.0.0.1", 1)


# The design


def test_it_runs_where_it_is_wanted_and_can_be_outvoted() -> None:
    spec = load(ROOT / "cluster.yaml")
    assert place(spec) == ("a", "b", "c")
    layer = spec.layers["database"]
    off = replace(layer, options=layer.options.model_copy(update={"early_failover": False}))
    assert place(replace(spec, layers={**spec.layers, "database": off})) == ()
    two = replace(layer, hosts=("a", "b"))
    assert place(replace(spec, layers={**spec.layers, "database": two})) == ()


def test_all_of_the_service_is_shipped() -> None:
    present = {path.stem for path in (COMPONENTS / "watcher" / "service").glob("*.py")}
    assert present == set(MODULES)
    design = make_design(load(ROOT / "cluster.yaml"), registry())
    paths = {getattr(part, "path", "") for part in design.parts[Member("watcher", "a")]}
    assert {f"/usr/local/lib/holdfast/watch/{PACKAGE}/{name}.py" for name in MODULES} <= paths


def test_the_service_knows_its_own_dcs_member_and_the_others() -> None:
    design = make_design(load(ROOT / "cluster.yaml"), registry())
    found = json.loads(json.dumps(settings(design.contexts[Member("watcher", "b")])))
    assert found["store"]["near"] == "https://127.0.0.1:2379"
    assert found["store"]["endpoints"][0] == found["store"]["near"]
    assert sorted(found["store"]["far"]) == ["https://10.77.0.11:2379", "https://10.77.0.13:2379"]
    assert found["synchronous"] is True
    assert found["database"]["prefix"] == "/holdfast/shop/"
