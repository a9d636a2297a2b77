"""Faults are armed, struck, shown and undone: on this computer, with files as faults; and by hands on fake wires."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from holdfast.drills.hands import Hands, HandsError
from holdfast.model.fault import UNDERNEATH, Blow, Evidence
from holdfast.model.watch import Output
from holdfast.runner import agent
from holdfast.runner.onhost import strike, switch
from holdfast.runner.onhost.basics import Failed
from holdfast.wire.base import Wire, WireError
from holdfast.wire.fake import FakeWire
from holdfast.wire.local import LocalWire

Data = dict[str, Any]
WITHIN_S = 10.0

# Strikes as the helper on a server would, and dies by SIGKILL right after that.
KILLED_STRIKER = """
import json, os, signal, sys
from pathlib import Path
from holdfast.runner.onhost import strike
strike.STATE, strike.SYSTEMD = Path(sys.argv[1]), Path("/nowhere")
strike.answer(json.loads(sys.argv[2]))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where faults are remembered; units are systemd's business, here the switch is a process."""
    place = tmp_path / "state"
    monkeypatch.setattr(strike, "STATE", place)
    monkeypatch.setattr(strike, "SYSTEMD", tmp_path / "no-systemd")
    monkeypatch.setattr(switch, "PAUSES_S", (0.0, 0.0, 0.0))
    yield place
    for folder in place.glob("*"):
        strike.disarm(folder)


def a_request(broken: Path, undo_after_s: float = 60.0, **more: object) -> Data:
    """A fault that makes a file, and is undone by removing it."""
    request = {"do": "inject", "id": "one", "undo_after_s": undo_after_s, "switch": agent.source("switch")}
    return request | {"inject": [["touch", str(broken)]], "heal": [["rm", "-f", str(broken)]]} | more


def python(code: str, *arguments: Path) -> list[str]:
    return [sys.executable, "-I", "-c", f"import sys\nfrom pathlib import Path\n{code}", *map(str, arguments)]


