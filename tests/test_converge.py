"""Planning and converging, on machines made of dicts."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.design.design import make_design
from holdfast.model.event import Event
from holdfast.model.parts import Effect, Step
from holdfast.model.spec import Spec
from holdfast.model.watch import Reading, State
from holdfast.runner.cluster import Cluster, StaleError
from holdfast.runner.converge import split
from holdfast.runner.plan import Change, Plan, saved_plan
from holdfast.runner.runs import past_runs
from holdfast.runner.site import GateError, RunError
from holdfast.runner.vault import Vault
from holdfast.wire.base import Wire, WireError
from machine import Machine
from toys import TOYS, spec


class Lab:
    """Three machines made of dicts and one cluster file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "cluster.yaml"
        self.machines = {name: Machine(name) for name in "abc"}
        self.down: set[str] = set()
        self.told: list[str] = []
        self.toys = TOYS

    def roles(self, **roles: str) -> None:
        for host, role in roles.items():
            self.machines[host].probes[f"store@{host}/role"] = {"exit_code": 0, "stdout": role, "stderr": ""}

    def cluster(self, wanted: Spec | None = None, gate_timeout_s: float = 1.0) -> Cluster:
        async def connect(host: str) -> Wire:
            if host in self.down:
                raise WireError(f"{host}: no answer")
            return self.machines[host].wire()

        def tell(event: Event) -> None:
            self.told.append(event.text)

        design = make_design(wanted or spec(), self.toys)
        return Cluster(self.file, design, Vault.beside(self.file), connect, tell, gate_timeout_s)

    def plan(self, wanted: Spec | None = None) -> Plan:
        return asyncio.run(self.cluster(wanted).plan())

    def apply(self, wanted: Spec | None = None, plan: Plan | None = None) -> None:
        cluster = self.cluster(wanted)
        asyncio.run(cluster.apply(plan or asyncio.run(cluster.plan())))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_second_run_changes_nothing(lab: Lab) -> None:
    assert len(lab.plan().changes) == 3 * 5 + 2
    lab.apply()
    assert lab.plan().empty
    assert [run.result for run in past_runs(lab.file)] == ["done"]


def test_a_plan_leaves_no_trace(lab: Lab) -> None:
    lab.plan()
    assert not list(lab.file.parent.iterdir())


def test_nothing_interrupts_a_fresh_cluster(lab: Lab) -> None:
    assert {change.effect for change in lab.plan().changes} == {Effect.NONE}


def test_secrets_are_kept_private_and_never_planned_or_told(lab: Lab) -> None:
    lab.apply()
    vault = lab.file.parent / ".holdfast" / "vault.json"
    assert vault.stat().st_mode & 0o777 == 0o600
    secret = json.loads(vault.read_text())["store/admin"]
    assert f"password = {secret}" in lab.machines["a"].files["/etc/store.conf"]
    plan = lab.plan(spec(size=11))
    everything = json.dumps(plan.as_json()) + " ".join(lab.told)
    for run in (lab.file.parent / ".holdfast" / "runs").rglob("*.json*"):
        everything += run.read_text()
    assert secret not in everything
    assert "BEGIN PRIVATE KEY" not in everything


def test_a_changed_setting_shows_its_diff_and_effect(lab: Lab) -> None:
    lab.roles(a="replica", b="leader", c="replica")
    lab.apply()
    changes = {change.member.host: change for change in lab.plan(spec(size=11)).changes}
    assert "+size = 11" in changes["a"].diff
    assert changes["a"].effect is Effect.RESTART
    assert changes["b"].effect is Effect.FAILOVER
    assert not changes["a"].drift


def test_a_running_cluster_is_changed_one_by_one_with_the_leader_last(lab: Lab) -> None:
    lab.roles(a="leader", b="replica", c="replica")
    lab.apply()
    lab.told.clear()
    # The toy's leader does not give its role away by itself: the switchover's gate must notice.
    with pytest.raises(GateError, match="store@a"):
        lab.apply(spec(size=11))
    order = [text for text in lab.told if text.startswith("changing")]
    assert order == ["changing store@b", "changing store@c", "changing store@a"]
    assert "switch " in lab.machines["a"].done
    assert lab.machines["b"].files["/etc/store.conf"].splitlines()[1] == "size = 11"
    assert lab.machines["a"].files["/etc/store.conf"].splitlines()[1] == "size = 10"
    lab.roles(a="replica", b="leader")
    lab.apply(spec(size=11))
    assert lab.plan(spec(size=11)).empty


