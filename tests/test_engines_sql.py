"""What the contract cannot express of postgres and haproxy: what they refuse, decide and read."""

import json
import re
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from holdfast.components import etcd, haproxy, postgres
from holdfast.components.etcd.watch import read_etcd
from holdfast.components.haproxy.build import _quoted
from holdfast.components.haproxy.watch import read_haproxy
from holdfast.components.postgres.settings import LOOP_WAIT_S, RETRY_TIMEOUT_S, TTL_S, dynamic
from holdfast.components.postgres.spec import PostgresOptions
from holdfast.components.postgres.watch import read_postgres
from holdfast.model.component import Component, Context, Declaration, Flow, Tie
from holdfast.model.member import Member
from holdfast.model.parts import Effect, File, Package, Unit
from holdfast.model.spec import Durability, Options, Spec
from holdfast.model.watch import Output, State
from sqlkit import apart, reading, script, spec

# postgres: options and promises


def test_more_synchronous_replicas_than_replicas_are_refused() -> None:
    assert postgres.component.check(spec(apart("abc"), "abc", sync_replicas=2)) == ()
    (complaint,) = postgres.component.check(spec(apart("abc"), "abc", sync_replicas=3))
    assert complaint.path == ("layers", "database", "sync_replicas")


@pytest.mark.parametrize("name", ["synchronous_commit", "ssl_cert_file", "SSL", "fsync", "wal_level"])
def test_parameters_that_promises_hang_on_are_refused(name: str) -> None:
    (complaint,) = postgres.component.check(spec(apart("abc"), "abc", parameters={name: "off", "work_mem": "8MB"}))
    assert complaint.path == ("layers", "database", "parameters", name)


def test_a_spec_without_the_engine_is_none_of_its_business() -> None:
    empty = spec(apart("abc"))
    assert postgres.component.place(empty) == ()
    assert postgres.component.check(empty) == ()
    assert postgres.component.foresee(empty) == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (spec(apart("a"), "a"), "runs on a only"),
        (spec({"a": "x", "b": "x", "c": "x"}, "abc"), "all copies of the database are in zone x"),
        (spec(apart("abc"), "abc", durability=Durability.PERFORMANCE), "may lose some"),
        (spec(apart("ab"), "ab", durability=Durability.PROTECTION), "any one database host stops all writes"),
        (spec(apart("abc"), "abc", rto_s=10.0), "rto is 10 s"),
    ],
)
def test_a_weakness_is_foreseen(given: Spec, words: str) -> None:
    (finding,) = postgres.component.foresee(given)
    assert words in finding.what


def test_three_hosts_in_three_zones_have_no_weakness() -> None:
    assert postgres.component.foresee(spec(apart("abc"), "abc")) == ()


# postgres: the shared configuration


@pytest.mark.parametrize(
    ("durability", "mode", "strict"),
    [
        (Durability.PERFORMANCE, False, None),
        (Durability.AVAILABILITY, "quorum", False),
        (Durability.PROTECTION, "quorum", True),
    ],
)
def test_durability_decides_what_a_commit_waits_for(durability: Durability, mode: object, strict: object) -> None:
    shared = dynamic(durability, PostgresOptions(sync_replicas=2))
    assert shared["synchronous_mode"] == mode
    assert shared.get("synchronous_mode_strict") is strict
    assert shared.get("synchronous_node_count") == (2 if mode else None)


def test_timings_obey_patronis_own_rule() -> None:
    assert LOOP_WAIT_S + 2 * RETRY_TIMEOUT_S <= TTL_S
    assert TTL_S >= 20


def test_parameters_of_the_user_are_added_as_text() -> None:
    shared = dynamic(Durability.AVAILABILITY, PostgresOptions(parameters={"jit": False, "work_mem": "8MB", "x": 3}))
    parameters = shared["postgresql"]["parameters"]
    assert (parameters["jit"], parameters["work_mem"], parameters["x"]) == ("off", "8MB", "3")
    assert all(isinstance(each, str) for each in parameters.values())


def test_the_shared_configuration_survives_json_sorted() -> None:
    shared = dynamic(Durability.PROTECTION, PostgresOptions())
    assert json.loads(json.dumps(shared, sort_keys=True)) == shared


# postgres: what is built