def eventually(true: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + WITHIN_S
    while not true() and time.monotonic() < until_s:
        time.sleep(0.02)
    return true()


def test_the_switch_waits_before_anything_is_broken(state: Path, tmp_path: Path) -> None:
    look = python("Path(sys.argv[2]).write_text(Path(sys.argv[1]).read_text())", state / "one/pid", tmp_path / "seen")
    answer = strike.answer(a_request(tmp_path / "broken", inject=[look]))
    assert answer["took_s"] >= 0
    assert (tmp_path / "seen").read_text() == (state / "one/pid").read_text()
    assert strike.is_alive(state / "one")


def test_a_fault_is_undone_though_who_struck_was_killed(state: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    begun = time.monotonic()
    argv = [sys.executable, "-c", KILLED_STRIKER, str(state), json.dumps(a_request(broken, undo_after_s=1.0))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == -9, done.stderr
    assert broken.exists()
    assert eventually(lambda: not broken.exists())
    assert time.monotonic() - begun > 1.0
    assert eventually(lambda: strike.pending({})["faults"][0]["fired"])
    assert strike.heal({"id": "one", "heal": []})["by_switch"]
    assert not (state / "one").exists()


def test_the_switch_holds_no_pipe_of_who_struck(state: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", KILLED_STRIKER, str(state), json.dumps(a_request(tmp_path / "broken"))]
    # With a pipe held open this would wait for the end of the switch, in a minute.
    subprocess.run(argv, capture_output=True, check=False, timeout=30)
    assert strike.is_alive(state / "one")


def test_healing_undoes_disarms_and_may_be_repeated(state: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    request = a_request(broken)
    strike.answer(request)
    told = strike.pending({})["faults"][0]
    assert (told["id"], told["fired"], told["alive"]) == ("one", False, True)
    assert 50 < told["left_s"] <= 60
    process = switch.read(state / "one/pid")
    for _ in range(2):
        assert strike.answer({"do": "heal", "id": "one", "heal": request["heal"]})["by_switch"] is False
        assert not broken.exists()
    assert strike.pending({}) == {"faults": []}
    assert not state.exists()
    assert eventually(lambda: b"switch.py" not in command_line(process))


def command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def test_a_fault_that_comes_about_in_part_is_undone_at_once(state: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    commands = [["touch", str(broken)], ["ls", "/does/not/exist"], ["touch", str(tmp_path / "never")]]
    with pytest.raises(Failed, match=r"exit code 2: .*No such file"):
        strike.answer(a_request(broken, inject=commands))
    assert (broken.exists(), (tmp_path / "never").exists(), (state / "one").exists()) == (False, False, False)


def test_what_cannot_be_undone_stays_armed_and_is_told(state: Path, tmp_path: Path) -> None:
    strike.answer(a_request(tmp_path / "broken", heal=[["ls", "/does/not/exist"]]))
    with pytest.raises(Failed, match="No such file"):
        strike.heal({"id": "one", "heal": []})
    assert strike.is_alive(state / "one")
    with pytest.raises(Failed, match="false: exit code 1; undoing it failed too: ls /does/not/exist"):
        strike.answer(a_request(tmp_path / "x", id="two", inject=[["false"]], heal=[["ls", "/does/not/exist"]]))
    assert strike.is_alive(state / "two")


def test_a_healing_command_that_fails_is_tried_again(state: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    stubborn = python("p = Path(sys.argv[1]); p.open('a').write('x'); sys.exit(len(p.read_text()) < 3)", count)
    assert switch.undo([stubborn]) == []
    assert count.read_text() == "xxx"


def test_the_switch_itself_insists_and_goes_on_after_a_failure(state: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    text = agent.source("switch").replace("PAUSES_S = (", "PAUSES_S = () or (0.0,) or (")
    heal = [["ls", "/does/not/exist"], ["rm", str(broken)]]
    strike.answer(a_request(broken, undo_after_s=0.2, heal=heal, switch=text))
    assert eventually(lambda: strike.pending({})["faults"][0]["fired"])
    assert not broken.exists()
    assert "No such file" in strike.pending({})["faults"][0]["complaints"][0]


def test_nothing_is_broken_without_a_switch(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strike, "READY_WITHIN_S", 0.3)
    with pytest.raises(Failed, match="nothing was broken"):
        strike.answer(a_request(tmp_path / "broken", switch="raise SystemExit(1)\n"))
    assert not (tmp_path / "broken").exists()
    assert not (state / "one").exists()


def test_one_name_is_one_fault(state: Path, tmp_path: Path) -> None:
    strike.answer(a_request(tmp_path / "broken"))
    with pytest.raises(Failed, match="armed already"):
        strike.answer(a_request(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    for wrong in ("../one", "", ".hidden", "a b"):
        with pytest.raises(Failed, match="cannot name a fault"):
            strike.answer(a_request(tmp_path / "other", id=wrong))


def test_what_an_earlier_drill_left_is_undone_before_the_next(state: Path, tmp_path: Path) -> None:
    broken, first = tmp_path / "broken", tmp_path / "first"
    strike.answer(a_request(first, undo_after_s=0.1))
    assert eventually(lambda: strike.pending({})["faults"][0]["fired"])
    assert eventually(lambda: not strike.pending({})["faults"][0]["alive"])
    strike.answer(a_request(broken))
    assert not strike.pending({})["faults"][0]["fired"]
    # A switch that was killed undid nothing: what it would have undone is, and then the next fault is armed.
    killed = int((state / "one" / "pid").read_text())
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: not strike.pending({})["faults"][0]["alive"])
    strike.answer(a_request(first))
    assert first.exists()
    assert not broken.exists()
    assert strike.pending({})["faults"][0]["alive"]


def test_what_an_earlier_drill_left_and_cannot_be_undone_stops_the_next(state: Path, tmp_path: Path) -> None:
    heal = [["ls", "/does/not/exist"]]
    strike.answer(a_request(tmp_path / "first", heal=heal))
    os.kill(int((state / "one" / "pid").read_text()), signal.SIGKILL)
    assert eventually(lambda: not strike.pending({})["faults"][0]["alive"])
    with pytest.raises(Failed, match="No such file"):
        strike.answer(a_request(tmp_path / "broken"))
    assert not (tmp_path / "broken").exists()


def test_what_is_over_at_once_needs_no_switch(state: Path, tmp_path: Path) -> None:
    strike.answer(a_request(tmp_path / "done", heal=[]))
    assert (tmp_path / "done").exists()
    assert not state.exists()


def test_a_switch_that_fired_long_ago_is_forgotten(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike.answer(a_request(tmp_path / "broken", undo_after_s=0.1))
    assert eventually(lambda: (state / "one/fired.json").exists())
    strike.answer(a_request(tmp_path / "broken", id="two"))
    assert [each["id"] for each in strike.pending({})["faults"]] == ["one", "two"]
    monkeypatch.setattr(strike, "FORGOTTEN_AFTER_S", 0.0)
    strike.answer(a_request(tmp_path / "broken", id="three"))
    assert [each["id"] for each in strike.pending({})["faults"]] == ["three", "two"]


# --- this computer as a machine -----------------------------------------------------------------------------------


def test_commands_run_here() -> None:
    async def story() -> None:
        wire = LocalWire()
        done = await wire.run(("sh", "-c", "cat; echo oops >&2; exit 3"), b"fed")
        assert (done.exit_code, done.stdout, done.stderr) == (3, "fed", "oops\n")
        assert (await wire.run(("no-such-command",))).exit_code == 127
        begun = time.monotonic()
        assert (await wire.run(("sh", "-c", "sleep 60 & sleep 60"), timeout_s=0.2)).exit_code == 124
        assert time.monotonic() - begun < 5
        lines = [line async for line in wire.lines(("sh", "-c", "cat; echo end"), agent.once(b"one\n"))]
        assert lines == ["one", "end"]
        with pytest.raises(WireError, match="ended with 4"):
            assert [line async for line in wire.lines(("sh", "-c", "exit 4"), agent.once(b""))] == []
        assert await wire.forward(5432) == 5432
        with pytest.raises(WireError):
            await wire.forward(5432, "10.0.0.9")

    asyncio.run(story())


# --- hands --------------------------------------------------------------------------------------------------------


@dataclass
class Place:
    """A machine made of a set: the faults in force. ``absent``: connections it refuses before it answers again."""

    name: str
    journal: list[str]
    faults: set[str] = field(default_factory=set)
    absent: int = 0
    refuses: str = ""
    opened: int = 0

    async def connect(self) -> Wire:
        if self.absent:
            self.absent -= 1
            raise WireError(f"{self.name}: no answer")
        self.opened += 1
        return FakeWire(self.name, self.answer)

    def answer(self, argv: tuple[str, ...], stdin: bytes) -> Output:
        if argv != agent.ARGV:
            return Output(0, "bitten" if self.faults else "")
        request = json.loads(zlib.decompress(base64.b64decode(stdin.splitlines()[0])))["request"]
        if request["do"] == self.refuses:
            return Output(0, json.dumps({"event": "failed", "why": "it is stuck"}) + "\n")
        self.journal.append(f"{request['do']} {request['id']} on {self.name}")
        switched = request["do"] == "heal" and request["id"] not in self.faults
        (self.faults.add if request["do"] == "inject" else self.faults.discard)(request["id"])
        answer = {"took_s": 0.5, "by_switch": switched}
        return Output(0, json.dumps({"event": "answer", "answer": answer}) + "\n")


def a_world(*names: str) -> tuple[dict[str, Place], list[str], Callable[[str], Any]]:
    journal: list[str] = []
    places = {name: Place(name, journal) for name in names}
    return places, journal, lambda place: places[place].connect()


def shown(word: str) -> Evidence:
    return Evidence(("look",), lambda output: f"{word} was seen" if word in output.stdout else "")


def a_blow(place: str, *evidence: Evidence) -> Blow:
    return Blow(place, (("break",),), (("mend",),), evidence or (shown("bitten"),))


def test_hands_strike_show_and_heal() -> None:
    places, journal, connect = a_world("a")

    async def story() -> None:
        hands, blow = Hands(connect), a_blow("a")
        assert await hands.evidence(blow) == ()
        struck = await hands.strike(blow, "x", 30)
        assert (struck.place, struck.took_s) == ("a", 0.5)
        assert await hands.evidence(blow) == ("bitten was seen",)
        assert await hands.evidence(a_blow("a", shown("bitten"), shown("other"))) == ()
        assert (await hands.heal(blow, "x")).by_switch is False
        assert (await hands.heal(blow, "x")).by_switch is True
        assert hands.struck == ()
        await hands.close()

    asyncio.run(story())
    assert journal == ["inject x on a", "heal x on a", "heal x on a"]
    assert places["a"].opened == 1


def test_evidence_that_cannot_be_read_shows_nothing() -> None:
    _, _, connect = a_world("a")
    garbled = Evidence(("look",), lambda output: str(json.loads(output.stdout)["figures"]))
    assert asyncio.run(Hands(connect).evidence(a_blow("a", garbled))) == ()


def test_a_place_that_is_cut_off_is_healed_when_it_answers_again() -> None:
    places, _, connect = a_world("a")

    async def story() -> None:
        hands = Hands(connect)
        await hands.strike(a_blow("a"), "x", 30)
        wire = hands._wires["a"]
        assert isinstance(wire, FakeWire)
        wire.down, places["a"].absent = True, 2
        assert await hands.evidence(a_blow("a")) == ()
        assert (await hands.heal(a_blow("a"), "x")).after_s > 0.9

    asyncio.run(story())
    assert (places["a"].faults, places["a"].opened) == (set(), 2)


def test_hands_give_up_after_the_limit_and_say_where() -> None:
    places, _, connect = a_world("a")
    times = iter(range(0, 1000, 10))

    async def story() -> None:
        hands = Hands(connect, limit_s=15, clock=lambda: float(next(times)))
        await hands.strike(a_blow("a"), "x", 30)
        places["a"].refuses = "heal"
        with pytest.raises(HandsError, match="a: x not undone after 20 s: it is stuck"):
            await hands.heal(a_blow("a"), "x")
        assert hands.struck == (("a", "x"),)

    asyncio.run(story())


def test_all_is_healed_from_underneath_upwards() -> None:
    places, journal, connect = a_world(UNDERNEATH, "a", "b")

    async def story() -> None:
        hands = Hands(connect, limit_s=-1)
        for place in ("a", UNDERNEATH, "b"):
            await hands.strike(a_blow(place), "x", 30)
        await hands.strike(Blow("a", (("kill",),), (), ()), "over", 30)
        journal.clear()
        places["b"].refuses = "heal"
        with pytest.raises(HandsError, match=r"^b: x not undone"):
            await hands.heal_all()
        assert hands.struck == (("b", "x"),)
        places["b"].refuses = ""
        assert [each.place for each in await hands.heal_all()] == ["b"]

    asyncio.run(story())
    assert journal == ["heal x on ", "heal x on a", "heal x on b"]


def test_a_blow_that_cannot_be_struck_is_told_and_healed_all_the_same() -> None:
    places, journal, connect = a_world("a")
    places["a"].refuses = "inject"

    async def story() -> None:
        hands = Hands(connect)
        with pytest.raises(HandsError, match="a: x could not be struck: it is stuck"):
            await hands.strike(a_blow("a"), "x", 30)
        await hands.heal_all()

    asyncio.run(story())
    assert journal == ["heal x on a"]