def test_clients_are_drained_around_a_restart(lab: Lab) -> None:
    lab.roles(a="leader", b="replica", c="replica")
    lab.apply()
    lab.machines["a"].done.clear()
    with pytest.raises(GateError):
        lab.apply(spec(size=11))
    drains = [text for text in lab.machines["a"].done if "drain" in text]
    assert drains == ["drain b", "undrain b", "drain c", "undrain c"]


def test_a_member_that_stays_sick_stops_the_apply(lab: Lab) -> None:
    lab.roles(a="leader", b="replica", c="replica")
    lab.apply()
    lab.machines["b"].probes["store@b/role"] = {"exit_code": 1, "stdout": "", "stderr": "disk full"}
    lab.machines["b"].running.discard("store.service")
    with pytest.raises(GateError, match=r"store@b \(disk full\)"):
        lab.apply()
    assert past_runs(lab.file)[-1].result.startswith("failed: not healthy within 1 s")


def test_an_interrupted_apply_goes_on_where_it_stopped(lab: Lab) -> None:
    lab.machines["b"].fails_at = "unit:store.service"
    with pytest.raises(RunError, match=r"b: unit:store.service cannot be done"):
        lab.apply()
    lab.machines["b"].fails_at = ""
    left = {change.key for change in lab.plan().changes if change.member.name == "store@b"}
    assert left == {"unit:store.service", "step:seed"}
    lab.apply()
    assert lab.plan().empty


def test_an_owed_restart_is_made_good(lab: Lab) -> None:
    lab.apply()
    lab.machines["a"].ledger["owed"]["store.service"] = "restart"
    (change,) = lab.plan().changes
    assert (change.key, change.effect) == ("unit:store.service", Effect.RESTART)
    assert "owed by an interrupted apply" in change.what


def test_drift_is_told_from_design_changes(lab: Lab) -> None:
    lab.apply()
    lab.machines["a"].files["/etc/web.conf"] += "# by hand\n"
    (change,) = lab.plan().changes
    assert change.drift
    assert "-# by hand" in change.diff


def test_what_the_design_gave_up_is_removed(lab: Lab) -> None:
    lab.apply(spec(edge=("a", "b")))
    gone = {change.key: change.action for change in lab.plan(spec(edge=("a",))).changes}
    assert gone == {"file:/etc/web.conf": "-", "unit:web.service": "-"}
    lab.apply(spec(edge=("a",)))
    assert "/etc/web.conf" not in lab.machines["b"].files
    assert "web.service" not in lab.machines["b"].running
    assert lab.plan(spec(edge=("a",))).empty


def test_a_given_up_file_that_was_changed_by_hand_is_left_alone(lab: Lab) -> None:
    lab.apply(spec(edge=("a", "b")))
    lab.machines["b"].files["/etc/web.conf"] = "precious"
    plan = lab.plan(spec(edge=("a",)))
    assert [change.key for change in plan.changes] == ["unit:web.service"]
    assert "b: /etc/web.conf is no longer in the design but was changed by hand" in plan.notes[0]
    lab.apply(spec(edge=("a",)))
    assert lab.machines["b"].files["/etc/web.conf"] == "precious"


def test_a_stale_plan_is_refused_with_what_changed(lab: Lab) -> None:
    old = saved_plan(json.loads(json.dumps(lab.plan().as_json())))
    lab.machines["c"].packages.add("store")
    with pytest.raises(StaleError, match=r"no longer needed: \+ store@c package store"):
        lab.apply(plan=old)
    assert not lab.machines["a"].files


def test_another_vault_is_refused(lab: Lab) -> None:
    lab.apply()
    (lab.file.parent / ".holdfast" / "vault.json").unlink()
    with pytest.raises(RunError, match="set up with other secrets"):
        lab.plan()


def test_a_machine_that_is_down_is_named_and_nothing_is_changed(lab: Lab) -> None:
    lab.down.add("c")
    plan = lab.plan()
    assert plan.unreachable == {"c": "c: no answer"}
    with pytest.raises(RunError, match="c: no answer; nothing was changed"):
        lab.apply(plan=plan)
    assert not lab.machines["a"].files


