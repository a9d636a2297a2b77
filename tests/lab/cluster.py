"""One real cluster that the lab tests share, handled as an operator would: by the command line."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.lab import lab_of
from holdfast.design.design import Design, make_design
from holdfast.design.load import load
from holdfast.lab.lab import Lab
from holdfast.runner.vault import Vault
from lab.customers import Customers
from lab.traces import traces

ROOT = Path(__file__).parents[2]
CLI = (sys.executable, "-m", "holdfast")
# A folder for those who write tests: the shared cluster stays there from one run to the next.
KEPT_LAB = os.environ.get("HOLDFAST_KEEP_LAB", "")
HEALTHY_WITHIN_S = 120.0
# As `failures_mended`: a test ended before its end without failing, and what it left has to be mended.
NEVER = -1
IGNORED = shutil.ignore_patterns("__pycache__", ".*")
LEADING = ("leader", "primary", "holder")
Status = dict[str, Any]
Done = subprocess.CompletedProcess[str]


class LabCluster:
    """A cluster in a folder of its own. Every output is searched for secrets as it comes."""

    def __init__(self, folder: Path, spec: str) -> None:
        self.folder = folder
        self.file = folder / "cluster.yaml"
        self.spec = spec
        self.file.write_text(spec)
        self.failures_mended = 0
        # Of all processes during the first apply, when secrets are set; machines' processes are seen from here.
        self.command_lines: set[str] = set()

    @cached_property
    def lab(self) -> Lab:
        """The machines; their names and addresses never change during the tests."""
        return lab_of(self.file, self.design)

    @property
    def design(self) -> Design:
        """The design of the cluster file as it is now."""
        return make_design(load(self.file))

    @property
    def hosts(self) -> list[str]:
        """The names of the hosts, sorted."""
        return [host.name for host in self.design.spec.hosts]

    @property
    def vip(self) -> str:
        """The floating address."""
        return self.design.spec.entry.vip or ""

    @property
    def authority(self) -> Path:
        """The certificate of the cluster's own CA."""
        return self.folder / ".holdfast" / "ca.crt"

    def secrets(self) -> list[str]:
        """Every value that must never be seen: passwords, and each line of a private key by itself."""
        lines = [line for text in Vault.beside(self.file).hidden() for line in text.splitlines()]
        return [line for line in lines if len(line) >= 16 and not line.startswith("-----")]

    def holdfast(self, *words: str, expect: int | None = 0, timeout_s: float = 240.0) -> Done:
        """Run the command line; its exit code must be ``expect`` unless that is None."""
        argv = self.argv(*words)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)
        self.refuse_secrets(done.stdout + done.stderr, " ".join(words))
        if expect is not None and done.returncode != expect:
            pytest.fail(
                f"holdfast {' '.join(words)}: exit code {done.returncode}\n{short(done.stdout)}\n{short(done.stderr)}"
            )
        return done

    def argv(self, *words: str) -> list[str]:
        """The command line of this cluster as an argument vector; options of a verb come after its words."""
        return [*CLI, *words, "--file", str(self.file)]

    def data(self, *words: str, expect: int | None = 0) -> dict[str, Any]:
        """Run a reading verb and return its JSON."""
        found: dict[str, Any] = json.loads(self.holdfast(*words, "-o", "json", expect=expect).stdout)
        return found

    @contextmanager
    def running(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """Run the command line beside the test; killed at the end if it is still there."""
        argv, pipe = self.argv(*words), subprocess.PIPE
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def refuse_secrets(self, text: str, where: str) -> None:
        """Fail when a text holds a secret; the failure does not repeat it."""
        if any(secret in text for secret in self.secrets()):
            pytest.fail(f"a secret is in the output of: {where}")

    def status(self) -> Status:
        """Return what ``holdfast status`` says."""
        return self.data("status", expect=None)

    def ready(self, within_s: float = HEALTHY_WITHIN_S) -> float:
        """Wait until the cluster is healthy; return how long it took (s). Fails with the last status."""
        begun = time.monotonic()
        while (status := self.status())["health"] != "healthy":
            if time.monotonic() - begun > within_s:
                pytest.fail(f"not healthy after {within_s:g} s:\n{describe(status)}")
            time.sleep(0.5)
        return time.monotonic() - begun

    def leader(self, component: str, within_s: float = 20.0) -> str:
        """Return the host whose member of a component leads; waits for the end of an election."""
        begun = time.monotonic()
        while True:
            members = [each for each in self.status()["members"] if each["component"] == component]
            found = [str(each["host"]) for each in members if each["role"] in LEADING]
            if len(found) == 1:
                return found[0]
            assert time.monotonic() - begun < within_s, f"{component} is led by {found or 'nobody'}"
            time.sleep(0.5)

    def inside(self, host: str, *argv: str, timeout_s: float = 60.0, stdin: str = "", check: bool = True) -> str:
        """Run a command in a machine, without SSH; return its standard output."""
        enter = self.lab.shell_argv(host, argv)
        done = subprocess.run(
            enter, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False
        )
        if check and done.returncode:
            pytest.fail(f"{host}: {' '.join(argv)}: exit code {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout

    def drained(self) -> str:
        """Return the marks by which edge hosts keep servers out of use."""
        look = ("find", "/run", "-path", "/run/holdfast-edge/drained/*", "-type", "f")
        return "".join(self.inside(host, *look) for host in self.hosts)

    def edit(self, before: str, after: str) -> None:
        """Replace a text that is in the cluster file exactly once."""
        text = self.file.read_text()
        assert text.count(before) == 1, f"{before!r} is {text.count(before)} times in\n{text}"
        self.file.write_text(text.replace(before, after))

    def power(self, switch: str, *hosts: str) -> None:
        """Switch machines ``off`` or ``on``."""
        for host in hosts:
            self.holdfast("lab", "power", switch, host, timeout_s=120)

    def mend(self) -> None:
        """Bring everything back to the first spec: power, files, services; a failed apply is begun again, once."""
        self.file.write_text(self.spec)
        self.holdfast("lab", "up", expect=None)
        if self.holdfast("apply", "-y", expect=None).returncode:
            self.holdfast("apply", "-y")

    def customers(self, reads_per_s: float = 20.0, writes_per_s: float = 5.0) -> Customers:
        """Return customers that are not yet in the shop: a context manager."""
        return Customers(f"https://{self.vip}", self.authority, reads_per_s, writes_per_s)

    def evidence(self) -> str:
        """The status, and the last journal lines of members that are not healthy."""
        status = self.status()
        sick = [each for each in status["members"] if each["state"] != "ok"]
        return "\n".join([describe(status), *(self._journal(each["host"], each["component"]) for each in sick)])

    def _journal(self, host: str, component: str) -> str:
        member = next(each for each in self.design.of(component) if each.host == host)
        probes = self.design.components[component].probes(self.design.contexts[member])
        units = dict.fromkeys(unit for probe in probes for unit in probe.units)
        argv = ("journalctl", "--no-pager", "-n", "15", *(word for unit in units for word in ("-u", unit)))
        return f"--- {member.name}\n{self.inside(host, *argv, check=False)}" if units else ""


def describe(status: Status) -> str:
    """Return a status in a few lines: those that are not healthy, and who leads."""
    members = status["members"]
    sick = [f"  {each['name']}: {each['state']} {each['reason']}" for each in members if each["state"] != "ok"]
    roles = ", ".join(f"{each['name']} {each['role']}" for each in members if each["role"])
    return "\n".join([f"{status['health']}; address held by {status['vip_holder']}; {roles}", *sick])


def short(text: str, most: int = 3000) -> str:
    """Return a text without its middle: the record of a drill has 100,000 lines."""
    return text if len(text) <= 2 * most else f"{text[:most]}\n[...]\n{text[-most:]}"


def spec_of(name: str, network: str) -> str:
    """Return the example's cluster file with another name, in another network (``10.80.0``)."""
    text = (ROOT / "cluster.yaml").read_text()
    return text.replace("name: shop", f"name: {name}").replace("10.77.0.", f"{network}.")


@contextmanager
def lab_cluster(folder: Path, spec: str, *options: str) -> Iterator[LabCluster]:
    """Make machines for a spec and remove them afterwards, to the last trace."""
    made = a_shop(folder, spec)
    made.holdfast("lab", "down")
    try:
        made.holdfast("lab", "up", *options, timeout_s=400)
        yield made
    finally:
        made.holdfast("lab", "down")
    assert traces(made.lab) == []


def a_shop(folder: Path, spec: str) -> LabCluster:
    """Put a cluster file and the example's shop into a folder."""
    shutil.copytree(ROOT / "examples/shop", folder / "examples/shop", ignore=IGNORED, dirs_exist_ok=True)
    return LabCluster(folder, spec)


@contextmanager
def overheard(heard: set[str]) -> Iterator[None]:
    """Gather the command lines of all processes of this computer while the block runs."""
    over = threading.Event()
    listener = threading.Thread(target=_listen, args=(heard, over), daemon=True)
    listener.start()
    try:
        yield
    finally:
        over.set()
        listener.join(10)


def _listen(heard: set[str], over: threading.Event) -> None:
    while not over.wait(0.1):
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                heard.add((process / "cmdline").read_text(errors="replace").replace("\0", " "))


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCluster]:
    """The cluster of the example, applied once for all tests."""
    spec = spec_of("proof", "10.80.0")
    if KEPT_LAB:
        made = a_shop(Path(KEPT_LAB), spec)
        made.holdfast("lab", "up", timeout_s=400)
        made.holdfast("apply", "-y", timeout_s=400)
        yield made
        return
    with lab_cluster(tmp_path_factory.mktemp("proof"), spec) as made:
        with overheard(made.command_lines):
            made.holdfast("apply", "-y", timeout_s=400)
        yield made


@pytest.fixture
def cluster(shared_cluster: LabCluster, request: pytest.FixtureRequest) -> LabCluster:
    """The shared cluster, healthy: what a failed test has broken is mended before the next one."""
    again = getattr(request.node, "execution_count", 1) > 1
    if again or request.session.testsfailed > shared_cluster.failures_mended:
        shared_cluster.failures_mended = request.session.testsfailed
        shared_cluster.mend()
    shared_cluster.ready()
    return shared_cluster
