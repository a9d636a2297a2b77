"""What the contract cannot express of valkey: who watches, who leads after a start, what is remembered."""

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from holdfast.components.valkey.spec import foresee, min_replicas, quorum, sentinel_hosts
from holdfast.components.valkey.watch import violations
from holdfast.design.design import make_design
from holdfast.design.parse import parse
from holdfast.model.member import Member
from holdfast.model.parts import File
from holdfast.model.spec import Spec
from holdfast.model.templates import render
from holdfast.model.watch import Reading, State

ZONES = {"a": "x", "b": "y", "c": "y", "d": "z", "e": "x"}


def cached(data: str) -> Spec:
    hosts = [f"  {name}: {{address: 10.5.0.{i}, zone: {zone}}}" for i, (name, zone) in enumerate(ZONES.items(), 1)]
    app = "  app: {hosts: [a, b, c, d, e], source: web, command: x}"
    text = "\n".join(["name: test", "hosts:", *hosts, "layers:", app, f"  cache: {{hosts: [{data}]}}"])
    return parse(text, "cluster.yaml", lambda _name: "0" * 64)


@pytest.mark.parametrize(
    ("data", "sentinels", "majority", "replicas"),
    [
        ("a", "", 1, 0),
        ("a, b", "abd", 2, 0),  # d: the first in a third zone
        ("b, c", "abc", 2, 0),
        ("a, b, c", "abc", 2, 1),
        ("a, b, c, d", "abcd", 3, 1),
    ],
)
def test_sentinels_can_form_a_majority(data: str, sentinels: str, majority: int, replicas: int) -> None:
    found = cached(data)
    assert "".join(sentinel_hosts(found)) == sentinels
    assert (quorum(found), min_replicas(found)) == (majority, replicas)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("a", "one host keeps the cache"),
        ("a, b", "a primary that is cut off goes on accepting writes"),
        ("a, b, c", "b, c share zone y"),
    ],
)
def test_weak_caches_are_foreseen(data: str, what: str) -> None:
    assert any(what in finding.what for finding in foresee(cached(data)))


def test_a_cache_over_three_zones_has_no_weakness() -> None:
    assert not foresee(cached("a, b, d"))


def test_a_host_that_only_watches_keeps_no_data() -> None:
    made = make_design(cached("a, b"))
    declared = {part.path for part in made.parts[Member("valkey", "d")] if isinstance(part, File)}
    assert "/etc/valkey/sentinel.base.conf" in declared
    assert "/etc/valkey/holdfast.conf" not in declared
    assert not [tie for tie in made.ties if tie.server == Member("valkey", "d")]


def test_the_routers_check_may_do_what_it_asks_and_no_more() -> None:
    made = make_design(cached("a, b, c"))
    offer = made.components["valkey"].declare(made.spec, made.spec.host("a")).offers[0]
    (login, welcome), (question, answer) = json.loads(offer.terms["checks"])
    assert (login, welcome) == ("AUTH probe @@cache/probe@@", "+OK")
    assert (question, answer) == ("DEL holdfast:check\r\nQUIT", ":0")
    files = [part for part in made.parts[Member("valkey", "a")] if isinstance(part, File)]
    acl = next(part.content for part in files if part.path.endswith("users.acl"))
    rights = next(line.split()[4:] for line in acl.splitlines() if line.startswith("user probe "))
    assert rights == ["resetkeys", "resetchannels", "~holdfast:check", "-@all", "+ping", "+info", "+del"]


def test_only_primaries_that_accept_writes_are_a_violation() -> None:
    def leading(**writes: str) -> dict[Member, Reading]:
        return {
            Member("valkey", host): Reading(State.OK, "primary", facts={"accepts_writes": accepts})
            for host, accepts in writes.items()
        }

    assert not violations(leading(a="yes", b="no"))
    assert violations(leading(a="yes", b="yes")) == ("the caches of a and b accept writes at once",)


FACTS = {
    "group": "cache",
    "own": "10.5.0.1",
    "port": 6379,
    "sentinel_port": 26379,
    "data": ["10.5.0.1", "10.5.0.2", "10.5.0.3"],
    "sentinels": ["10.5.0.1", "10.5.0.2", "10.5.0.3"],
    "quorum": 2,
    "tls": "/nowhere",
    "passwords": {"operator": "x", "probe": "y"},
}


