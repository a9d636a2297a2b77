"""The helper modules of the servers, on files of this machine in a temporary folder; no unit is touched."""

import base64
import getpass
import grp
import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from holdfast.drills.priority import AUTOGROUP
from holdfast.runner import agent
from holdfast.runner.onhost import act, basics, look
from holdfast.runner.onhost.basics import Failed

Data = dict[str, Any]
NO_UNIT = {"unit": "", "effect": "none"}
USER, GROUP = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "state" / "ledger.json"
    monkeypatch.setattr(basics, "LEDGER", path)
    # Units are systemd's business; here only that they would be asked is of interest.
    monkeypatch.setattr(act, "settle_units", lambda ledger, *_: basics.write_ledger(ledger))
    return path


def a_file(path: Path, content: str, **more: object) -> Data:
    part = {
        "kind": "file",
        "key": f"file:{path}",
        "path": str(path),
        "content": content,
        "owner": USER,
        "group": GROUP,
    }
    return part | {"mode": 0o640, "unit": "", "effect": "none", "early": False, "sensitive": False} | more


def looked(*parts: Data) -> Data:
    asked = [
        part | {"sha256": hashlib.sha256(part["content"].encode()).hexdigest()} if "content" in part else part
        for part in parts
    ]
    return look.answer({"parts": asked})


def acted(*parts: Data, **more: object) -> None:
    act.answer({"remove": [], "stop": [], "members": [{"name": "x@a", "parts": list(parts)}]} | more)


def state(part: Data) -> str:
    return str(looked(part)["states"][part["key"]]["state"])


def test_a_file_is_absent_then_same_then_differs(tmp_path: Path) -> None:
    part = a_file(tmp_path / "deep" / "x.conf", "hello\n")
    assert state(part) == "absent"
    acted(part)
    assert state(part) == "same"
    path = Path(part["path"])
    assert path.stat().st_mode & 0o777 == 0o640
    path.write_text("by hand\n")
    found = looked(part)["states"][part["key"]]
    assert (found["state"], found["text"]) == ("differs", "by hand\n")


def test_a_wrong_mode_is_seen(tmp_path: Path) -> None:
    part = a_file(tmp_path / "x", "1")
    acted(part)
    Path(part["path"]).chmod(0o600)
    assert "should be" in looked(part)["states"][part["key"]]["why"]


def test_sensitive_files_are_not_shown(tmp_path: Path) -> None:
    part = a_file(tmp_path / "key", "secret", sensitive=True)
    acted(part)
    Path(part["path"]).write_text("other secret")
    assert "text" not in looked(part)["states"][part["key"]]


def test_a_refused_configuration_leaves_everything_as_it_was(tmp_path: Path, ledger: Path) -> None:
    old = a_file(tmp_path / "x.conf", "good", unit="x.service", effect="none")
    acted(old)
    before = ledger.read_text()
    bad = old | {"content": "bad", "effect": "restart", "mode": 0o600}
    fresh = a_file(tmp_path / "y.conf", "new")
    unit = {"kind": "unit", "key": "unit:x.service", "name": "x.service", "running": True}
    unit["verify"] = ["sh", "-c", "echo no such directive >&2; exit 1"]
    with pytest.raises(Failed, match="no such directive"):
        acted(bad, fresh, unit)
    assert Path(old["path"]).read_text() == "good"
    assert Path(old["path"]).stat().st_mode & 0o777 == 0o640
    assert not Path(fresh["path"]).exists()
    assert json.loads(ledger.read_text()) == json.loads(before)


def test_debts_are_written_down_before_anything_changes(tmp_path: Path, ledger: Path) -> None:
    part = a_file(tmp_path / "x.conf", "1", unit="x.service", effect="restart", owner="no-such-user")
    with pytest.raises(Failed, match="no user no-such-user"):
        acted(part)
    assert json.loads(ledger.read_text())["owed"] == {"x.service": "restart"}


def test_what_is_not_wanted_any_more_goes_only_if_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, touched = a_file(tmp_path / "ours", "1"), a_file(tmp_path / "touched", "1")
    acted(ours, touched)
    Path(touched["path"]).write_text("precious")
    monkeypatch.setattr(act, "run", lambda *_: {"exit_code": 0})
    assert set(looked()["extra"]) == {ours["path"], touched["path"]}
    acted(remove=[ours["path"], touched["path"]])
    assert not Path(ours["path"]).exists()
    assert Path(touched["path"]).read_text() == "precious"
    assert set(looked()["extra"]) == {touched["path"]}


def test_an_archive_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("app/main.py")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"ok"))
    part = {"kind": "archive", "key": "archive:r", "path": str(tmp_path / "releases" / "1")}
    broken = part | {"data": base64.b64encode(buffer.getvalue()[:40]).decode()}
    with pytest.raises((EOFError, tarfile.TarError)):
        acted(broken)
    assert not list((tmp_path / "releases").iterdir())
    acted(part | {"data": base64.b64encode(buffer.getvalue()).decode()})
    assert (tmp_path / "releases" / "1" / "app" / "main.py").read_bytes() == b"ok"
    assert state(part) == "same"


