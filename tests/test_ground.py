"""What lies under the machines of a lab, as values: names, nft text, what the kernel says, frames that wait."""

import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from holdfast.lab import brake, comeback, cuts, disk, freezer, lever, pump
from holdfast.lab.frames import HELD_FRAMES, Lag
from holdfast.lab.ground import LabGround
from holdfast.lab.plan import LabError, LabPlan, MachinePlan, delayed_link_name, link_name, table_name
from holdfast.model.fault import UNDERNEATH, Blow, Ground
from holdfast.model.watch import Output

PLAN = LabPlan(
    name="shop",
    network="10.77.0.0/24",
    machines=tuple(MachinePlan(name, f"10.77.0.1{number}") for number, name in enumerate("abc", 1)),
    packages=("nginx",),
    units_off=("nginx.service",),
    authorized_key="ssh-ed25519 AAAA",
    reserved=("10.77.0.10",),
)
GROUND: Ground = LabGround(PLAN)
A, B = (f'{{ "{link_name("shop", host)}", "{delayed_link_name("shop", host)}" }}' for host in "ab")


def text(blow: Blow) -> str:
    """The one nft text of a blow."""
    ((program, script),) = blow.inject
    assert program == "nft"
    return script


def rules(blow: Blow) -> dict[str, list[str]]:
    """The rules of each chain of a blow."""
    found: dict[str, list[str]] = {}
    chain = ""
    for line in text(blow).splitlines():
        if line.startswith("  chain "):
            chain = line.split()[1]
        elif line.startswith("    ") and not line.startswith("    type filter"):
            found.setdefault(chain, []).append(line.strip())
    return found


def test_a_cut_between_two_machines_has_a_direction() -> None:
    assert rules(GROUND.cut((("a", "b"),))) == {"forward": [f"iifname {A} oifname {B} counter drop"]}


def test_a_machine_cut_off_from_all_keeps_our_hand_on_it() -> None:
    assert rules(GROUND.cut((("a", ""), ("", "a")))) == {
        "forward": [f"oifname {A} counter drop", f"iifname {A} counter drop"],
        "input": [
            f"iifname {A} ip saddr 10.77.0.11 ip daddr 10.77.0.1 tcp sport 22 accept",
            f"iifname {A} arp saddr ip 10.77.0.11 arp daddr ip 10.77.0.1 accept",
            f"iifname {A} counter drop",
        ],
        "output": [
            f"oifname {A} ip saddr 10.77.0.1 ip daddr 10.77.0.11 tcp dport 22 accept",
            f"oifname {A} arp saddr ip 10.77.0.1 arp daddr ip 10.77.0.11 accept",
            f"oifname {A} counter drop",
        ],
    }


def test_a_machine_cut_off_one_way_still_hears() -> None:
    assert set(rules(GROUND.cut((("a", ""),)))) == {"forward", "input"}


def test_the_same_cut_has_the_same_table_and_another_cut_another() -> None:
    one, same = GROUND.cut((("a", "b"), ("b", "a"))), GROUND.cut((("b", "a"), ("a", "b")))
    assert one.heal == same.heal
    others = [GROUND.cut((("a", "b"),)), GROUND.lose(("a",), 30), GROUND.lose(("b",), 30), GROUND.drop("a", "arp")]
    tables = {blow.heal for blow in (one, *others)}
    assert len(tables) == 5


def test_a_table_is_put_in_force_as_a_whole_and_removed_whether_it_is_there_or_not() -> None:
    blow = GROUND.cut((("a", "b"),))
    ((_, heal),) = blow.heal
    table = heal.split()[2]
    assert table.startswith(f"{table_name('shop')}_")
    assert heal == f"table bridge {table}\ndelete table bridge {table}\n"
    assert text(blow).startswith(heal)
    assert blow.evidence[0].argv == ("nft", "-j", "list", "table", "bridge", table)


def test_loss_and_protocols_go_both_ways() -> None:
    lossy = rules(GROUND.lose(("a",), 30))
    share = "numgen random mod 100 < 30 counter drop"
    assert lossy["forward"] == [f"iifname {A} {share}", f"iifname != {A} oifname {A} {share}"]
    assert lossy["input"][-1] == f"iifname {A} numgen random mod 100 < 30 counter drop"
    silent = rules(GROUND.drop("a", "vrrp"))
    assert f"iifname {A} ip protocol 112 counter drop" in silent["forward"]
    assert len(rules(GROUND.drop("a", "dns"))["forward"]) == 8


