"""What the contract cannot express of etcd: where its members sit, what is refused, how a lost member joins again."""

from typing import Any

import pytest

from holdfast.components import etcd
from holdfast.model.member import Member
from sqlkit import apart, reading, script, spec

# etcd: place


@pytest.mark.parametrize(
    ("hosts", "database", "members"),
    [
        ("a", "a", "a"),
        ("abc", "abc", "abc"),
        ("abcde", "abcde", "abcde"),
        ("abcd", "ab", "abc"),
        ("abcd", "abcd", "abc"),
        ("abcdefg", "abcdefg", "abcde"),
        ("ab", "", ""),
    ],
)
def test_dcs_members_follow_from_the_database(hosts: str, database: str, members: str) -> None:
    assert "".join(etcd.component.place(spec(apart(hosts), database))) == members


def test_the_third_member_prefers_a_zone_of_its_own() -> None:
    zones = {"a": "one", "b": "two", "c": "one", "d": "three"}
    assert etcd.component.place(spec(zones, "ab")) == ("a", "b", "d")


def test_three_of_four_members_take_different_zones() -> None:
    zones = {"a": "one", "b": "one", "c": "two", "d": "three"}
    assert etcd.component.place(spec(zones, "abcd")) == ("a", "c", "d")


def test_a_declared_layer_decides() -> None:
    assert etcd.component.place(spec(apart("abcde"), "abc", dcs="cde")) == ("c", "d", "e")


@pytest.mark.parametrize(("database", "dcs", "path"), [("ab", None, "database"), ("abc", "ab", "dcs")])
def test_two_dcs_members_are_refused(database: str, dcs: str | None, path: str) -> None:
    (complaint,) = etcd.component.check(spec(apart("abc"[: len(database)]), database, dcs))
    assert complaint.path == ("layers", path, "hosts")
    assert "two dcs members have no quorum when either of a, b dies" in complaint.message


def test_four_dcs_members_are_refused() -> None:
    (complaint,) = etcd.component.check(spec(apart("abcd"), "abc", dcs="abcd"))
    assert "survive no more failures than 3" in complaint.message


@pytest.mark.parametrize("database", ["a", "abc", "abcd"])
def test_an_odd_number_of_members_is_fine(database: str) -> None:
    assert etcd.component.check(spec(apart("abcd"), database)) == ()


def test_a_zone_with_the_majority_is_foreseen() -> None:
    zones = {"a": "rack1", "b": "rack1", "c": "rack2"}
    (finding,) = etcd.component.foresee(spec(zones, "abc"))
    assert finding.what == "a and b share zone rack1: losing it loses the etcd quorum"
    assert etcd.component.foresee(spec(apart("abc"), "abc")) == ()


def test_a_single_member_is_foreseen() -> None:
    (finding,) = etcd.component.foresee(spec(apart("a"), "a"))
    assert "one member (a)" in finding.what


# etcd: joining after a loss of data


def entry(name: str, *, seen: bool) -> dict[str, Any]:
    found = {"ID": "7", "name": name, "peerURLs": ["https://10.0.0.12:2380"]}
    return found | ({"clientURLs": ["https://10.0.0.12:2379"]} if seen else {})


@pytest.mark.parametrize(
    ("members", "action"),
    [
        pytest.param(None, "start", id="no quorum: the first start of all"),
        pytest.param([entry("b", seen=False)], "start", id="named and never seen: the first start of this one"),
        pytest.param([entry("b", seen=True)], "replace", id="it has run before: its disk is lost"),
        pytest.param([entry("", seen=False)], "added", id="stopped between being added and starting"),
        pytest.param([], "join", id="unknown to the cluster"),
    ],
)
def test_a_member_without_data_decides(members: list[dict[str, Any]] | None, action: str) -> None:
    assert script("etcd", "start")["decide"](members, "https://10.0.0.12:2380")[0] == action


def test_the_cluster_a_member_joins_is_the_one_that_is() -> None:
    others = [{"name": "a", "peerURLs": ["https://a:2380"]}, {"peerURLs": ["https://b:2380"]}]
    assert (
        script("etcd", "start")["initial_cluster"](others, "b", "https://b:2380")
        == "a=https://a:2380,b=https://b:2380"
    )


def test_two_raft_leaders_are_a_violation_in_one_term_only() -> None:
    a, b = Member("etcd", "a"), Member("etcd", "b")
    deposed = {a: reading("leader", raft_term="3"), b: reading("leader", raft_term="4")}
    assert etcd.component.violations(deposed) == ()
    (sentence,) = etcd.component.violations({each: reading("leader", raft_term="3") for each in (a, b)})
    assert "etcd@a and etcd@b" in sentence
