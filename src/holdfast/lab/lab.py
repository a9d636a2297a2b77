"""A whole lab: up, down, status, and the power switch of each machine."""

import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from holdfast.lab import brake, cuts, disk, freezer, image, machine, network, pump
from holdfast.lab.host import IMAGES, LABS, LOCKS, STATE, Say, lab_obstacle, locked, require_lab
from holdfast.lab.lever import kill
from holdfast.lab.plan import LabError, LabPlan, MachinePlan, MachineState, check, layout, refuse_change
from holdfast.lab.processes import Processes, running

__all__ = ["Lab", "LabError", "LabPlan", "MachinePlan", "MachineState", "lab_obstacle", "remove_images"]

READY_WITHIN_S = 60.0
POLL_S = 0.1
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
MACHINE_ENVIRONMENT = (
    "HOME=/root",
    "LANG=C.UTF-8",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)


class Lab:
    """One lab on this computer. Every method raises LabError with what failed, why, and what to try."""

    def __init__(self, plan: LabPlan, say: Say) -> None:
        check(plan)
        self.plan = plan
        self._say = say

    def up(self) -> None:
        """Make and start what is missing, and wait until every machine answers SSH."""
        started = time.monotonic()
        with self._locked():
            self._record()
            self._heal()
            network.ensure(self.plan, self._say)
            self._warn_of_no_resolver()
            self._create_missing()
            self._start_missing(self.plan.machines)
        machines, took_s = len(self.plan.machines), time.monotonic() - started
        self._say(f"lab {self.plan.name} is up: {machines} machines answer SSH ({took_s:.1f} s)")

    def down(self) -> None:
        """Stop and remove everything of this lab; the image stays for the next one."""
        name = self.plan.name
        with self._locked():
            self._heal()
            for host in machine.names(name):
                kill(name, host)
            machine.remove_cgroups(name)
            disk.wait_released(name)
            network.remove(name, self._say)
            if self._place().exists():
                shutil.rmtree(self._place())
                self._say(f"lab {name} is gone; its image is kept for the next one")
        image.sweep(self._say)

    def heal(self) -> None:
        """Undo every fault that was left in force under the machines; a machine that is off stays off."""
        with self._locked():
            self._heal()

    def status(self) -> tuple[MachineState, ...]:
        """How each machine of the plan is now."""
        require_lab()
        made, on = machine.names(self.plan.name), running(self.plan.name)
        return tuple(self._state(one, made, on) for one in self.plan.machines)

    def power_off(self, name: str) -> None:
        """Cut a machine's power: everything in it is gone at once, its disk stays."""
        require_lab()
        kill(self.plan.name, self._existing(name).name)

    def power_on(self, name: str) -> None:
        """Start a machine on the disk it had, and wait until it answers SSH."""
        one = self._existing(name)
        with self._locked():
            network.ensure(self.plan, self._say)
            self._start_missing([one])

    def shell_argv(self, name: str, command: Sequence[str] = ()) -> list[str]:
        """The command that enters a running machine as root, without SSH."""
        found = running(self.plan.name).get(self._existing(name).name)
        if found is None or found.init is None:
            raise LabError(f"machine {name} is off: holdfast lab power on {name}")
        enter = ["nsenter", f"--target={found.init}", *NAMESPACES, "--root", "--wd"]
        clean = ["env", "-i", *MACHINE_ENVIRONMENT, f"TERM={os.environ.get('TERM', 'dumb')}"]
        return [*enter, "--", *clean, *(command or ("bash", "--login"))]

    def known_hosts(self) -> str:
        """The machines' SSH host keys as lines of a known_hosts file."""
        made = [self._existing(one.name) for one in self.plan.machines]
        return "".join(f"{one.address} {machine.host_key(self.plan.name, one.name)}\n" for one in made)

    def _heal(self) -> None:
        name, hosts = self.plan.name, machine.names(self.plan.name)
        stopped = [*pump.stop_all(name, hosts), *freezer.thaw_all(name, hosts)]
        undone = [*stopped, *brake.free_all(name, hosts), *cuts.remove_all(name)]
        if undone:
            self._say(f"faults were left in force and are undone: {', '.join(undone)}")

    def _place(self) -> Path:
        return LABS / self.plan.name

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep two commands apart, and tell what this computer refused (a full disk, …) as a LabError."""
        require_lab()
        try:
            with locked(f"lab {self.plan.name}", self._say):
                yield
        except OSError as error:
            raise LabError(f"lab {self.plan.name}: {error}") from error

    def _record(self) -> None:
        """Leave a note of what is about to be made before anything is; refuse to change what is there."""
        note = self._place() / "lab.json"
        if note.exists() and machine.names(self.plan.name):
            refuse_change(self.plan.name, json.loads(note.read_text()), layout(self.plan))
        self._place().mkdir(parents=True, exist_ok=True)
        draft = note.with_suffix(".tmp")
        draft.write_text(json.dumps(layout(self.plan), indent=2) + "\n")
        draft.rename(note)

    def _warn_of_no_resolver(self) -> None:
        if "nameserver" not in network.resolv_conf():
            self._say("this computer's name server is for itself only: machines cannot look up names")

    def _create_missing(self) -> None:
        missing = [one for one in self.plan.machines if one.name not in machine.names(self.plan.name)]
        if missing:
            name = image.ensure(self.plan, self._say)
            for one in missing:
                machine.create(self.plan.name, one.name, name, self.plan.authorized_key)

    def _start_missing(self, machines: Sequence[MachinePlan]) -> None:
        """Start those that are off, then wait until all of them answer SSH."""
        on = running(self.plan.name)
        for one in machines:
            if one.name not in on:
                self._say(f"starting {one.name} ({one.address})")
                machine.start(self.plan, one)
        self._wait_ready(machines)

    def _wait_ready(self, machines: Sequence[MachinePlan]) -> None:
        started = time.monotonic()
        waiting = list(machines)
        while waiting := [one for one in waiting if not machine.answers_ssh(one.address)]:
            self._check_alive(waiting, time.monotonic() - started)
            time.sleep(POLL_S)

    def _check_alive(self, waiting: Sequence[MachinePlan], waited_s: float) -> None:
        on = running(self.plan.name)
        dead = [one for one in waiting if one.name not in on]
        for one in dead or (waiting if waited_s > READY_WITHIN_S else []):
            why = "died while starting" if dead else f"does not answer SSH at {one.address} after {waited_s:.0f} s"
            tail = machine.console_tail(self.plan.name, one.name)
            raise LabError(f"machine {one.name} {why}; the end of its console:\n{tail}")

    def _state(self, one: MachinePlan, made: Collection[str], on: Mapping[str, Processes]) -> MachineState:
        if one.name not in made:
            return MachineState(one.name, one.address, "absent", None)
        found = on.get(one.name)
        return MachineState(one.name, one.address, "on" if found else "off", found.init if found else None)

    def _existing(self, name: str) -> MachinePlan:
        planned = {one.name: one for one in self.plan.machines}
        if name not in planned:
            raise LabError(f"no machine {name} in this cluster; there are: {', '.join(planned)}")
        if name not in machine.names(self.plan.name):
            raise LabError(f"machine {name} is not made yet: holdfast lab up")
        return planned[name]


def remove_images() -> None:
    """Remove every image that no lab uses, and the state directory when nothing else is in it."""
    require_lab()
    with locked("image", lambda _: None):
        used = {path.read_text() for path in LABS.glob("*/machines/*/image")}
        for place in IMAGES.glob("*"):
            if place.name not in used:
                shutil.rmtree(place)
    for place in (IMAGES, LABS, LOCKS, STATE):
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
