"""Faults that come free for every member and machine, whatever its engine: they follow from the design alone."""

from collections.abc import Callable, Iterable

from holdfast.design.design import Design
from holdfast.drills.machines import machine_faults
from holdfast.drills.partial import partial_faults
from holdfast.drills.targets import offering
from holdfast.model.blows import hang_unit, keep_down, kill_unit, restart_unit
from holdfast.model.component import Component
from holdfast.model.fault import Aim, Blow, Fault, Ground
from holdfast.model.member import Member
from holdfast.model.parts import File, Unit

# Whom a member's fault is aimed at: the host that leads it, by the kind that it offers or needs on its own host.
_WORD_OF_KIND = {"sql": "leader", "dcs": "dcs_leader", "cache": "cache_primary", "http": "app", "entry": "vip_holder"}
_SERVES = "clients are served within the promised time, and nothing acknowledged is lost"
_CACHE_SERVES = (
    "clients are served within the promised time; the cache may lose its last moments, but nothing else is lost"
)


def generic_faults(design: Design) -> tuple[Fault, ...]:
    """Return the faults of every member's units and of every machine."""
    return (*_member_faults(design), *machine_faults(design), *partial_faults(design))


# Members


def _member_faults(design: Design) -> Iterable[Fault]:
    for name, component in design.components.items():
        units = _units(design, name)
        for unit, hosts in units.items():
            yield from _unit_faults(_short(name, unit, len(units)), unit, hosts, _word(design, component))


def member_fault(design: Design, component: str, deed: str) -> str:
    """Return the name of the fault that does a deed (``kill``, ``hang``, …) to the main unit of a component."""
    first = next(iter(units := _units(design, component)), "")
    return f"{_short(component, first, len(units))}-{deed}"


def _units(design: Design, component: str) -> dict[str, frozenset[str]]:
    """Return the units of a component that have processes, and the hosts of each."""
    found: dict[str, frozenset[str]] = {}
    # The member with the most parts first: others may be there to vote only, and the main unit is the first.
    for member in sorted(design.of(component), key=lambda each: -len(design.parts[each])):
        for part in design.parts[member]:
            if isinstance(part, Unit) and part.running and not _is_oneshot(design, member, part.name):
                found[part.name] = found.get(part.name, frozenset()) | {member.host}
    return found


def _is_oneshot(design: Design, member: Member, unit: str) -> bool:
    path = f"/etc/systemd/system/{unit}"
    return any(
        isinstance(part, File) and part.path == path and "Type=oneshot" in part.content
        for part in design.parts[member]
    )


def _short(component: str, unit: str, units: int) -> str:
    stem = unit.removesuffix(".service")
    if units == 1 or stem == component:
        return component
    return stem if stem.startswith(f"{component}-") else f"{component}-{stem}"


def _word(design: Design, component: Component) -> str:
    kinds = [
        kind for kind in _WORD_OF_KIND if any(each.component == component.name for each in offering(design, kind))
    ]
    if kinds:
        return _WORD_OF_KIND[kinds[0]]
    if component.ground:
        return "other"
    near = [each for each in design.ties if each.client.component == component.name and each.need.scope == "here"]
    return _WORD_OF_KIND.get(near[0].offer.kind, "app") if near else "app"


def _unit_faults(short: str, unit: str, hosts: frozenset[str], word: str) -> Iterable[Fault]:
    yield _unit_fault(
        f"{short}-kill", f"kill {unit} on {{hosts}} with all its processes", word, hosts, kill_unit, unit
    )
    yield _unit_fault(
        f"{short}-hang", f"stop {unit} on {{hosts}} where it stands (SIGSTOP)", word, hosts, hang_unit, unit
    )
    yield _unit_fault(f"{short}-restart", f"restart {unit} on {{hosts}}", word, hosts, restart_unit, unit)
    yield _unit_fault(
        f"{short}-down", f"kill {unit} on {{hosts}} and keep it from starting", word, hosts, keep_down, unit
    )


def _unit_fault(
    name: str, title: str, word: str, hosts: frozenset[str], blow: Callable[[str, str], Blow], unit: str
) -> Fault:
    def strike(aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
        return tuple(blow(host, unit) for host in aim.hosts if host in hosts)

    promise = _CACHE_SERVES if word == "cache_primary" else _SERVES
    return Fault(name, title, word, promise, _DIAGNOSES[blow].format(unit=unit), strike)


_DIAGNOSES: dict[Callable[[str, str], Blow], str] = {
    kill_unit: "{unit} on {{hosts}} was killed by signal 9; systemd started it again",
    hang_unit: "{unit} on {{hosts}} is there but does nothing: its processes are stopped",
    restart_unit: "{unit} on {{hosts}} was restarted by an operator",
    keep_down: "{unit} on {{hosts}} does not run and is not started again",
}