def test_between_two_machines_that_share_a_loss_a_frame_is_lost_once() -> None:
    both = "{ " + ", ".join(each.strip("{ }") for each in (A, B)) + " }"
    lossy = rules(GROUND.lose(("a", "b"), 30))
    assert [rule.partition(" numgen")[0] for rule in lossy["forward"]] == [
        f"iifname {both}",
        f"iifname != {both} oifname {both}",
    ]
    assert len(lossy["input"]) == len(lossy["output"]) == 5


def test_what_makes_no_sense_is_refused() -> None:
    for percent in (0, 101):
        with pytest.raises(LabError, match="from 1 to 100"):
            GROUND.lose(("a",), percent)
    with pytest.raises(LabError, match="there are: vrrp, arp, dns"):
        GROUND.drop("a", "http")
    with pytest.raises(LabError, match="there are: a, b, c"):
        GROUND.cut((("a", "x"),))
    for ask in (GROUND.power_off, GROUND.freeze, lambda host: GROUND.delay(host, 10, 0)):
        with pytest.raises(LabError, match="no machine 'x'"):
            ask("x")


def listed(*packets: int) -> Output:
    rules = [
        {"rule": {"expr": [{"match": {}}, {"counter": {"packets": each, "bytes": 9}}, {"drop": None}]}}
        for each in packets
    ]
    accepted = {"rule": {"expr": [{"match": {}}, {"accept": None}]}}
    return Output(0, json.dumps({"nftables": [{"metainfo": {}}, {"chain": {}}, accepted, *rules]}))


def test_frames_that_were_dropped_are_evidence() -> None:
    read = GROUND.cut((("a", "b"),)).evidence[0].read
    assert read(listed(1200, 4)) == "1,204 frames dropped"
    assert read(listed(0, 0)) == ""
    assert read(Output(1, stderr="No such file or directory")) == ""


def test_evidence_of_power_and_ice() -> None:
    off, ice = GROUND.power_off("a").evidence[0].read, GROUND.freeze("a").evidence[0].read
    assert off(Output(0, "off\n")) == "a has no process and no cable"
    assert [off(each) for each in (Output(0, "on\n"), Output(0), Output(1, "off\n"))] == ["", "", ""]
    assert ice(Output(0, "frozen 1\n")) == "all processes of a are frozen"
    assert [ice(each) for each in (Output(0, "frozen 0\n"), Output(0), Output(1))] == ["", "", ""]


def test_evidence_of_delay() -> None:
    read = GROUND.delay("a", 50, 10).evidence[0].read
    assert read(Output(0, "1234\n")) == "1,234 frames delayed"
    assert [read(each) for each in (Output(0, "0\n"), Output(1))] == ["", ""]


def test_evidence_of_a_slow_disk_is_the_limit_in_force() -> None:
    read = GROUND.slow_disk("a").evidence[0].read
    assert read(Output(0, "100 0.104")) == "100 writes a second reach the disk of a, and one took 0.10 s"
    assert [read(each) for each in (Output(0, "0 0.3"), Output(0, ""), Output(1, "100 0.1"))] == ["", "", ""]


def test_limits_are_taken_off_all_devices_that_ever_had_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: dict[str, str] = {}
    number = "7:1"

    def run(argv: Sequence[str]) -> str:
        limit, *numbers = argv[argv.index("holdfast-lab") + 1 :]
        limits.update(dict.fromkeys(numbers, limit))
        return ""

    monkeypatch.setattr(brake, "run", run)
    monkeypatch.setattr(brake, "directory", lambda *_: tmp_path)
    monkeypatch.setattr(disk, "device", lambda _: number)
    assert brake.free_all("shop", ["a"]) == []
    brake.main(["slow", "shop", "a"])
    number = "7:4"  # It was off and on again, and is struck once more.
    brake.main(["slow", "shop", "a"])
    assert limits == {"7:1": "100", "7:4": "100"}
    assert brake.free_all("shop", ["a"]) == ["slow disk of a"]
    assert limits == {"7:1": "0", "7:4": "0"}
    assert brake.free_all("shop", ["a"]) == []
    number = ""
    with pytest.raises(LabError, match="the disk of a is not in use"):
        brake.main(["slow", "shop", "a"])