def test_harmless_things_are_done_together_and_the_leader_is_touched_last(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    design = make_design(spec(), TOYS)
    a, b, c = members = design.of("store")
    fresh = {member: tuple(each for each in lab.plan().changes if each.member == member) for member in members}
    nothing = {member: Reading(State.UNKNOWN) for member in members}
    assert split(design, members, fresh, nothing) == ((a, b, c), ())
    restart = {member: (Change(member, "file:/x", "~", Effect.RESTART, "x"),) for member in members}
    led = {a: Reading(State.OK, "leader"), b: Reading(State.OK, "replica"), c: Reading(State.DOWN)}
    assert split(design, members, restart, led) == ((c,), (b, a))


def test_a_change_that_brings_another_about_is_followed_to_its_end(lab: Lab) -> None:
    """As when a parameter is written together, and then every member waits for its own restart."""
    lab.roles(a="replica", b="replica", c="replica")
    lab.apply()
    for machine in lab.machines.values():
        machine.others.discard("step:seed")
        machine.owes_after["step:seed"] = "store.service"
        machine.waits_while_owed[f"store@{machine.name}/role"] = "waits for a restart"
    lab.told.clear()
    lab.apply()
    order = [text for text in lab.told if text.startswith("changing")]
    assert order == ["changing store@a, store@b, store@c", "changing store@a", "changing store@b", "changing store@c"]
    assert lab.plan().empty


def test_a_member_that_was_done_along_with_another_is_not_interrupted(lab: Lab) -> None:
    """As a leader that had to restart before its replicas could: it keeps its lead."""
    lab.roles(a="leader", b="replica", c="replica")
    lab.apply()
    owed = {"store.service": "restart"}
    for machine in lab.machines.values():
        machine.ledger["owed"] = owed
    lab.told.clear()
    lab.apply()
    assert [text for text in lab.told if text.startswith("changing")] == ["changing store@b"]
    assert "switch " not in lab.machines["a"].done
    assert lab.plan().empty


def test_a_step_foretells_what_it_may_bring(lab: Lab) -> None:
    lab.roles(a="leader", b="replica", c="replica")
    assert {change.effect for change in lab.plan().changes} == {Effect.NONE}
    lab.apply()
    for machine in lab.machines.values():
        machine.others.discard("step:seed")
    effects = {change.member.host: change.effect for change in lab.plan().changes}
    assert effects == {"a": Effect.FAILOVER, "b": Effect.RESTART, "c": Effect.RESTART}
    assert all("may bring a restart, one by one" in change.what for change in lab.plan().changes)


def test_a_sick_member_keeps_the_others_from_being_interrupted(lab: Lab) -> None:
    lab.roles(a="leader", b="replica", c="replica")
    lab.apply()
    lab.machines["b"].probes["store@b/role"] = {"exit_code": 1, "stdout": "", "stderr": "broken"}
    lab.machines["b"].running.discard("store.service")
    lab.told.clear()
    with pytest.raises(GateError, match="broken"):
        lab.apply(spec(size=11))
    assert [text for text in lab.told if text.startswith("changing")] == ["changing store@b"]


def test_a_standby_is_interrupted_when_the_one_before_is_a_standby_again_and_not_sooner(lab: Lab) -> None:
    lab.roles(a="leader", b="standby", c="standby")
    lab.apply()
    lab.told.clear()
    back = {"store@b/role": {"exit_code": 0, "stdout": "replica", "stderr": ""}}
    lab.machines["b"].probes_after = {"unit:store.service": back}
    with pytest.raises(GateError, match=r"store@b \(replica only\)"):
        lab.apply(spec(size=11))
    assert [text for text in lab.told if text.startswith("changing")] == ["changing store@b"]
    lab.roles(b="standby")
    # The toy's leader keeps its role: that is where it ends now.
    with pytest.raises(GateError, match=r"store@a \(leader only\)"):
        lab.apply(spec(size=11))
    assert "changing store@c" in lab.told


def test_a_step_that_reads_a_changed_file_is_planned_too(tmp_path: Path) -> None:
    step = Step("load", ("load", "/etc/web.conf"), ("loaded", "/etc/web.conf"), brings=Effect.RESTART)
    loading = replace(TOYS["web"], build=lambda context: (*TOYS["web"].build(context), step))
    lab = Lab(tmp_path)
    lab.toys = TOYS | {"web": loading}
    lab.apply()
    assert lab.plan().empty
    lab.machines["a"].files["/etc/web.conf"] = "other"
    changes = {change.key: change for change in lab.plan().changes}
    assert changes["step:load"].effect is Effect.RESTART
    assert "its input /etc/web.conf changes" in changes["step:load"].what
