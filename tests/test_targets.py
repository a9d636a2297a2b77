"""Words for hosts mean what they say, on statuses made by hand; and say why when they mean nobody."""

from collections.abc import Mapping, Sequence
from functools import cache

import pytest

from holdfast.design.design import Design, make_design
from holdfast.design.judge import Status, judge
from holdfast.design.parse import parse
from holdfast.drills.targets import TargetError, resolve, words
from holdfast.model.watch import Reading, State
from test_contract import LAYOUTS

FIVE = """
name: five
hosts: {v: 10.83.0.1, w: 10.83.0.2, x: 10.83.0.3, y: 10.83.0.4, z: 10.83.0.5}
layers:
  database: {hosts: [v, w, x, y, z]}
"""
ROLES = {
    "postgres": ("leader", "sync standby", "replica"),
    "etcd": ("follower", "leader", "follower"),
    "valkey": ("replica", "replica", "primary"),
    "keepalived": ("standby", "holder", "standby"),
}


@cache
def design(text: str) -> Design:
    return make_design(parse(text, "cluster.yaml", lambda _name: "0" * 64))


THREE = design(LAYOUTS["three"])
NINE = design(LAYOUTS["nine"])


def status(made: Design, roles: Mapping[str, Sequence[str]]) -> Status:
    """Every member is well; those of a component have its roles, in the order of their hosts."""
    readings = {member: Reading(State.OK) for member in made.members}
    for component, own in roles.items():
        for member, role in zip(made.of(component), own, strict=True):
            readings[member] = Reading(State.OK, role)
    return judge(made, readings)


def first(names: Sequence[str]) -> str:
    return names[0]


def last(names: Sequence[str]) -> str:
    return names[-1]


def meant(word: str, made: Design = THREE, **roles: Sequence[str]) -> tuple[str, ...]:
    return resolve(word, made, status(made, ROLES | roles), first)


@pytest.mark.parametrize(
    ("word", "hosts"),
    [
        ("leader", ("a",)),
        ("sync_standby", ("b",)),
        ("replica", ("b",)),
        ("dcs_leader", ("b",)),
        ("dcs_follower", ("a",)),
        ("cache_primary", ("c",)),
        ("cache_replica", ("a",)),
        ("vip_holder", ("b",)),
        ("vip_standby", ("a",)),
        ("app", ("a",)),
        ("minority", ("a",)),
        ("majority", ("b", "c")),
        ("everyone", ("a", "b", "c")),
        ("leader_zone", ("a",)),
        ("leader_side", ("a",)),
        ("zone:rack2", ("b",)),
        ("host:c", ("c",)),
        ("c", ("c",)),
        ("other", ("c",)),
        ("leader+sync_standby", ("a", "b")),
        ("dcs_leader+dcs_follower", ("b", "a")),
        ("replica+replica", ("b", "c")),
    ],
)
def test_a_word_means_what_it_says(word: str, hosts: tuple[str, ...]) -> None:
    assert meant(word) == hosts


def test_one_of_several_is_drawn() -> None:
    assert resolve("replica", THREE, status(THREE, ROLES), last) == ("c",)
    assert resolve("app", THREE, status(THREE, ROLES), last) == ("c",)


def test_every_word_is_explained_and_known() -> None:
    plain = [word for word in words() if ":" not in word and "+" not in word]
    assert len(plain) >= 15
    assert all(meant(word) for word in plain)
    assert all(words().values())


@pytest.mark.parametrize(
    ("word", "roles", "why"),
    [
        ("leader", {"postgres": ("replica", "replica", "replica")}, "nobody is the leader of the database now"),
        ("leader", {"postgres": ("leader", "leader", "replica")}, "a and b both say they are the leader"),
        ("sync_standby", {"postgres": ("leader", "replica", "replica")}, "no host is a synchronous standby now"),
        ("replica", {"postgres": ("leader", "", "")}, "no host is a replica of the database now"),
        ("leader+replica+replica+replica", {}, "besides a, b, c"),
        ("vip_holder", {"keepalived": ("standby",) * 3}, "nobody holds the floating address now"),
        ("vip_holder", {"keepalived": ("holder", "holder", "standby")}, "a and b hold the floating address now"),
        ("vip_standby", {"keepalived": ("", "holder", "")}, "no host is a standby for the floating address now"),
        ("zone:moon", {}, "no host is in zone moon; zones: rack1, rack2, rack3"),
        ("host:moon", {}, "'host:moon' is neither a host nor a word for one"),
        ("laeder", {}, "'laeder' is neither a host nor a word for one; known: leader,"),
        ("", {}, "'' is neither a host"),
    ],
)
def test_a_word_that_means_nobody_says_why(word: str, roles: dict[str, Sequence[str]], why: str) -> None:
    with pytest.raises(TargetError) as refused:
        resolve(word, THREE, status(THREE, ROLES | roles), first)
    assert why in str(refused.value)


def test_a_silent_host_has_no_role() -> None:
    """What cannot be asked is not aimed at by its role; by its name it still is."""
    assert meant("replica", postgres=("leader", "", "replica")) == ("c",)
    assert meant("b", postgres=("leader", "", "replica")) == ("b",)


def test_words_of_layers_that_are_not_there() -> None:
    data = design(LAYOUTS["data"])
    roles = {"postgres": ROLES["postgres"], "etcd": ROLES["etcd"]}
    for word, why in (
        ("vip_holder", "no floating address"),
        ("cache_primary", "nobody is the primary"),
        ("app", "no host is an application host"),
    ):
        with pytest.raises(TargetError, match=why):
            resolve(word, data, status(data, roles), first)


@pytest.mark.parametrize("leader", range(5))
def test_the_minority_has_the_leader_and_the_majority_the_quorum(leader: int) -> None:
    made = design(FIVE)
    sql = ["replica"] * 5
    sql[leader] = "leader"
    dcs = ["leader", *["follower"] * 4]
    now = status(made, {"postgres": sql, "etcd": dcs})
    few, many = resolve("minority", made, now, last), resolve("majority", made, now, last)
    voters = {member.host for member in made.of("etcd")}
    assert "vwxyz"[leader] in few
    assert len(few) == (len(voters) - 1) // 2
    assert set(few) | set(many) == voters
    assert not set(few) & set(many)


def test_without_the_database_the_leader_of_the_dcs_is_in_the_minority() -> None:
    assert meant("minority", postgres=("", "", "")) == ("b",)


def test_a_dcs_of_one_has_no_minority() -> None:
    made = design("name: one\nhosts: {x: 10.84.0.1}\nlayers:\n  database: {hosts: [x]}\n")
    with pytest.raises(TargetError, match="the dcs has 1 members: it can do without none"):
        resolve("minority", made, status(made, {"postgres": ("leader",), "etcd": ("leader",)}), first)


def test_apart_layers_the_leaders_side_has_an_application_host() -> None:
    roles = ROLES | {"keepalived": ("holder", "standby")}
    now = status(NINE, roles)
    assert resolve("leader", NINE, now, first) == ("db1",)
    assert resolve("leader_side", NINE, now, first) == ("db1", "app1")
    assert sorted(resolve("leader_zone", NINE, now, first)) == ["app1", "db1", "edge1", "mem1"]


def test_the_other_has_the_fewest_roles_and_never_leads_the_database() -> None:
    assert meant("other", etcd=("leader", "follower", "follower"), valkey=("primary", "replica", "replica")) == ("c",)
    crowded = meant("other", etcd=("follower", "leader", "follower"), keepalived=("standby", "holder", "standby"))
    assert crowded == ("c",)
