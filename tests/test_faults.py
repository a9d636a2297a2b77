"""Every fault of a design: complete, built of constants, safe to undo twice; its evidence read from real answers."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from holdfast.design.design import Design, make_design
from holdfast.design.parse import parse
from holdfast.drills.catalogue import faults_of
from holdfast.drills.targets import words
from holdfast.model.fault import UNDERNEATH, Aim, Blow, Evidence, Fault
from holdfast.model.watch import Output
from test_contract import LAYOUTS

# Words of the undoing commands that are there twice over: a second time they change nothing.
IDEMPOTENT = {
    ("systemctl", "start"),
    ("systemctl", "try-reload-or-restart"),
    ("rm", "--force"),
    ("etcdctl",),
    ("python3", "-I"),
    ("setpriv",),
    ("sh", "-c"),
    ("nft",),
}


@cache
def design(layout: str) -> Design:
    return make_design(parse(LAYOUTS[layout], "cluster.yaml", lambda _name: "0" * 64))


class PaperGround:
    """A ground that can do everything, on paper."""

    def lacks(self, power: str) -> str:
        return ""

    def power_off(self, host: str) -> Blow:
        return paper("power-off", host)

    def freeze(self, host: str) -> Blow:
        return paper("freeze", host)

    def cut(self, grudges: tuple[tuple[str, str], ...]) -> Blow:
        return paper("cut", *(f"{one}>{other}" for one, other in grudges))

    def lose(self, hosts: Sequence[str], percent: int) -> Blow:
        return paper("lose", *hosts, str(percent))

    def drop(self, host: str, protocol: str) -> Blow:
        return paper("drop", host, protocol)

    def delay(self, host: str, delay_ms: int, jitter_ms: int) -> Blow:
        return paper("delay", host, str(delay_ms), str(jitter_ms))

    def slow_disk(self, host: str) -> Blow:
        return paper("slow_disk", host)


def paper(*argv: str) -> Blow:
    return Blow(UNDERNEATH, (argv,), (("undo", *argv),), (Evidence(("show", *argv), lambda output: output.stdout),))


def everyone(layout: str) -> tuple[str, ...]:
    return tuple(host.name for host in design(layout).spec.hosts)


def struck(fault: Fault, layout: str = "three", *hosts: str) -> tuple[Blow, ...]:
    return fault.strike(Aim(hosts or everyone(layout), everyone(layout)), PaperGround())


def faults(layout: str = "three") -> dict[str, Fault]:
    return {fault.name: fault for fault in faults_of(design(layout))}


def over_ssh() -> Iterator[Fault]:
    return (each for each in faults().values() if not each.needs)


NAMES = sorted(faults())
SSH_NAMES = sorted(fault.name for fault in over_ssh())


# Values


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_is_complete(name: str) -> None:
    fault = faults()[name]
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)
    assert "{hosts}" in fault.title or fault.target == "everyone"
    assert fault.title.format(hosts="a")
    assert fault.diagnosis.format(hosts="a")
    assert "{" not in fault.diagnosis.format(hosts="a"), "nothing is left to fill in"
    assert fault.promise
    assert fault.hold_s > 0
    assert all(word in words() for word in fault.target.split("+"))


@pytest.mark.parametrize("name", NAMES)
def test_blows_are_commands_with_evidence(name: str) -> None:
    blows = struck(faults()[name])
    assert blows
    for blow in blows:
        assert blow.place in (*everyone("three"), UNDERNEATH)
        assert blow.inject
        assert blow.evidence, "a fault that cannot be shown to bite proves nothing"
        for argv in (*blow.inject, *blow.heal, *(each.argv for each in blow.evidence)):
            assert isinstance(argv, tuple)
            assert argv
            assert all(isinstance(word, str) for word in argv)


@pytest.mark.parametrize("name", SSH_NAMES)
def test_over_ssh_nothing_lies_underneath(name: str) -> None:
    blows = faults()[name].strike(Aim(everyone("three"), everyone("three")), None)
    assert blows
    assert UNDERNEATH not in {blow.place for blow in blows}


@pytest.mark.parametrize("name", SSH_NAMES)
def test_undoing_twice_is_undoing_once(name: str) -> None:
    """By construction: every undoing command is of a kind that asks first or cannot fail for being late."""
    for blow in struck(faults()[name]):
        for argv in blow.heal:
            assert any(argv[: len(known)] == known for known in IDEMPOTENT), argv
            assert not any("|| true" in word for word in argv), "a failure to undo must be told, not hidden"
            if argv[0] == "nft":
                table = argv[1].removeprefix("add table ").split(";")[0]
                assert argv[1] == f"add table {table}; delete table {table}"


@pytest.mark.parametrize("name", SSH_NAMES)
def test_scripts_are_constants(name: str) -> None:
    """The text of a script is the same on every host: what differs is handed over as words."""
    by_host = {host: list(scripts(faults()[name], host)) for host in everyone("three")}
    assert by_host["a"] == by_host["b"] == by_host["c"]


def scripts(fault: Fault, host: str) -> Iterator[str]:
    for blow in struck(fault, "three", host, *(each for each in everyone("three") if each != host)):
        for argv in (*blow.inject, *blow.heal, *(each.argv for each in blow.evidence)):
            if blow.place == host and ("-c" in argv[:3] and argv[0] in ("sh", "python3")):
                yield argv[argv.index("-c") + 1]


def test_ground_is_asked_for_what_the_fault_says() -> None:
    cut = struck(faults()["machine-cut"], "three", "a")[0].inject[0]
    assert cut == ("cut", "a>", ">a")
    assert struck(faults()["machine-cut-in"], "three", "a")[0].inject[0] == ("cut", ">a")
    assert struck(faults()["machine-cut-out"], "three", "a")[0].inject[0] == ("cut", "a>")
    assert struck(faults()["pair-cut"], "three", "a", "c")[0].inject[0] == ("cut", "a>c", "c>a")
    assert struck(faults()["group-cut"], "three", "a")[0].inject[0] == ("cut", "a>b", "b>a", "a>c", "c>a")
    assert struck(faults()["machine-delay-50"], "three", "a")[0].inject[0] == ("delay", "a", "50", "10")
    assert [blow.inject[0] for blow in struck(faults()["machine-power-off"], "three", "a", "b")] == [
        ("power-off", "a"),
        ("power-off", "b"),
    ]


def test_a_partial_cut_leaves_what_it_says() -> None:
    others = "10.77.0.12, 10.77.0.13"
    no_dcs = " ".join(struck(faults()["inside-no-dcs"], "three", "a")[0].inject[0])
    for rule in (f"ip saddr {{ {others} }} tcp dport {{ 2379, 2380 }}", f"ip daddr {{ {others} }} tcp sport"):
        assert rule in no_dcs
    assert f"ip saddr {{ {others} }} counter drop" not in no_dcs, "everything else passes"
    only_dcs = " ".join(struck(faults()["inside-only-dcs"], "three", "a")[0].inject[0])
    assert "tcp dport { 2379, 2380 } accept" in only_dcs
    assert f"ip saddr {{ {others} }} counter drop" in only_dcs
    assert only_dcs.index("2379, 2380 } accept") < only_dcs.index("counter drop")
    lone = " ".join(struck(faults()["inside-only-sql"], "three", "a", "c")[0].inject[0])
    assert "ip saddr 10.77.0.13 tcp sport { 5432 } accept" in lone
    assert "ip daddr 10.77.0.13 tcp dport { 5432 } accept" in lone
    assert "10.77.0.12 tcp" not in lone, "the third host reaches nothing"
    assert "8008" not in lone
    assert struck(faults()["inside-only-sql"], "three", "a") == ()


def test_without_a_ground_nothing_is_struck_from_underneath() -> None:
    for fault in faults().values():
        if fault.needs and fault.name != "machine-disk-full":
            assert fault.strike(Aim(("a",), everyone("three")), None) == ()


def test_a_member_is_struck_where_it_is() -> None:
    kill = faults("nine")["postgres-kill"]
    assert [blow.place for blow in struck(kill, "nine")] == ["db1", "db2", "db3"]
    assert struck(kill, "nine", "edge1") == ()
    sentinel = faults("nine")["valkey-sentinels-down"]
    assert len(struck(sentinel, "nine")) == 2


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_unit_with_processes_can_be_killed_hung_restarted_and_kept_down(layout: str) -> None:
    names = faults(layout).keys()
    for component in design(layout).components:
        if component not in ("firewall", "pki"):
            assert [name for name in names if name.startswith(component) and name.endswith("-kill")], component
    assert not [name for name in names if name.startswith(("firewall", "pki"))], "no process, nothing to kill"
    for name in [name.removesuffix("-restart") for name in names if name.endswith("-restart")]:
        assert {f"{name}-kill", f"{name}-hang", f"{name}-down"} <= names


def test_our_own_way_in_stays_open() -> None:
    text = LAYOUTS["three"].replace("name: shop", "name: shop\nssh: {port: 2222}")
    made = make_design(parse(text, "cluster.yaml", lambda _name: "0" * 64))
    for fault in faults_of(made):
        if fault.name.startswith(("inside-cut", "inside-loss", "inside-pair")):
            for blow in fault.strike(Aim(("a", "b"), ("a", "b", "c")), None):
                rules = blow.inject[0][1]
                assert "tcp dport 2222 accept" in rules or "chain input" not in rules
                assert "tcp sport 2222 accept" in rules or "chain output" not in rules


# Evidence, on answers of real machines


SAID_KILLED = (
    "app.service: Main process exited, code=killed, status=9/KILL\napp.service: Failed with result 'signal'.\n"
)
ANSWERS = [
    ("app-kill", Output(0, SAID_KILLED), "app.service was killed by signal 9"),
    ("app-kill", Output(0, "Started app.service - The application (by Holdfast).\n"), ""),
    (
        "app-restart",
        Output(0, "Stopping app.service - The application…\n"),
        "app.service was stopped for its restart",
    ),
    ("app-restart", Output(1), ""),
    ("app-down", Output(0, "inactive\n"), "app.service is inactive"),
    ("app-down", Output(0, "active\n"), ""),
    ("app-down", Output(0, "activating\n"), ""),
    ("app-memory", Output(0, "59789312\n"), "the application's memory ends at 57 MiB"),
    ("app-memory", Output(0, "unlimited\n"), ""),
    ("nginx-hang", Output(0, "T\nT\nT\n"), "3 processes of nginx.service are stopped (state T)"),
    ("nginx-hang", Output(0, "T\nS\nT\n"), ""),
    ("nginx-hang", Output(0, ""), ""),
    ("nginx-workers-hang", Output(0, "T\nT\n"), "2 workers are stopped (state T)"),
    ("nginx-workers-hang", Output(0, "S\nS\n"), ""),
    ("nginx-logs-full", Output(0, "Type  Avail\ntmpfs     0\n"), "0 bytes are left for logs"),
    ("nginx-logs-full", Output(0, "Type          Avail\noverlay 76122714112\n"), ""),
    (
        "nginx-config",
        Output(0, '[emerg] unknown directive "no_such_word_of_a_drill" in /etc/nginx/nginx.conf:199\nactive\n'),
        "the file on disk is refused: no_such_word_of_a_drill",
    ),
    ("nginx-config", Output(0, "nginx: configuration file /etc/nginx/nginx.conf test is successful\nactive\n"), ""),
    (
        "nginx-certificate",
        Output(1, "notAfter=Jan  2 00:00:00 2024 GMT\nCertificate will expire\n"),
        "127.0.0.1:443 shows a certificate that expired on Jan  2 00:00:00 2024 GMT",
    ),
    ("nginx-certificate", Output(0, "notAfter=Feb 19 05:20:29 2027 GMT\nCertificate will not expire\n"), ""),
    ("nginx-certificate", Output(1, "", "Could not read certificate from <stdin>"), ""),
    ("postgres-page", Output(0, "8 bytes differ in page 0 of base/16387/16388\n"), "8 bytes differ in page 0 of"),
    ("postgres-page", Output(0, "0 bytes differ in page 0 of base/16387/16388\n"), ""),
    ("postgres-page", Output(1, "", "FileNotFoundError: [Errno 2] No such file or directory"), ""),
    (
        "postgres-postmaster-kill",
        Output(0, "[99] LOG:  checkpoint starting: time\nINFO: Primary crashed. Failing over.\n"),
        "the journal says: INFO: Primary crashed. Failing over.",
    ),
    ("postgres-postmaster-kill", Output(0, "INFO: Setting leader to c, quorum to 0 of 1 (b)\n"), ""),
    ("postgres-postmaster-hang", Output(0, "T (stopped)\n"), "the postmaster is stopped (state T)"),
    ("postgres-postmaster-hang", Output(0, "S (sleeping)\n"), ""),
    ("postgres-patroni-hang", Output(0, "T\n"), "1 processes of patroni.service are stopped (state T)"),
    ("postgres-sessions", Output(0, "192 of 200\n"), "192 of 200 connections are idle sessions of the drill"),
    ("postgres-sessions", Output(0, "0 of 200\n"), ""),
    ("postgres-slot", Output(0, "reserved 304\nINFO: …\n"), "the slot is reserved and keeps 304 bytes of WAL"),
    ("postgres-slot", Output(0, "INFO: Setting leader to c, quorum to 0 of 1 (b)\n"), ""),
    (
        "postgres-backend-kill",
        Output(0, "[1] LOG:  client backend (PID 9) was terminated by signal 9: Killed\n"),
        "a session was terminated by signal 9",
    ),
    ("postgres-rewind", Output(1, "", "a drill: this pg_rewind fails\n"), "pg_rewind fails whenever it is used"),
    ("postgres-rewind", Output(1, "", "pg_rewind: error: no source specified (--source-pgdata or …)\n"), ""),
    (
        "etcd-nospace",
        Output(0, "memberID:16572159130102672872 alarm:NOSPACE \n"),
        "the alarm NOSPACE is raised: the store refuses writes",
    ),
    ("etcd-nospace", Output(0, ""), ""),
    ("machine-cpu", Output(0, "138407000\n"), "greedy processes took 0.1 s of the processors"),
    ("machine-cpu", Output(0, "[not set]\n"), ""),
    ("machine-cpu", Output(0, "18446744073709551615\n"), ""),
    ("machine-disk-full", Output(0, "Avail\n1048576\n"), "1024 KiB of the disk are left"),
    ("machine-disk-full", Output(0, "Avail\n76122714112\n"), ""),
]


@pytest.mark.parametrize(("name", "output", "sentence"), ANSWERS)
def test_evidence_tells_bitten_from_unbitten(name: str, output: Output, sentence: str) -> None:
    read = struck(faults()[name], "three", "a")[0].evidence[0].read(output)
    assert read.startswith(sentence) if sentence else read == ""


def counted(*packets: int) -> str:
    """What ``nft --json list table`` answers, shortened to its rules."""
    rules = [
        {"rule": {"family": "inet", "expr": [{"counter": {"packets": each, "bytes": 9}}, {"drop": None}]}}
        for each in packets
    ]
    return json.dumps({"nftables": [{"metainfo": {"version": "1.1.3"}}, {"table": {"name": "t"}}, *rules]})


@pytest.mark.parametrize(
    "name", [name for name in SSH_NAMES if name.startswith("inside-") or name.endswith("-adverts")]
)
def test_dropped_packets_are_evidence(name: str) -> None:
    (evidence,) = struck(faults()[name], "three", "a", "b")[0].evidence
    assert evidence.read(Output(0, counted(1204, 3))) == "1,207 packets dropped"
    assert evidence.read(Output(0, counted(0, 0))) == ""
    assert evidence.read(Output(1, "", "Error: No such file or directory")) == ""


def test_silence_bites_where_nothing_is_to_be_said() -> None:
    """Hosts that do not take the address over announce nothing: there the rule itself is the evidence."""
    (evidence,) = struck(faults()["keepalived-announcements"], "three", "a")[0].evidence
    assert evidence.read(Output(0, counted(1))) == "1 packets dropped"
    assert evidence.read(Output(0, '{"nftables": [{"table": {"name": "holdfast_drill_announce"}}]}'))
    assert evidence.read(Output(1, "", "Error: No such file or directory")) == ""


@pytest.mark.parametrize("name", SSH_NAMES)
@pytest.mark.parametrize("output", [Output(124), Output(255, stderr="no route"), Output(0, ""), Output(1, "[1]\n{}")])
def test_no_answer_is_no_evidence(name: str, output: Output) -> None:
    for blow in struck(faults()[name]):
        for evidence in blow.evidence:
            try:
                assert evidence.read(output) == ""
            except (ValueError, KeyError, IndexError, TypeError, AttributeError):
                continue  # the drill reads this as no evidence
