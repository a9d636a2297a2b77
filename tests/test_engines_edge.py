"""What the contract cannot express of base, firewall, nginx, keepalived and app."""

import json
import re

import pytest

from holdfast.components.app.build import systemd_words
from holdfast.components.base.watch import read_host
from holdfast.components.firewall.build import comment
from holdfast.components.keepalived.build import CHECK_COST, HOLDER_BONUS, priority, router_id
from holdfast.components.keepalived.watch import violations as address_violations
from holdfast.design.design import Design, complaints, make_design
from holdfast.design.parse import parse
from holdfast.model.member import Member
from holdfast.model.parts import Certificate, File, Secret, User
from holdfast.model.spec import Spec
from holdfast.model.watch import Output, Reading, State

HOSTS = "hosts: {a: 10.5.0.1, b: 10.5.0.2, c: 10.5.0.3}\n"
APP = "  app: {hosts: [a, b, c], source: web, command: python3 -m web}\n"


def spec(*layers: str, hosts: str = HOSTS) -> Spec:
    text = "name: test\n" + hosts + "layers:\n" + "".join(layers)
    return parse(text, "cluster.yaml", lambda _name: "0" * 64)


def design(*layers: str, hosts: str = HOSTS) -> Design:
    return make_design(spec(*layers, hosts=hosts))


def file(made: Design, member: str, path: str) -> str:
    found = {part.path: part.content for part in made.parts[Member(*member.split("@"))] if isinstance(part, File)}
    return found[path]


def edge(options: str = "", hosts: str = "a, b, c") -> str:
    return f"  edge: {{hosts: [{hosts}]{options}}}\n"


# base


def host_answer(**changes: str) -> Output:
    tracking = "C0A80001,10.0.0.1,3,1700000000.0,0.000012000,0.0,0.0,1.0,0.0,0.1,0.01,0.001,64.0,Normal"
    facts = {"system": "running", "failed": "", "disk": "/:41:12 /var/lib:50:5 ", "container": "none"}
    facts |= {"tracking": tracking} | changes
    return Output(0, "".join(f"{key}={text}\n" for key, text in facts.items()))


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({}, State.OK, ""),
        ({"system": "starting"}, State.STARTING, "still starting"),
        ({"disk": "/:41:12 /var/lib:93:5 "}, State.DEGRADED, "/var/lib holds 93 % of its space"),
        ({"disk": "/:41:97 "}, State.DEGRADED, "97 % of its inodes"),
        ({"tracking": ""}, State.DEGRADED, "not synchronised"),
        ({"tracking": "0,,0,0.0,-2.5" + ",0" * 8 + ",Normal"}, State.DEGRADED, "2.5 s off"),
        ({"tracking": "", "container": "lxc"}, State.OK, "carries this container"),
        ({"failed": "a.service b.service "}, State.DEGRADED, "a.service, b.service"),
    ],
)
def test_a_host_says_what_ails_it(changes: dict[str, str], state: State, reason: str) -> None:
    reading = read_host(host_answer(**changes))
    assert reading.state is state
    assert reason in reading.reason


# firewall


def rules(made: Design, host: str) -> list[str]:
    text = file(made, f"firewall@{host}", "/etc/holdfast/firewall.nft")
    return [line.strip() for line in text.splitlines() if " accept" in line]


def test_every_flow_has_its_rule_and_nothing_else_is_let_in() -> None:
    made = design(edge(", vip: 10.5.0.100"), APP)
    wanted = [flow for flow in made.flows if flow.target == "a" and flow.source != "a"]
    from_flows = [line for line in rules(made, "a") if "comment" in line and "DHCPv6" not in line]
    assert len(from_flows) == len(wanted)
    assert 'ip saddr 10.5.0.2 ip protocol 112 accept comment "keepalived peers: VRRP adverts"' in from_flows
    assert 'ip saddr 10.5.0.2 tcp dport 8000 accept comment "nginx uses http of app"' in from_flows
    assert not [line for line in from_flows if "10.5.0.1 " in line], "a host does not knock at itself"


def test_ssh_stays_open_on_its_own_port() -> None:
    made = make_design(parse(f"name: t\n{HOSTS}ssh: {{port: 2222}}\nlayers:\n{APP}", "x", lambda _: "0" * 64))
    ssh = [line for line in rules(made, "b") if "2222" in line]
    assert ssh == ['tcp dport 2222 accept comment "SSH is always reachable"']


def test_the_rules_replace_each_other_in_one_transaction() -> None:
    lines = file(design(APP), "firewall@a", "/etc/holdfast/firewall.nft").splitlines()
    orders = [line for line in lines if line and not line.startswith(("#", " ", "}"))]
    assert orders == ["add table inet holdfast", "delete table inet holdfast", "table inet holdfast {"]


