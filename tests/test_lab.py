"""The lab's plans, names and readers: nothing here makes a machine."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.lab import host, image, lab, machine, network, plan, processes
from holdfast.lab.plan import LabError, LabPlan, MachinePlan


def a_plan(**changes: object) -> LabPlan:
    base = LabPlan(
        name="shop",
        network="10.77.0.0/24",
        machines=(MachinePlan("a", "10.77.0.11"), MachinePlan("b", "10.77.0.12")),
        packages=("nginx-light", "etcd-server"),
        units_off=("nginx.service", "etcd.service"),
        authorized_key="ssh-ed25519 AAAA operator",
        reserved=("10.77.0.10",),
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_kernel_names_fit_and_tell_labs_apart() -> None:
    names = [
        name
        for lab in ("shop", "shop-two", "s" * 31)
        for name in (plan.bridge_name(lab), plan.link_name(lab, "a"), plan.link_name(lab, "h" * 63))
    ]
    assert max(map(len, names)) <= 15
    assert len(set(names)) == len(names)


def test_bridge_address_is_local_and_unicast() -> None:
    first = int(plan.bridge_mac("shop").split(":")[0], 16)
    assert len(plan.bridge_mac("shop").split(":")) == 6
    assert first & 0b11 == 0b10


def test_gateway_is_the_first_address_nobody_uses() -> None:
    assert plan.gateway(a_plan()) == "10.77.0.1"
    taken = a_plan(reserved=("10.77.0.1",), machines=(MachinePlan("a", "10.77.0.2"),))
    assert plan.gateway(taken) == "10.77.0.3"


def test_a_full_network_has_no_gateway() -> None:
    full = a_plan(network="10.77.0.8/30", reserved=("10.77.0.9",), machines=(MachinePlan("a", "10.77.0.10"),))
    with pytest.raises(LabError, match="larger network"):
        plan.check(full)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "Shop"}, "lab name"),
        ({"name": "../shop"}, "lab name"),
        ({"name": "s" * 32}, "lab name"),
        ({"network": "10.77.0.1/24"}, "no IPv4 network"),
        ({"network": "somewhere"}, "no IPv4 network"),
        ({"machines": (MachinePlan("a", "10.78.0.1"),)}, "no host address"),
        ({"machines": (MachinePlan("a", "10.77.0.255"),)}, "no host address"),
        ({"machines": (MachinePlan("a/b", "10.77.0.11"),)}, "machine name"),
        ({"machines": (MachinePlan("a", "10.77.0.11"), MachinePlan("a", "10.77.0.12"))}, "used twice"),
        ({"machines": (MachinePlan("a", "10.77.0.11"), MachinePlan("b", "10.77.0.11"))}, "used twice"),
        ({"authorized_key": ""}, "SSH key"),
        ({"authorized_key": "ssh-ed25519 A\nssh-ed25519 B"}, "SSH key"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(LabError, match=complaint):
        plan.check(a_plan(**changes))


def test_a_sound_plan_is_accepted() -> None:
    plan.check(a_plan())


def test_what_is_made_does_not_move() -> None:
    before = plan.layout(a_plan())
    grown = a_plan(machines=(*a_plan().machines, MachinePlan("c", "10.77.0.13")))
    plan.refuse_change("shop", before, plan.layout(grown))
    moved = a_plan(machines=(MachinePlan("a", "10.77.0.21"), MachinePlan("b", "10.77.0.12")))
    with pytest.raises(LabError, match=r"machine a 10\.77\.0\.11 and should now have 10\.77\.0\.21"):
        plan.refuse_change("shop", before, plan.layout(moved))


def test_the_image_is_named_by_what_is_in_it() -> None:
    name = image.image_name(a_plan())
    assert name == image.image_name(a_plan(packages=("etcd-server", "nginx-light"), name="other"))
    assert name != image.image_name(a_plan(packages=("etcd-server",)))
    assert name != image.image_name(a_plan(units_off=("etcd.service",)))


def test_the_image_has_what_every_machine_needs() -> None:
    include = next(option for option in image.mmdebstrap_options(a_plan()) if option.startswith("--include="))
    packages = set(include.removeprefix("--include=").split(","))
    assert {"openssh-server", "python3", "systemd", "nginx-light", "etcd-server"} <= packages


def test_a_failed_build_is_reported_by_its_complaints() -> None:
    log = "I: installing\nReading lists\nE: Unable to locate package nope\nI: cleaning\n"
    assert image.complaints(log) == "  E: Unable to locate package nope"
    assert image.complaints("one\ntwo\n") == "one\ntwo"


def interface(name: str, address: str, prefix: int) -> dict[str, Any]:
    return {"ifname": name, "addr_info": [{"local": address, "prefixlen": prefix}]}


def test_overlapping_networks_are_found_but_not_our_own() -> None:
    interfaces: list[dict[str, Any]] = [
        interface("eth0", "192.168.1.2", 24),
        interface("vpn0", "10.0.0.1", 8),
        interface(plan.bridge_name("shop"), "10.77.0.1", 24),
        interface("hf-other", "10.77.0.129", 25),
        {"ifname": "down0"},
    ]
    found = network.overlaps(a_plan(), interfaces)
    assert found == [("vpn0", "10.0.0.1/8"), ("hf-other", "10.77.0.129/25")]


def test_only_traffic_that_leaves_the_bridge_is_masqueraded() -> None:
    rules = network.nft_rules(a_plan())
    assert f'ip saddr 10.77.0.0/24 oifname != "{plan.bridge_name("shop")}" masquerade' in rules
    assert rules.index("delete table") < rules.index("chain way_out")


def test_machines_get_no_resolver_that_only_this_computer_can_reach() -> None:
    text = "nameserver 127.0.0.53\nnameserver 9.9.9.9\nnameserver ::1\nsearch example.org\n"
    assert network.reachable(text) == ["nameserver 9.9.9.9", "search example.org"]


def test_process_status_is_read() -> None:
    text = "Name:\tsystemd\nState:\tS (sleeping)\nPPid:\t4711\nNSpid:\t4712\t1\n"
    assert processes.parse_status(text) == processes.ProcessStatus(parent=4711, zombie=False, inner_pid=1)
    assert processes.parse_status("Name:\tsh\nState:\tZ (zombie)\nPPid:\t1\nNSpid:\t9\n") == processes.ProcessStatus(
        1, True, 0
    )
    assert processes.parse_status("") is None


def test_the_process_table_knows_this_process() -> None:
    assert processes.process_table()[os.getpid()].parent == os.getppid()


def test_a_machine_is_recognised_by_its_directory() -> None:
    argv = [argument.encode() for argument in machine.nspawn_argv("shop", "a")]
    assert processes.host_of(argv, "shop") == "a"
    assert processes.host_of(argv, "shop-two") is None
    assert processes.host_of([b"systemd-nspawn", b"--directory=/"], "shop") is None
    assert processes.host_of([b"cat", b"notes"], "shop") is None


def test_a_lock_is_held_until_it_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "STATE", tmp_path)
    monkeypatch.setattr(host, "LOCKS", tmp_path / "locks")
    said: list[str] = []
    assert not host.held("image")
    with host.locked("image", said.append):
        assert host.held("image")
        with host.locked("network", said.append):
            assert host.held("network")
    assert not host.held("image")
    assert list((tmp_path / "locks").iterdir()) == []
    assert said == []


def test_a_failed_host_command_says_which_and_why() -> None:
    with pytest.raises(LabError, match=r"`ls /no-such-place` failed: .*No such file"):
        host.run(["ls", "/no-such-place"])
    with pytest.raises(LabError, match="has no `no-such-command`"):
        host.run(["no-such-command"])


def test_missing_programs_are_named_by_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "program", lambda name: None if name in ("mmdebstrap", "nft") else name)
    assert host.lab_obstacle() == "programs are missing: apt-get install mmdebstrap nftables"


def test_without_root_there_is_no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "sudo" in (host.lab_obstacle() or "")


def test_images_in_use_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (host, lab):
        monkeypatch.setattr(module, "STATE", tmp_path)
        monkeypatch.setattr(module, "LOCKS", tmp_path / "locks")
    monkeypatch.setattr(lab, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(lab, "LABS", tmp_path / "labs")
    monkeypatch.setattr(lab, "require_lab", lambda: None)
    for name in ("used", "unused", "half.tmp"):
        (tmp_path / "images" / name / "rootfs").mkdir(parents=True)
    (tmp_path / "labs/shop/machines/a").mkdir(parents=True)
    (tmp_path / "labs/shop/machines/a/image").write_text("used")
    lab.remove_images()
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["used"]
    (tmp_path / "labs/shop/machines/a/image").unlink()
    lab.remove_images()
    assert not (tmp_path / "images").exists()
