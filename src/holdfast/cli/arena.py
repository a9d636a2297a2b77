"""Where drills are run from the command line: the lab of a cluster file, or real servers that allow it."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from holdfast.cli.common import address_of, authority_file
from holdfast.cli.lab import lab_of
from holdfast.cli.operations import operations_of
from holdfast.design.design import Design
from holdfast.drills.catalogue import faults_of
from holdfast.drills.drill import DrillTiming, Field
from holdfast.drills.priority import go_first
from holdfast.drills.talk import Talk
from holdfast.lab.ground import LabGround
from holdfast.lab.lab import Lab, lab_obstacle
from holdfast.model.fault import UNDERNEATH
from holdfast.runner import authority
from holdfast.runner.site import RunError
from holdfast.runner.vault import Vault
from holdfast.wire.base import Wire
from holdfast.wire.http import Door, HttpDoor
from holdfast.wire.local import LocalWire
from holdfast.wire.ssh import connect

# A frozen machine says nothing for as long as it is frozen: its connection must outlive that.
PATIENCE_S = 150.0


def lab_under(file: Path, design: Design) -> Lab | None:
    """Return the lab that carries the machines of a cluster file; None when they are real servers."""
    if lab_obstacle() is not None:
        return None
    lab = lab_of(file, design)
    return lab if any(each.power != "absent" for each in lab.status()) else None


def arena_of(file: Path, design: Design) -> Field:
    """Return where drills of a cluster are run, and let their clients go first on this computer.

    Raises RunError when its spec does not allow them, VaultError.
    """
    lab = lab_under(file, design)
    if lab is None and not design.spec.drills_allowed:
        raise RunError(
            f"{file}: these are real servers, and the file does not allow drills on them; "
            "allow it with `drills: {allowed: true}`, or try it in a lab first: holdfast lab up"
        )
    go_first()
    vault, talk = Vault.beside(file), Talk(sys.stderr)
    ca = authority_file(file)

    async def open_wire(place: str) -> Wire:
        if place == UNDERNEATH:
            return LocalWire()
        return await connect(replace(address_of(file, design.spec, place), patience_s=PATIENCE_S))

    return Field(
        design=design,
        faults={fault.name: fault for fault in faults_of(design)},
        connect=open_wire,
        ground=LabGround(lab.plan) if lab else None,
        values=vault.values_for(design, authority.now()),
        hidden=vault.hidden(),
        ca=ca,
        door=_door(design, ca),
        say=talk.say,
        live=talk.live,
        operations=operations_of(file, design),
        timing=DrillTiming(stop_s=design.spec.drills_stop_s),
    )


def _door(design: Design, ca: Path) -> Callable[[], Door | None]:
    vip = design.spec.entry.vip
    return lambda: HttpDoor(f"https://{vip}", ca) if vip else None


async def engine_versions(arena: Field) -> dict[str, str]:
    """Return the version of every Debian package of the design, as the first host that answers has it installed."""
    packages = arena.design.packages()
    found: dict[str, str] = {}
    for host in arena.design.spec.hosts:
        wire = await arena.connect(host.name)
        try:
            done = await wire.run(("dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *packages))
        finally:
            await wire.close()
        # Packages that are not on this host are complaints on stderr, and may be on another.
        found |= dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.partition(" ")[2])
    return dict(sorted(found.items()))