def tie(component: Component, given: Spec, client: Member, server: str) -> tuple[Tie, ...]:
    host = given.host(server)
    needs = {need.kind: need for need in declaration(client, given).needs}
    offers = component.declare(given, host).offers
    return tuple(
        Tie(client, Member(component.name, server), host, each, needs[each.kind])
        for each in offers
        if each.kind in needs
    )


def declaration(client: Member, given: Spec) -> Declaration:
    component = {"postgres": postgres.component, "haproxy": haproxy.component}[client.component]
    return component.declare(given, given.host(client.host))


def context(
    given: Spec, component: Component, servers: Component, host: str, flows: tuple[Flow, ...] = ()
) -> Context:
    member = Member(component.name, host)
    return Context(
        spec=given,
        host=given.host(host),
        member=member,
        options=given.layers["database"].options if component.name == "postgres" else Options(),
        peers=tuple(given.host(name) for name in component.place(given)),
        ties=tuple(each for name in servers.place(given) for each in tie(servers, given, member, name)),
        flows=flows,
    )


def file(component: Component, of: Context, path: str) -> File:
    return next(part for part in component.build(of) if isinstance(part, File) and part.path == path)


def test_the_own_hosts_dcs_member_is_asked_first_and_load_is_spread() -> None:
    given = spec(apart("abcd"), "abc")
    hosts = {
        name: [
            line.split()[-1]
            for line in file(
                postgres.component,
                context(given, postgres.component, etcd.component, name),
                "/etc/patroni/config.yml",
            ).content.splitlines()
            if line.startswith("  - ") and line.endswith(":2379")
        ]
        for name in "abc"
    }
    assert all(each[0] == "127.0.0.1:2379" and len(each) == 3 for each in hosts.values())
    assert hosts["a"][1:] == ["10.0.0.12:2379", "10.0.0.13:2379"]
    assert hosts["b"][1:] == ["10.0.0.13:2379", "10.0.0.11:2379"]


def test_only_hosts_that_use_sql_may_log_in() -> None:
    given = spec(apart("abcd"), "abc")
    flows = (Flow("d", "a", "tcp", 5432, "router uses sql"), Flow("c", "a", "tcp", 8008, "checks"))
    of = context(given, postgres.component, etcd.component, "a", flows)
    rules = [line.strip() for line in file(postgres.component, of, "/etc/patroni/config.yml").content.splitlines()]
    logins = [line for line in rules if line.startswith("- hostssl app app")]
    assert logins == [f"- hostssl app app 10.0.0.{number}/32 scram-sha-256" for number in (11, 14)]
    assert not [line for line in rules if line.startswith("- host ") or "trust" in line or "md5" in line]


def test_a_change_of_the_shared_configuration_never_restarts_by_itself() -> None:
    given = spec(apart("abc"), "abc")
    of = context(given, postgres.component, etcd.component, "a")
    assert file(postgres.component, of, "/etc/patroni/dynamic.json").effect is Effect.NONE
    assert file(postgres.component, of, "/etc/patroni/config.yml").effect is Effect.RELOAD


def test_debians_own_cluster_is_never_made() -> None:
    parts = postgres.component.build(context(spec(apart("abc"), "abc"), postgres.component, etcd.component, "a"))
    early = [part for part in parts if isinstance(part, File) and part.early]
    assert [part.path for part in early] == ["/etc/postgresql-common/createcluster.conf"]
    assert Unit("postgresql.service", running=False) in parts
    assert Package("postgresql-17") in parts


def test_passwords_are_names_only() -> None:
    of = context(spec(apart("abc"), "abc"), postgres.component, etcd.component, "a")
    roles = json.loads(file(postgres.component, of, "/etc/patroni/roles.json").content)["roles"]
    assert [each["password"] for each in roles] == [
        "@@database/replicator@@",
        "@@database/rewinder@@",
        "@@database/app@@",
    ]


def test_a_switchover_names_its_target_or_leaves_it_open() -> None:
    of = context(spec(apart("abc"), "abc"), postgres.component, etcd.component, "a")
    assert postgres.component.handover is not None
    named, open_ = postgres.component.handover(of, "b"), postgres.component.handover(of, "")
    data = "/var/lib/postgresql/17/shop"
    assert named.argv[-3:] == ("switchover", data, "b")
    assert open_.argv[-2:] == ("switchover", data)


# postgres: passwords as verifiers