class Tool:
    """The helper on a host, with its files in a folder and the other servers' answers given."""

    def __init__(self, folder: Path) -> None:
        (folder / "cache.json").write_text(json.dumps(FACTS))
        (folder / "base.conf").write_text("port 0\n")
        source = render("holdfast.components.valkey", "tool.py.j2")
        for path, ours in {
            "/etc/holdfast/cache.json": "cache.json",
            "/var/lib/valkey": "",
            "/etc/valkey/sentinel.base.conf": "base.conf",
        }.items():
            source = source.replace(f'Path("{path}")', f'Path("{folder / ours}")')
        self.names: dict[str, Any] = {"__name__": "tool"}
        exec(compile(source, "cache-tool", "exec"), self.names)
        self.names["put"] = lambda path, text: path.write_text(text)
        self.folder = folder
        self.sentinels: dict[str, dict[str, str]] = {}
        self.servers: dict[str, dict[str, str]] = {}
        self.names["sentinel_fields"] = lambda address: self.sentinels.get(address, {})
        self.names["info"] = lambda address: self.servers.get(address, {})

    def remember(self, primary: str, epoch: int, *more: str) -> None:
        lines = [f"sentinel monitor cache {primary} 6379 2", f"sentinel config-epoch cache {epoch}", *more]
        (self.folder / "sentinel.conf").write_text("\n".join(lines) + "\n")

    def tell(self, address: str, primary: str, epoch: int, flags: str = "master") -> None:
        self.sentinels[address] = {"ip": primary, "config-epoch": str(epoch), "flags": flags}

    def follows(self) -> str:
        """Return whom the server would follow after a start; "" when it would lead."""
        self.names["role"]()
        found = re.search(r"^replicaof (\S+) 6379$", (self.folder / "valkey.conf").read_text(), re.MULTILINE)
        return found.group(1) if found else ""

    def sentinel_file(self) -> list[str]:
        self.names["sentinel"]()
        return (self.folder / "sentinel.conf").read_text().split("\n")


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)


def test_the_first_host_leads_when_nobody_knows_anything(tool: Tool) -> None:
    assert tool.follows() == ""
    tool.names["FACTS"]["data"] = ["10.5.0.2", "10.5.0.1"]
    assert tool.follows() == "10.5.0.2"


def test_the_newest_epoch_decides(tool: Tool) -> None:
    tool.remember("10.5.0.1", 4)
    tool.tell("10.5.0.2", "10.5.0.3", 5)
    tool.tell("10.5.0.3", "10.5.0.1", 4)
    assert tool.follows() == "10.5.0.3", "a returned primary that was replaced follows"
    tool.remember("10.5.0.2", 6)
    assert tool.follows() == "10.5.0.2", "its own memory may be the newest when all were off"


def test_a_primary_that_somebody_replaced_meanwhile_follows(tool: Tool) -> None:
    tool.tell("10.5.0.2", "10.5.0.1", 4)
    tool.servers["10.5.0.3"] = {"role": "master"}
    assert tool.follows() == "10.5.0.3"


def test_a_primary_held_for_dead_waits_for_its_successor(tool: Tool) -> None:
    tool.tell("10.5.0.2", "10.5.0.1", 4, "s_down,o_down,master")
    threading.Timer(0.3, lambda: tool.servers.update({"10.5.0.2": {"role": "master"}})).start()
    assert tool.follows() == "10.5.0.2"


def test_a_primary_that_nobody_can_replace_leads_again(tool: Tool) -> None:
    tool.names["ELECTION_S"] = 0.3
    tool.tell("10.5.0.2", "10.5.0.1", 4, "s_down,master")
    assert tool.follows() == ""


def test_a_server_that_is_no_longer_of_the_cluster_is_not_followed(tool: Tool) -> None:
    tool.tell("10.5.0.2", "10.9.9.9", 9)
    assert tool.follows() == ""


