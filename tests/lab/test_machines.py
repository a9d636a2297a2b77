"""Real machines: made, switched off and on, crashed half-made, and removed without a trace."""

import asyncio
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from holdfast.lab import machine, network, processes
from holdfast.lab.host import PRIVATE_MOUNTS, systemd_host
from holdfast.lab.lab import Lab, LabError, LabPlan, MachinePlan, MachineState, lab_obstacle
from holdfast.lab.plan import bridge_name, link_name, table_name
from lab.figures import Measured

OBSTACLE = lab_obstacle()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))]

KEY = asyncssh.generate_private_key("ssh-ed25519")

# Does `up`, and dies by SIGKILL right after its Nth host command.
CRASHING_UP = """
import json, os, signal, subprocess, sys
from holdfast.lab.lab import Lab, LabPlan, MachinePlan
fields = json.loads(sys.argv[1])
machines = tuple(MachinePlan(**one) for one in fields.pop("machines"))
real, left = subprocess.run, int(sys.argv[2])
def run(*arguments, **options):
    global left
    done = real(*arguments, **options)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
subprocess.run = run
Lab(LabPlan(**fields, machines=machines), print).up()
"""


def a_plan(name: str, network: str) -> LabPlan:
    return LabPlan(
        name=name,
        network=f"{network}.0/24",
        machines=(MachinePlan("a", f"{network}.11"), MachinePlan("b", f"{network}.12")),
        packages=(),
        units_off=(),
        authorized_key=KEY.export_public_key().decode(),
        reserved=(f"{network}.10",),
    )


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab(a_plan("machines-test", "10.79.201"), print)
    made.down()
    made.up()
    yield made
    made.down()


@pytest.fixture
def spare() -> Iterator[Lab]:
    """A lab that is not up, with the same host names as the other one."""
    other = Lab(a_plan("machines-test-2", "10.79.202"), print)
    other.down()
    yield other
    other.down()


def ssh(lab: Lab, name: str, command: str) -> str:
    """Run a command by SSH, as apply does: our key, and only the host key the lab knows."""

    async def session() -> str:
        address = next(one.address for one in lab.plan.machines if one.name == name)
        known = asyncssh.import_known_hosts(lab.known_hosts())
        async with asyncssh.connect(address, username="root", client_keys=[KEY], known_hosts=known) as connection:
            done = await connection.run(command, check=True)
            return str(done.stdout).strip()

    return asyncio.run(session())


def state(lab: Lab, name: str) -> MachineState:
    return next(one for one in lab.status() if one.name == name)


def traces(lab: Lab) -> list[str]:
    """Everything on this computer that belongs to the lab."""
    name = lab.plan.name
    links = {bridge_name(name)} | {link_name(name, one.name) for one in lab.plan.machines}
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [
        *(f"process {pid}" for pid in processes.running(name).values()),
        *(f"link {link}" for link in links if Path("/sys/class/net", link).exists()),
        *(f"mount {line}" for line in mounts if f"/holdfast/labs/{name}/" in line),
        *(f"table {line}" for line in nft_tables() if table_name(name) in line),
        *(f"directory {path}" for path in Path("/var/lib/holdfast/labs").glob(f"{name}*") if path.name == name),
        *(f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"**/holdfast/{name}")),
    ]


def nft_tables() -> list[str]:
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines()


def test_machines_are_whole_debian_systems_with_their_own_identity(lab: Lab) -> None:
    assert [one.power for one in lab.status()] == ["on", "on"]
    for name in ("a", "b"):
        assert ssh(lab, name, "hostname") == name
        assert ssh(lab, name, ". /etc/os-release; echo $ID $VERSION_CODENAME") == "debian trixie"
        assert ssh(lab, name, "systemctl is-system-running --wait") == "running"
        assert ssh(lab, name, "stat -c %a / /etc /root /root/.ssh").split() == ["755", "755", "700", "700"]
    assert ssh(lab, "a", "cat /etc/machine-id") != ssh(lab, "b", "cat /etc/machine-id")


def test_machines_reach_each_other_and_the_package_registry(lab: Lab) -> None:
    greeting = "python3 -c 'import socket; print(socket.create_connection((\"10.79.201.12\", 22)).recv(4))'"
    assert ssh(lab, "a", greeting) == "b'SSH-'"
    assert "InRelease" in ssh(lab, "a", "apt-get update 2>&1")


def test_machines_have_the_powers_that_apply_needs(lab: Lab) -> None:
    assert ssh(lab, "a", "sysctl -n -w net.ipv4.ip_nonlocal_bind=1") == "1"
    raw = "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 112); print('raw')"
    assert ssh(lab, "a", f'python3 -c "{raw}"') == "raw"
    assert ssh(lab, "a", "chrt --fifo 10 echo realtime") == "realtime"
    assert ssh(lab, "a", "ip address add 10.79.201.99/32 dev host0 && echo added") == "added"


def test_machines_outlive_the_command_that_made_them(lab: Lab) -> None:
    for found in processes.running(lab.plan.name).values():
        assert os.getsid(found.supervisor) != os.getsid(0)


def test_a_second_up_starts_only_what_is_missing(lab: Lab) -> None:
    before = lab.status()
    lab.up()
    assert lab.status() == before
    lab.power_off("b")
    lab.up()
    assert state(lab, "a") == before[0]
    assert state(lab, "b").power == "on"
    assert state(lab, "b").pid != before[1].pid