def test_a_verifier_is_the_one_of_the_standard() -> None:
    """RFC 7677 has this exchange: user, password "pencil", salt and 4096 rounds; its keys give this verifier."""
    roles = script("postgres", "roles")
    known = (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert roles["matches"]("pencil", known)
    assert not roles["matches"]("Pencil", known)
    assert not roles["matches"]("pencil", "")


def test_a_role_is_right_only_with_its_password_and_database() -> None:
    roles = script("postgres", "roles")
    wanted = [{"name": "app", "password": "secret", "attributes": "LOGIN", "database": "app"}]
    good = {"app": roles["verifier"]("secret", b"salt")}

    def right(found: dict[str, Any]) -> bool:
        return bool(roles["is_right"](wanted, found))

    assert right({"replica": False, "roles": good, "owners": {"app": "app"}})
    assert right({"replica": True, "roles": {}, "owners": {}})
    assert not right({"replica": False, "roles": good, "owners": {"app": "postgres"}})
    assert not right({"replica": False, "roles": {}, "owners": {"app": "app"}})


# postgres: after a power cut


def test_a_dead_postmasters_file_is_removed(tmp_path: Path) -> None:
    forget = script("postgres", "start")["forget_dead_postmaster"]
    forget(str(tmp_path))
    # This process lives, but it is no postmaster: so may any process be that got the number after a boot.
    (tmp_path / "postmaster.pid").write_text("1\n")
    forget(str(tmp_path))
    assert not (tmp_path / "postmaster.pid").exists()


# postgres: before a promotion


# "Yg==" is "b" in base64: the dcs's JSON has names that way. An empty text is a member that does not answer.
LEADS = '{"header":{},"kvs":[{"key":"L2hvbGRmYXN0","value":"%s"}],"count":"1"}'
NOBODY_LEADS = '{"header":{}}'


@pytest.mark.parametrize(
    ("answers", "promoted"),
    [
        ((LEADS % "Yg==", "", ""), True),
        (("", "", LEADS % "Yg=="), True),
        ((LEADS % "YQ==", LEADS % "Yg==", ""), False),
        ((NOBODY_LEADS, "", ""), False),
        (("", "<html>", ""), False),
    ],
)
def test_only_whom_the_leader_key_names_is_promoted(tmp_path: Path, answers: tuple[str, ...], promoted: bool) -> None:
    of = context(spec(apart("abc"), "abc"), postgres.component, etcd.component, "b")
    asked = tmp_path / "leads"
    asked.write_text(file(postgres.component, of, "/usr/local/lib/holdfast/postgres-leads").content)
    for member, answer in zip(("127.0.0.1", "10.0.0.13", "10.0.0.11"), answers, strict=True):
        (tmp_path / member).write_text(answer)
    curl = tmp_path / "curl"
    curl.write_text(
        f"""#!/bin/sh
for address; do :; done
address=${{address#https://}}
exec grep -h . "{tmp_path}/${{address%%:*}}"
"""
    )
    curl.chmod(0o755)
    done = subprocess.run(
        ("sh", asked), env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is promoted, done.stderr
    assert bool(done.stderr) is not promoted
    (wanted,) = [each for each in asked.read_text().split('"') if each.startswith("L2")]
    assert b64decode(wanted) == f"/holdfast/{of.spec.name}/leader".encode()


# Readers of what no sample has


@pytest.mark.parametrize("read", [read_etcd, read_postgres, read_haproxy])
@pytest.mark.parametrize("stdout", ["", "not json\n", "[]\n", "null\n", "{}\n", '{"state": null'])
def test_nonsense_is_never_ok(read: Any, stdout: str) -> None:
    reading = read(Output(7, stdout, "curl: (7) no"))
    assert reading.state is not State.OK
    assert reading.reason


@pytest.mark.parametrize("read", [read_etcd, read_postgres])
def test_silence_is_told_from_refusal(read: Any) -> None:
    assert "within 2 s" in read(Output(28)).reason
    assert "refused" in read(Output(7, "", "curl: (7) refused")).reason


def patroni(**own: Any) -> Output:
    state = {"state": "running", "role": "replica", "replication_state": "streaming", "patroni": {"name": "a"}}
    cluster = {"members": [{"name": "a", "role": "replica", "state": "streaming", "lag": own.pop("lag", 0)}]}
    return Output(0, f"{json.dumps(state | own)}\n{json.dumps(cluster)}\n")


@pytest.mark.parametrize(
    ("output", "state", "words"),
    [
        (patroni(), State.OK, ""),
        (patroni(lag=200 * 1048576), State.DEGRADED, "200 MiB behind"),
        (patroni(lag="unknown"), State.OK, ""),
        (patroni(state="creating replica"), State.STARTING, "creating replica"),
        (patroni(state="start failed"), State.DOWN, "start failed"),
        (patroni(cluster_unlocked=True), State.DEGRADED, "no leader"),
        (patroni(replication_state="in archive recovery"), State.DEGRADED, "does not stream"),
    ],
)
def test_a_members_own_words_are_judged(output: Output, state: State, words: str) -> None:
    reading = read_postgres(output)
    assert reading.state is state
    assert words in reading.reason


def test_two_leaders_are_a_violation() -> None:
    a, b = Member("postgres", "a"), Member("postgres", "b")
    assert postgres.component.violations({a: reading("leader"), b: reading("replica")}) == ()
    (sentence,) = postgres.component.violations(
        {a: reading("leader", timeline="3"), b: reading("leader", timeline="4")}
    )
    assert sentence == "two database leaders: postgres@a (timeline 3) and postgres@b (timeline 4)"


# haproxy


def test_a_router_sits_where_applications_have_something_to_route_to() -> None:
    assert haproxy.component.place(spec(apart("abc"), "abc", app="ab")) == ("a", "b")
    assert haproxy.component.place(spec(apart("abc"), app="ab")) == ()


def test_every_database_host_is_a_leader_a_replica_and_a_last_resort() -> None:
    given = spec(apart("abc"), "abc", app="ab")
    text = file(
        haproxy.component, context(given, haproxy.component, postgres.component, "a"), "/etc/haproxy/haproxy.cfg"
    ).content
    farms = text.split("\nbackend sql_replicas\n")
    assert farms[0].count("check-ssl verify required verifyhost") == 3
    assert farms[1].count("check-ssl verify required verifyhost") == 3
    assert farms[1].count("track sql_leader/") == 3
    assert "cache" not in farms[1]


def test_a_session_waits_while_not_exactly_one_leads() -> None:
    router = context(spec(apart("abc"), "abc", app="ab"), haproxy.component, postgres.component, "a")
    waiting = file(haproxy.component, router, "/etc/haproxy/waiting-room.lua").content
    text = file(haproxy.component, router, "/etc/haproxy/haproxy.cfg").content
    patience_s, limit_ms = re.search(r"inspect-delay (\d+)s", text), re.search(r"LIMIT_MS.* = (\d+),", waiting)
    assert patience_s is not None
    assert limit_ms is not None
    # HAProxy cuts an action short that is not over when the delay is.
    assert int(limit_ms[1]) < 1000 * int(patience_s[1])
    assert 'register_action("wait_for_one", { "tcp-req" }' in waiting
    assert "lua.wait_for_one sql_leader unless { nbsrv(sql_leader) eq 1 }" in text


def test_words_of_a_check_cannot_leave_their_quotes() -> None:
    assert _quoted('PING "x" $HOME \\\r\n') == '"PING \\"x\\" \\$HOME \\\\\\r\\n"'


def statistics(**up: str) -> Output:
    rows = [f"sql_{farm},{name},UP,0" for farm, names in up.items() for name in names]
    rows += [f"sql_{farm},{name},DOWN 1/2,0" for farm, names in up.items() for name in set("abc") - set(names)]
    return Output(0, "\n".join(["# pxname,svname,status,bck", *rows, "sql_replicas,a-leader,UP,1"]) + "\n")


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (statistics(leader="a", replicas="bc"), ""),
        (statistics(leader="", replicas="bc"), "no database leader is reachable"),
        (statistics(leader="ab", replicas="c"), "a and b both say they are the database leader"),
        (statistics(leader="a", replicas=""), "no database replica is reachable"),
    ],
)
def test_a_router_says_whom_it_would_use(output: Output, words: str) -> None:
    assert read_haproxy(output).reason == words


def test_a_single_database_host_has_no_replica_to_miss() -> None:
    assert (
        read_haproxy(Output(0, "# pxname,svname,status,bck\nsql_leader,a,UP,0\nsql_replicas,a,DOWN,0\n")).state
        is State.OK
    )