def test_a_sentinel_keeps_its_whole_view(tool: Tool) -> None:
    """Half an old view and a new primary would make that primary its own replica (it happened)."""
    learned = (
        "sentinel myid 0a",
        "sentinel known-replica cache 10.5.0.2 6379",
        "sentinel known-replica cache 10.9.9.9 6379",
    )
    tool.remember("10.5.0.1", 4, *learned, "sentinel down-after-milliseconds cache 1")
    tool.tell("10.5.0.3", "10.5.0.2", 5)
    lines = tool.sentinel_file()
    assert lines[0] == "sentinel monitor cache 10.5.0.1 6379 2"
    assert "sentinel myid 0a" in lines
    assert "sentinel known-replica cache 10.5.0.2 6379" in lines
    assert not [line for line in lines if "10.9.9.9" in line or "down-after" in line]


def test_a_new_sentinel_asks_the_others(tool: Tool) -> None:
    tool.tell("10.5.0.3", "10.5.0.2", 5)
    lines = tool.sentinel_file()
    assert lines[0] == "sentinel monitor cache 10.5.0.2 6379 2"
    assert "sentinel config-epoch cache 5" in lines


def test_the_sentinel_is_told_how_often_to_ask(tool: Tool) -> None:
    asked: list[tuple[object, ...]] = []
    tool.names["ask"] = lambda *words, **_more: asked.append(words)
    tool.names["timing"]()
    assert asked[0][:5] == ("10.5.0.1", 26379, "operator", "SENTINEL", "DEBUG")
    words = asked[0][5:]
    values = dict(zip(words[::2], words[1::2], strict=True))
    # The engine promotes no replica whose last answer is older than five pings; it looks once a second by then.
    assert int(str(values["ping-period"])) * 5 >= 1000 + 300
    assert int(str(values["info-period"])) < 1000


def test_a_handover_waits_for_the_one_that_takes_over_and_never_unpauses_a_primary(tool: Tool) -> None:
    said: list[str] = []
    lines = (
        "ip=10.5.0.2,port=6379,state=online,offset=90,lag=0",
        "ip=10.5.0.3,port=6379,state=online,offset=80,lag=1",
    )
    tool.servers |= {
        "10.5.0.1": {"role": "master", "master_repl_offset": "100", "slave0": lines[0], "slave1": lines[1]},
        "10.5.0.2": {"role": "slave", "slave_repl_offset": "95"},
        "10.5.0.3": {"role": "slave", "slave_repl_offset": "100"},
    }

    def ask(address: str, _port: int, _user: str, *words: str, timeout_s: float = 0.7) -> str:
        said.append(f"{address} {' '.join(words)}")
        if words[:2] == ("CLIENT", "PAUSE"):
            threading.Timer(0.2, lambda: tool.servers["10.5.0.2"].update(slave_repl_offset="100")).start()
        if words[:2] == ("SENTINEL", "FAILOVER"):
            assert tool.servers["10.5.0.2"]["slave_repl_offset"] == "100", "it has everything that was accepted"
            tool.servers["10.5.0.2"]["role"] = "master"
        if words[0] == "REPLICAOF":
            tool.servers["10.5.0.1"] = {"role": "slave", "master_link_status": "up"}
            tool.sentinels |= {
                each: {"ip": "10.5.0.2", "config-epoch": "2"} for each in (f"10.5.0.{number}" for number in (1, 2, 3))
            }
        return "10.5.0.2 slave-priority 1".replace(" ", "\n")

    tool.names["ask"] = ask
    tool.names["handover"]()
    assert said[0] == "10.5.0.2 CONFIG SET replica-priority 1", "the one that is ahead takes over"
    assert [each for each in said if "SENTINEL REPLICAS" not in each] == [
        "10.5.0.2 CONFIG SET replica-priority 1",
        "10.5.0.1 CLIENT PAUSE 5000 WRITE",
        "10.5.0.1 SENTINEL FAILOVER cache",
        "10.5.0.1 REPLICAOF 10.5.0.2 6379",
        "10.5.0.1 CLIENT UNPAUSE",
        "10.5.0.2 CONFIG SET replica-priority 100",
    ]