def entry(name: str, link: str = "", kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    if link:
        info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "strange",
    [
        entry("../evil"),
        entry("/evil"),
        entry("in/../../evil"),
        entry("link", "/etc"),
        entry("a/link", "../../evil"),
        entry("hard", "/etc/passwd", tarfile.LNKTYPE),
        entry("pipe", "x", tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.name} {info.linkname}".strip(),
)
def test_an_archive_cannot_write_outside_its_directory(tmp_path: Path, strange: tarfile.TarInfo) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(strange, io.BytesIO())
    data = base64.b64encode(buffer.getvalue()).decode()
    with pytest.raises(tarfile.TarError):
        acted({"kind": "archive", "key": "archive:r", "path": str(tmp_path / "in" / "1"), "data": data})
    assert not (tmp_path / "in" / "evil").exists()
    assert not (tmp_path / "in" / "1").exists()


def test_a_link_is_moved_and_given_up_like_a_file(tmp_path: Path) -> None:
    part = {
        "kind": "link",
        "key": "link:l",
        "path": str(tmp_path / "l"),
        "target": "/a",
        "unit": "",
        "effect": "none",
    }
    acted(part)
    acted(part | {"target": "/b"})
    assert state(part | {"target": "/b"}) == "same"
    assert looked()["extra"] == {part["path"]: "link to /b"}


def test_a_step_runs_once_and_must_bring_its_state_about(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    part = {"kind": "step", "key": "step:s", "name": "s", "unless": ["test", "-e", str(flag)], "timeout_s": 5}
    assert state(part | {"argv": []}) == "differs"
    with pytest.raises(Failed, match="its state is not there"):
        acted(part | {"argv": ["true"]})
    acted(part | {"argv": ["touch", str(flag)]})
    assert state(part | {"argv": []}) == "same"


def test_the_modules_run_by_themselves_on_a_bare_python() -> None:
    request = {"probes": [{"key": "k", "argv": ["sh", "-c", "echo out; echo err >&2; exit 3"], "timeout_s": 5}]}
    done = subprocess.run(agent.ARGV, input=agent.payload("observe", request), capture_output=True, timeout=30)
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert event["answer"] == {"k": {"exit_code": 3, "stdout": "out\n", "stderr": "err\n"}}


def test_a_probe_that_hangs_is_ended() -> None:
    request = {"probes": [{"key": "k", "argv": ["sleep", "60"], "timeout_s": 0.2}]}
    done = subprocess.run(agent.ARGV, input=agent.payload("observe", request), capture_output=True, timeout=30)
    assert json.loads(done.stdout)["answer"]["k"]["exit_code"] == 124


@pytest.mark.parametrize("leads", [True, False])
def test_looking_comes_after_what_the_server_is_there_for(leads: bool) -> None:
    probe = {"key": "k", "argv": ["sh", "-c", "ps -o ni= -p $$; cat /proc/self/autogroup"], "timeout_s": 5}
    done = subprocess.run(
        agent.ARGV,
        input=agent.payload("observe", {"probes": [probe]}),
        capture_output=True,
        timeout=30,
        start_new_session=leads,
    )
    niceness, *group = json.loads(done.stdout)["answer"]["k"]["stdout"].splitlines()
    assert int(niceness) == max(os.getpriority(os.PRIO_PROCESS, 0), basics.LOOKING_NICE)
    assert not group or group[0].endswith(f"nice {basics.LOOKING_NICE}")
    assert not AUTOGROUP.exists() or not AUTOGROUP.read_text().endswith(f"nice {basics.LOOKING_NICE}\n")


def test_nothing_but_the_standard_library_is_sent() -> None:
    for ask in ("look", "act", "observe", "hold"):
        for name, source in agent._modules(ask):
            assert "import holdfast" not in source, name
            foreign = [line for line in source.splitlines() if line.startswith("from holdfast.")]
            assert all(line.startswith("from holdfast.runner.onhost.") for line in foreign), name


DOWN = {"ActiveState": "inactive", "UnitFileState": "disabled"}
UP = {"ActiveState": "active", "UnitFileState": "enabled"}


class Systemd:
    """Every unit is in the same state; what is asked of it is remembered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ledger: Path) -> None:
        self.asked: list[str] = []
        self.state = DOWN
        monkeypatch.undo()
        monkeypatch.setattr(basics, "LEDGER", ledger)
        monkeypatch.setattr(act, "unit_states", lambda names: dict.fromkeys(names, self.state))
        monkeypatch.setattr(act, "must", self.remember)
        monkeypatch.setattr(act, "run", self.remember)

    def remember(self, argv: list[str], _timeout_s: float = 0) -> Data:
        self.asked.append(argv[1])
        return {"exit_code": 0}

    def settled(self, state: Data, *files: Data, running: bool = True) -> list[str]:
        self.asked, self.state = [], state
        unit = {"kind": "unit", "key": "unit:x.service", "name": "x.service", "verify": []}
        acted(*files, unit | {"running": running})
        return self.asked


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch, ledger: Path) -> Systemd:
    return Systemd(monkeypatch, ledger)


def test_a_unit_is_ours_from_its_first_start_on(systemd: Systemd, ledger: Path) -> None:
    assert systemd.settled(DOWN) == ["enable", "reset-failed", "start"]
    assert json.loads(ledger.read_text())["units"] == {"x.service": {"member": "x@a"}}


def test_a_unit_that_shall_not_run_is_left_alone_when_it_does_not(systemd: Systemd) -> None:
    assert systemd.settled(DOWN, running=False) == []
    assert systemd.settled(UP, running=False) == ["disable"]
    assert systemd.settled(UP | {"ActiveState": "inactive"}, running=False) == ["disable"]


def test_units_are_read_anew_only_when_one_has_changed(
    systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folder = a_file(tmp_path / "x.conf", "1"), tmp_path / "units"
    monkeypatch.setattr(act, "UNIT_FILES", f"{folder}/")
    assert systemd.settled(UP, settings) == []
    assert systemd.settled(UP, a_file(folder / "x.service.d" / "holdfast.conf", "1")) == ["daemon-reload"]
    # An apply that was cut off after it wrote the file.
    assert systemd.settled(UP | {"NeedDaemonReload": "yes"}) == ["daemon-reload"]