def test_blows_fall_underneath_and_can_be_undone() -> None:
    lines = (GROUND.delay("a", 50, 10), GROUND.lose(("a",), 10))
    blows = (GROUND.power_off("a"), GROUND.freeze("a"), GROUND.slow_disk("a"), *lines)
    assert {blow.place for blow in blows} == {UNDERNEATH}
    assert not any(blow.once for blow in blows)


def test_a_frozen_machine_is_silent_too() -> None:
    (program, script), freeze = GROUND.freeze("a").inject
    assert (program, freeze) == ("nft", freezer.argv("freeze", "shop", "a"))
    assert "accept" not in script
    assert script.count("counter drop") == 4


def test_power_comes_back_without_a_cluster_file() -> None:
    (heal,) = GROUND.power_off("a").heal
    assert heal[1:4] == ("-I", "-m", "holdfast.lab.comeback")
    assert heal[5] == "a"
    plan = comeback.plan_of(heal[4])
    assert (plan.machines, plan.network, plan.reserved) == (PLAN.machines, PLAN.network, PLAN.reserved)
    assert plan.packages == ()


def test_commands_name_modules_that_can_be_run() -> None:
    modules = {each.argv("show", "x", "a")[3] for each in (brake, freezer, lever, pump)}
    assert modules == {each.__name__ for each in (brake, freezer, lever, pump)}


def test_what_the_lab_cannot_do_is_said() -> None:
    assert LabGround(PLAN).lacks("teleport")


def test_fault_tables_of_this_lab_are_found_among_others() -> None:
    ours, other = f"{table_name('shop')}_1234abcd", f"{table_name('bare')}_1234abcd"
    listing = f"table bridge {ours}\ntable bridge {other}\ntable bridge filter\n"
    assert cuts.fault_tables("shop", listing) == [ours]
    assert cuts.fault_tables("shop", "") == []


def test_a_cut_that_is_only_tried_is_never_listed() -> None:
    tried = cuts.lose(PLAN, ("a",), 50).tried
    assert tried[:2] == ("nft", "--check")
    assert "delete" not in tried[2]


@pytest.mark.parametrize(
    ("lines", "group"),
    [
        ("1:cpu:/\n0::/holdfast/shop/a/supervisor\n", "holdfast/shop/a"),
        ("0::/system.slice/holdfast-lab-x.service/payload\n", "system.slice/holdfast-lab-x.service"),
        ("0::/system.slice/holdfast-lab-x.service\n", "system.slice/holdfast-lab-x.service"),
    ],
)
def test_the_control_group_of_a_whole_machine(lines: str, group: str) -> None:
    assert freezer.group_of(lines) == group


@pytest.fixture
def cables() -> Iterator[tuple[socket.socket, socket.socket]]:
    pair = socket.socketpair()
    yield pair
    for each in pair:
        each.close()


def test_frames_wait_for_their_time_and_keep_their_order(cables: tuple[socket.socket, socket.socket]) -> None:
    lag = Lag(delay_s=0.5, jitter_s=0.0, seed="x")
    for number in range(3):
        lag.hold(b"%d" % number, cables[0], now_s=10.0)
    assert lag.wait_s(10.2) == pytest.approx(0.3)
    assert lag.due(10.4) == []
    assert [frame for frame, _ in lag.due(10.5)] == [b"0", b"1", b"2"]
    assert lag.wait_s(11.0) is None


def test_jitter_is_bounded_and_the_same_every_time(cables: tuple[socket.socket, socket.socket]) -> None:
    def order() -> list[bytes]:
        lag = Lag(delay_s=0.5, jitter_s=0.2, seed="x")
        for number in range(50):
            lag.hold(b"%d" % number, cables[0], now_s=10.0)
        assert lag.due(10.3) == []
        return [frame for frame, _ in lag.due(10.7)]

    assert len(order()) == 50
    assert order() == order() != [b"%d" % number for number in range(50)]


def test_a_full_cable_loses_what_comes(cables: tuple[socket.socket, socket.socket]) -> None:
    lag = Lag(delay_s=0.0, jitter_s=0.0, seed="x")
    for _ in range(HELD_FRAMES + 5):
        lag.hold(b"x", cables[0], now_s=10.0)
    assert len(lag.due(10.0)) == HELD_FRAMES