def test_only_those_who_vote_on_the_leader_say_everything_twice() -> None:
    made = design("  database: {hosts: [a, b]}\n  dcs: {hosts: [a, b, c]}\n", hosts=HOSTS)
    told = file(made, "firewall@a", "/etc/holdfast/twice.nft")
    assert [line.strip() for line in told.splitlines() if " dup " in line] == [
        "tcp dport { 2380 } counter dup to ip daddr",
        "tcp sport { 2380 } counter dup to ip daddr",
    ]
    assert "ip daddr != { 10.5.0.2, 10.5.0.3 } accept" in told, "what goes to others is sent once"
    assert "dup" not in file(design(APP), "firewall@a", "/etc/holdfast/twice.nft")


@pytest.mark.parametrize("reason", ['say "hello"', "two\nlines", "naïve → arrow", "x" * 500, "a\\b"])
def test_a_comment_cannot_break_out_of_its_quotes(reason: str) -> None:
    assert re.fullmatch(r"[ !#-\[\]-~]{1,127}", comment(reason))


# nginx


def messages(*layers: str) -> list[str]:
    return [f"{'.'.join(map(str, each.path))}: {each.message}" for each in complaints(spec(*layers))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (", vip: 10.9.0.1", "layers.edge.vip: vip 10.9.0.1 lies outside the network 10.5.0.0/24"),
        (", vip: 10.5.0.2", "layers.edge.vip: vip 10.5.0.2 is the address of host b"),
        (", vip: 10.5.0.255", "layers.edge.vip: vip 10.5.0.255 is the network's own or broadcast address"),
        (", vip: nowhere", "layers.edge.vip: 'nowhere' is no IPv4 address"),
        (", certificate: x.pem", "layers.edge.certificate: certificate is given without key"),
        (", key: x.key", "layers.edge.key: key is given without certificate"),
    ],
)
def test_a_wrong_edge_is_refused(options: str, message: str) -> None:
    # Whole files are refused as they are read, so the engine's own check is asked directly.
    from_file = "name: test\n" + HOSTS + "layers:\n" + edge(options) + APP
    with pytest.raises(Exception, match=re.escape(message.split(": ", 1)[1])):
        parse(from_file, "cluster.yaml", lambda _name: "0" * 64)


def test_a_right_edge_is_accepted() -> None:
    assert not messages(edge(", vip: 10.5.0.100, certificate: x.pem, key: x.key"), APP)


def conf(options: str = "") -> str:
    return file(design(edge(options), APP), "nginx@a", "/etc/nginx/nginx.conf")


def test_a_post_is_never_repeated() -> None:
    lines = [line.strip() for line in conf().splitlines()]
    assert "proxy_next_upstream error timeout;" in lines
    assert "non_idempotent" not in conf()


def test_port_80_redirects_or_serves() -> None:
    assert "return 308 https://" in conf()
    assert "return 308" not in conf(", plain_http: serve")
    assert conf(", plain_http: serve").count("listen 80 default_server") == 1


def test_the_front_door_knows_every_server_and_decides_anew_for_each_request() -> None:
    text = conf()
    servers = re.findall(r'name = "(\w)", address = "10\.5\.0\.(\d)", port = (\d+)', text)
    assert servers == [("a", "1", "8000"), ("b", "2", "8000"), ("c", "3", "8000")]
    assert 'balancer_by_lua_block { require("balance").balance() }' in text


def test_edges_may_ask_for_health_and_load_and_nobody_else() -> None:
    rules = file(design(edge(), APP), "firewall@a", "/etc/holdfast/firewall.nft")
    assert 'ip saddr 10.5.0.2 tcp dport 7902 accept comment "nginx uses http of app"' in rules
    told = json.loads(file(design(edge(), APP), "nginx@a", "/etc/holdfast/edge.json"))["servers"]["b"]
    assert told == {"address": "10.5.0.2", "port": 8000, "path": "/healthz", "load_port": 7902}


def test_a_drain_names_host_and_address() -> None:
    made = design(edge(), APP)
    drain = made.components["nginx"].drain
    assert drain
    found = drain(made.contexts[Member("nginx", "c")], "b")
    assert found.out[1:] == ("out", "b", "10.5.0.2:8000")
    assert found.back[1:] == ("back", "b")


def test_all_edges_show_one_certificate() -> None:
    made = design(edge(", vip: 10.5.0.100, server_name: shop.example"), APP)
    found = {each for each in made.certificates() if each.name == "pki/edge"}
    assert found == {
        Certificate(
            "pki/edge",
            "shop.example",
            ("shop.example", "edge.holdfast.internal"),
            ("10.5.0.100", "10.5.0.1", "10.5.0.2", "10.5.0.3"),
        )
    }


def test_the_users_own_certificate_takes_the_place_of_the_clusters() -> None:
    made = design(edge(", certificate: tls/shop.pem, key: tls/shop.key"), APP)
    assert Secret("edge/own.key", file="tls/shop.key") in made.secrets()
    assert file(made, "nginx@a", "/etc/nginx/tls/edge.key") == "@@edge/own.key@@"
    assert "pki/edge" not in {each.name for each in made.certificates()}


# keepalived


