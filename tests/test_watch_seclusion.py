"""When a leader keeps its clients waiting: reached by no majority and by no dcs, and until it is known who leads."""

import signal
import subprocess
from pathlib import Path

import pytest

from holdfast.components.watcher.service import seclusion
from holdfast.components.watcher.service.fencing import removal
from holdfast.components.watcher.service.seclusion import ALONE_S, TABLE, Seclusion, rules
from holdfast.components.watcher.service.senses import GONE_S, NAMED_S, ODD_S, Senses

HOSTS = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}
NOW = 1000.0


class Clock:
    """Stands for the monotonic clock of both modules."""

    def __init__(self) -> None:
        self.now = NOW

    def monotonic(self) -> float:
        return self.now


class Api:
    """Answers as the database's API of this host does."""

    def __init__(self) -> None:
        self.standing = {"role": "primary"}
        self.pid = 0

    def api(self, _method: str, _path: str) -> dict[str, str]:
        return self.standing


class Place:
    """A host whose kernel only notes what it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder = folder
        self.clock, self.database = Clock(), Api()
        self.loaded: list[str] = []
        self.said: list[str] = []
        monkeypatch.setattr("holdfast.components.watcher.service.senses.time", self.clock)
        monkeypatch.setattr(seclusion, "load_rules", self.loaded.append)
        self.signs = Senses({"name": "a", "hosts": HOSTS, "port": 7901})
        settings = {
            "database": {
                "port": 5432,
                "status_path": "/patroni",
                "recovering": ": startup",
                "pid_file": str(folder / "postmaster.pid"),
            }
        }
        self.own = Seclusion(settings, self.signs, self.database, self.said.append)  # type: ignore[arg-type]

    def leads(self) -> None:
        """See in the dcs that this host leads."""
        self.own.looked(self.clock.now, leads=True, acts=True)

    def passes(self, for_s: float) -> None:
        """Let time pass, looked at as often as the service looks."""
        until = self.clock.now + for_s
        while self.clock.now < until:
            self.clock.now += seclusion.STEP_S
            self.own.step(self.clock.now)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    return Place(monkeypatch, tmp_path)


def test_a_leader_that_reaches_nobody_keeps_clients_waiting_before_another_can_lead(place: Place) -> None:
    place.leads()
    place.passes(ALONE_S - 0.1)
    assert not place.own.since
    place.passes(0.2)
    assert place.own.since
    assert place.own.since - NOW < GONE_S, "others may act after this"
    assert place.loaded == [rules(5432)]
    assert place.signs.alone, "it must be given up by those who hear it"


def test_one_other_host_of_three_is_enough(place: Place) -> None:
    place.leads()
    for _ in range(30):
        place.signs.hears("b", "holdfast-watch well a c", late=False)
        place.passes(0.1)
    assert not place.own.since


@pytest.mark.parametrize(("text", "late"), [("holdfast-watch well c", False), ("holdfast-watch well a c", True)])
def test_who_is_heard_but_does_not_hear_us_is_not_reached(place: Place, text: str, late: bool) -> None:
    place.leads()
    for _ in range(12):
        place.signs.hears("b", text, late)
        place.passes(0.1)
    assert place.own.since, "mute, or stopped until now: what waited in the meantime is old"


def test_the_dcs_is_enough_too(place: Place) -> None:
    place.leads()
    for _ in range(30):
        place.leads()
        place.passes(0.1)
    assert not place.own.since


def test_a_leader_that_only_the_dcs_reaches_is_shunned_after_a_while_of_its_own_running_time(place: Place) -> None:
    def goes_on(for_s: float) -> bool:
        until = place.clock.now + for_s
        while place.clock.now < until:
            place.leads()
            place.passes(seclusion.STEP_S / 2)
        return place.own.shunned(place.clock.now)

    assert not goes_on(seclusion.SHUNNED_S - 0.2)
    place.signs.forgive(5.0)
    assert not goes_on(seclusion.SHUNNED_S - 0.2), "while it was stopped it could reach nobody"
    place.signs.answers("b")
    assert not goes_on(seclusion.SHUNNED_S + ALONE_S - 0.2)
    assert goes_on(0.4)
    place.signs.answers("b")
    place.passes(0.1)
    assert not place.own.shunned(place.clock.now)


def test_a_look_that_shows_another_leader_takes_effect_at_once(place: Place) -> None:
    place.leads()
    place.passes(0.5)
    place.leads()
    place.passes(0.4)
    assert not place.own.since
    place.own.looked(place.clock.now, leads=False, acts=True)
    place.passes(seclusion.STEP_S)
    assert place.own.since


def test_it_ends_when_the_dcs_says_that_this_host_leads_on(place: Place) -> None:
    place.leads()
    place.passes(5.0)
    assert place.own.since
    place.signs.answers("b")
    place.passes(0.1)
    assert place.own.since, "being reached again says nothing about who leads"
    place.leads()
    place.passes(0.1)
    assert (place.own.since, place.signs.alone, place.loaded[-1]) == (0.0, False, removal(TABLE))


def test_it_ends_when_the_database_follows_another_leader(place: Place) -> None:
    place.leads()
    place.passes(5.0)
    place.database.standing = {"role": "replica"}
    place.passes(1.0)
    assert place.own.since, "it still has commits that nobody else has"
    place.database.standing = {"role": "replica", "replication_state": "streaming"}
    place.passes(1.0)
    assert not place.own.since
    place.passes(5.0)
    assert place.loaded == [rules(5432), removal(TABLE)], "and a replica does not begin again"


def test_a_planned_handing_over_keeps_nobody_waiting(place: Place) -> None:
    place.leads()
    place.own.looked(place.clock.now, leads=False, acts=True)
    place.database.standing = {"role": "replica", "replication_state": "streaming"}
    for _ in range(30):
        place.signs.answers("b")
        place.passes(0.1)
    assert place.loaded == []


@pytest.mark.parametrize(("recovering", "ended"), [((), True), ((17,), False)])
def test_a_database_that_nobody_stops_though_it_was_deposed_is_stopped(
    place: Place, monkeypatch: pytest.MonkeyPatch, recovering: tuple[int, ...], ended: bool
) -> None:
    monkeypatch.setattr(seclusion, "titled", lambda _word: recovering)
    process = subprocess.Popen(["sleep", "60"], cwd=place.folder)
    try:
        place.database.pid = process.pid
        place.leads()
        place.own.looked(place.clock.now, leads=False, acts=True)
        place.passes(seclusion.DEPOSED_S - 0.1)
        assert process.poll() is None, "its manager is given the time to do it"
        place.passes(0.2)
        if ended:
            assert process.wait(5) == -signal.SIGKILL
            assert "was not stopped: stopping the database" in place.said[-2]
    finally:
        assert (process.poll() is None) is not ended, "a replica is no danger"
        process.kill()
        process.wait()


@pytest.mark.parametrize("hindrance", ["", "stopped itself", "reached", "led on"])
def test_a_leader_that_nobody_answers_stops_its_database_before_another_is_elected(
    place: Place, monkeypatch: pytest.MonkeyPatch, hindrance: str
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(Seclusion, "_stop", lambda _self, why: stopped.append(why))
    place.leads()
    place.passes(ALONE_S + 0.1)
    assert place.own.since
    if hindrance == "stopped itself":
        place.signs.forgive(1.0)
    elif hindrance == "reached":
        place.signs.hears("b", "holdfast-watch well a", late=False)
    elif hindrance == "led on":
        place.leads()
    place.passes(seclusion.HOPE_S)
    assert len(stopped) == (0 if hindrance else 1)
    place.passes(5.0)
    assert len(stopped) == (0 if hindrance in ("stopped itself", "reached") else 1), "once is enough"


def test_it_stays_out_where_early_failover_does(place: Place) -> None:
    place.own.looked(place.clock.now, leads=True, acts=False)
    place.passes(10.0)
    assert place.loaded == []


def test_a_host_that_is_alone_is_heard_as_silence(place: Place) -> None:
    place.signs.beaten = place.clock.now + 100
    for _ in range(20):
        place.clock.now += 0.1
        place.signs.hears("b", "holdfast-watch alone a", late=False)
    assert "b" in place.signs.silent(GONE_S)
    assert place.signs.says() == "holdfast-watch well b", "it hears of it all the same, so both find together again"
    place.clock.now += ODD_S + NAMED_S
    assert place.signs.says() == "holdfast-watch well"


def test_only_the_database_is_closed() -> None:
    assert rules(5432).count("tcp dport 5432 counter drop") == 1
    assert "reject" not in rules(5432), "clients wait: this host may lead on"
    assert rules(5432).startswith(removal(TABLE))