def test_up_mends_a_lab_whose_computer_was_restarted(spare: Lab) -> None:
    spare.up()
    name = spare.plan.name
    for one in spare.plan.machines:
        spare.power_off(one.name)
    subprocess.run(["ip", "link", "delete", bridge_name(name)], check=True)
    subprocess.run(["nft", "delete", "table", "ip", table_name(name)], check=True)
    spare.up()
    assert [one.power for one in spare.status()] == ["on", "on"]
    assert "InRelease" in ssh(spare, "a", "apt-get update 2>&1")


def test_power_off_is_silent_and_total_and_the_disk_survives(lab: Lab, measured: Measured) -> None:
    key = lab.known_hosts()
    ssh(lab, "b", "echo kept >/root/note")
    with socket.create_connection(("10.79.201.12", 22), timeout=5) as connection:
        assert connection.recv(4) == b"SSH-"
        connection.settimeout(1)
        started = time.monotonic()
        lab.power_off("b")
        took_s = time.monotonic() - started
        with measured.in_time():
            assert took_s < 2
        # A server without power says no goodbye: neither end of file nor reset.
        with pytest.raises(TimeoutError):
            list(iter(lambda: connection.recv(4096), b""))
    assert (state(lab, "b").power, state(lab, "b").pid) == ("off", None)
    assert not machine.answers_ssh("10.79.201.12")
    assert not Path("/sys/class/net", link_name(lab.plan.name, "b")).exists()
    lab.power_off("b")
    lab.power_on("b")
    assert ssh(lab, "b", "cat /root/note") == "kept"
    assert lab.known_hosts() == key


def test_a_shell_needs_no_ssh(lab: Lab) -> None:
    argv = lab.shell_argv("a", ["sh", "-c", "hostname; pwd; cat /proc/1/comm; echo $PATH"])
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert told[0::2] == ["a", "systemd"]
    assert "/usr/sbin" in told[3]


def test_a_name_that_is_not_there_is_refused(lab: Lab, spare: Lab) -> None:
    with pytest.raises(LabError, match="there are: a, b"):
        lab.power_off("nobody")
    with pytest.raises(LabError, match="not made yet"):
        spare.power_on("a")
    assert [one.power for one in spare.status()] == ["absent", "absent"]


def test_two_labs_side_by_side(lab: Lab, spare: Lab) -> None:
    before = lab.status()
    spare.up()
    ssh(spare, "a", "touch /root/only-here")
    assert ssh(lab, "a", "ls /root") == ""
    spare.down()
    assert traces(spare) == []
    assert lab.status() == before
    assert ssh(lab, "a", "hostname") == "a"
    assert network.IP_FORWARD.read_text() == "1\n"


def test_an_overlapping_network_is_refused_by_name(lab: Lab, spare: Lab) -> None:
    clash = Lab(a_plan(spare.plan.name, "10.79.201"), print)
    with pytest.raises(LabError, match=r"overlaps 10\.79\.201\.1/24 on the network of lab machines-test "):
        clash.up()


def test_an_address_does_not_change_under_a_machine(lab: Lab) -> None:
    moved = dataclasses.replace(lab.plan, machines=(MachinePlan("a", "10.79.201.21"), lab.plan.machines[1]))
    with pytest.raises(LabError, match="machine a"):
        Lab(moved, print).up()


def test_an_up_killed_anywhere_is_cleaned_by_down(spare: Lab) -> None:
    """One crash after each host command that `up` runs, until one `up` gets through."""
    fields = json.dumps(dataclasses.asdict(spare.plan))
    for crash_after in range(1, 100):
        argv = [sys.executable, "-c", CRASHING_UP, fields, str(crash_after)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
        if crash_after % 2 == 0:
            spare.up()
            assert [one.power for one in spare.status()] == ["on", "on"]
        spare.down()
        assert traces(spare) == []
    assert crash_after > 5
    assert [one.power for one in spare.status()] == ["on", "on"]


def test_down_leaves_nothing_and_says_nothing_twice(spare: Lab) -> None:
    said: list[str] = []
    talking = Lab(spare.plan, said.append)
    talking.up()
    assert len(traces(spare)) >= 6
    talking.down()
    assert traces(spare) == []
    count = len(said)
    talking.down()
    assert len(said) == count


@pytest.mark.skipif(systemd_host(), reason="where PID 1 is systemd, it keeps the cgroups")
def test_cgroups_go_when_the_last_process_has_left_them(spare: Lab) -> None:
    name, place = spare.plan.name, str(processes.directory(spare.plan.name, "a"))
    arguments = [f"{place}-console", "lowerdir=/usr,upperdir=/,workdir=/", "/", f"holdfast/{name}/a", "sleep", "0.7"]
    without_disk = machine.LAUNCH.replace("mount -t overlay overlay", ": mount").replace('>"$1"', ">/dev/null")
    ending = subprocess.Popen([*PRIVATE_MOUNTS, "sh", "-c", without_disk, "holdfast-lab", *arguments])
    time.sleep(0.3)
    machine.remove_cgroups(name)
    assert ending.wait(timeout=5) == 0