def test_router_ids_are_legal() -> None:
    assert [router_id(address) for address in ("10.0.0.100", "10.0.1.0", "10.0.0.255")] == [100, 255, 255]


def test_standbys_take_over_one_after_the_other_and_never_from_a_sound_holder() -> None:
    made = design(edge(", vip: 10.5.0.100, interface: eth1"), APP)
    texts = [file(made, f"keepalived@{host}", "/etc/keepalived/keepalived.conf") for host in "abc"]
    assert [re.findall(r"down_timer_adverts (\d+)", text)[0] for text in texts] == ["12", "16", "20"]
    assert all("nopreempt\n" not in text for text in texts)
    assert "name=eth1" in file(made, "keepalived@a", "/usr/local/lib/holdfast/vip-interface")


@pytest.mark.parametrize("hosts", [1, 2, 3, 4, 6])
def test_a_holder_outweighs_all_and_a_failing_one_nobody(hosts: int) -> None:
    points = [priority(place, hosts) for place in range(hosts)]
    assert len(set(points)) == hosts
    assert min(points) + HOLDER_BONUS > max(points)
    assert max(points) + HOLDER_BONUS - CHECK_COST <= min(points)
    assert max(points) + HOLDER_BONUS < 255


def test_without_a_floating_address_nothing_holds_one() -> None:
    assert not design(edge(), APP).of("keepalived")


def test_two_holders_are_a_violation() -> None:
    def holding(*hosts: str) -> dict[Member, Reading]:
        roles = {host: "holder" if host in hosts else "standby" for host in "abc"}
        return {Member("keepalived", host): Reading(State.OK, role) for host, role in roles.items()}

    assert not address_violations(holding())
    assert not address_violations(holding("b"))
    assert address_violations(holding("a", "c")) == ("the floating address is held by a and c at once",)


# app


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python3 -m shop", '"python3" "-m" "shop"'),
        ("run 'two words' \"it's\"", '"run" "two words" "it\'s"'),
        ("echo $HOME 100%", '"echo" "$$HOME" "100%%"'),
        (r"say 'a\b' '\"'", r'"say" "a\\b" "\\\""'),
    ],
)
def test_a_command_reaches_systemd_unchanged(command: str, words: str) -> None:
    assert systemd_words(command) == words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("command: x", "neither source nor package is given"),
        ("source: web, package: web, command: x", "both source and package are given"),
        ("source: web", "command is missing"),
        ('source: web, command: "it\'s"', "the command cannot be split into words"),
        ("source: web, command: x, port: 5432", "port 5432 is taken by the stack itself"),
        ("source: web, command: x, port: 81", "port 81 needs root"),
        ("source: web, command: x, environment: {PORT: '1'}", "PORT is set by the layer itself"),
        ("source: web, command: x, environment: {A-B: '1'}", "'A-B' is no name of an environment variable"),
        ('source: web, command: x, environment: {A: "1\\n2"}', "the value of A holds a line break"),
        ("source: web, command: x, packages: [Python!]", "'Python!' is no name of a Debian package"),
    ],
)
def test_a_wrong_application_is_refused(options: str, message: str) -> None:
    with pytest.raises(Exception, match=re.escape(message)):
        spec(f"  app: {{hosts: [a, b, c], {options}}}\n")


def environment(made: Design) -> dict[str, str]:
    lines = file(made, "app@b", "/etc/holdfast/app.env").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_an_application_is_told_where_its_data_is() -> None:
    made = design(APP, "  database: {hosts: [a, b, c]}\n", "  cache: {hosts: [a, b, c]}\n")
    found = environment(made)
    tls = "sslmode=verify-full&sslrootcert=/etc/holdfast/ca.crt"
    assert found["DATABASE_URL"] == f'"postgresql://app:@@database/app@@@127.0.0.1:5000/app?{tls}"'
    assert found["DATABASE_REPLICA_URL"] == f'"postgresql://app:@@database/app@@@127.0.0.1:5001/app?{tls}"'
    assert found["CACHE_URL"] == '"rediss://app:@@cache/app@@@127.0.0.1:5002/0?ssl_ca_certs=/etc/holdfast/ca.crt"'
    assert (found["HOST"], found["PORT"]) == ('"10.5.0.2"', '"8000"')


def test_an_application_without_data_layers_gets_no_addresses() -> None:
    options = "source: web, command: x, environment: {GREETING: 'say \"hi\"'}"
    found = environment(design(f"  app: {{hosts: [b], {options}}}\n", hosts="hosts: {b: 10.5.0.2}\n"))
    assert found == {"GREETING": '"say \\"hi\\""', "HOST": '"10.5.0.2"', "PORT": '"8000"'}


def test_a_package_needs_no_release_folder() -> None:
    made = design("  app: {hosts: [a, b, c], package: gitea, command: gitea web, packages: [git]}\n")
    parts = made.parts[Member("app", "a")]
    assert [part.name for part in parts if isinstance(part, User)] == ["app"]
    assert "WorkingDirectory=/var/lib/app" in file(made, "app@a", "/etc/systemd/system/app.service")
