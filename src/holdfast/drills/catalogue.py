"""The catalogue: every fault of a design, and the drills that play the first set of known disasters with them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from holdfast.design.design import Design
from holdfast.drills.generic import generic_faults, member_fault
from holdfast.drills.plans import PLANS
from holdfast.drills.scenario import Scenario, Strike
from holdfast.drills.targets import offering, possible
from holdfast.model.fault import Fault

NEEDS_BACKUPS = "the cluster has no backups yet"
NEEDS_LOGS = "the cluster has no log server yet"
_NO_IO_ERRORS = (
    "nothing makes a system call of a running server fail here: no strace on the servers, no device mapper"
)
_NO_CLOCK = "the machines share one clock, and a server's own cannot be turned back without harm"


def faults_of(design: Design) -> tuple[Fault, ...]:
    """Return every fault of a design, sorted by name. Raises ValueError when two have the same name."""
    own = (
        fault
        for name, component in design.components.items()
        for fault in component.faults(tuple(design.contexts[member] for member in design.of(name)))
    )
    found = tuple(sorted((*generic_faults(design), *own), key=lambda fault: fault.name))
    names = [fault.name for fault in found]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two faults have the name {double[0]}")
    return found


def scenarios(design: Design) -> tuple[Scenario, ...]:
    """Return the drills that a design allows, sorted by name: those below, and one for every other coded fault.

    A drill whose faults need a layer that the design does not have is left out.
    """
    faults = {fault.name: fault for fault in faults_of(design)}
    planned = tuple(made for plan in PLANS if (made := _bound(plan, design, faults)))
    covered = {code for plan in PLANS for code in plan.codes}
    single = (_alone(fault) for fault in faults.values() if set(fault.codes) - covered)
    return tuple(sorted((*planned, *single), key=lambda scenario: scenario.name))


def _bound(plan: Scenario, design: Design, faults: Mapping[str, Fault]) -> Scenario | None:
    """Return a plan with the names of this design's faults in it, None when it has not all of them."""
    strikes = []
    for strike in plan.strikes:
        name = _named(strike.fault, design, faults)
        if name not in faults or not possible(target := strike.target or faults[name].target, design):
            return None
        strikes.append(Strike(name, target, strike.at_s, strike.hold_s))
    needed = plan.strikes or design.spec.hosts_of("database")
    return replace(plan, strikes=tuple(strikes)) if needed else None


def _named(reference: str, design: Design, faults: Mapping[str, Fault]) -> str:
    """Return the fault that a plan means: ``sql:kill`` (to who offers that kind), ``#A1`` (by code), or a name."""
    if reference.startswith("#"):
        return next((name for name, fault in faults.items() if reference[1:] in fault.codes), "")
    kind, colon, deed = reference.partition(":")
    if not colon:
        return reference
    component = _vip_keeper(design) if kind == "vip" else _engine(design, kind)
    return member_fault(design, component, deed) if component else ""


def _engine(design: Design, kind: str) -> str:
    return next((member.component for member in offering(design, kind)), "")


def _vip_keeper(design: Design) -> str:
    """Return the component that watches the entry on its own host: the one that moves the floating address."""
    ties = (tie for tie in design.ties if tie.offer.kind == "entry" and tie.need.scope == "here")
    return next((tie.client.component for tie in ties), "")


def _alone(fault: Fault) -> Scenario:
    strike = Strike(fault.name, fault.target)
    return Scenario(fault.name, fault.title.format(hosts=spoken(fault.target)), fault.codes, (strike,), fault.promise)


def spoken(word: str) -> str:
    """Return a word for hosts as it stands in a sentence."""
    return " and ".join(
        f"the {each.replace('_', ' ')}" if each != "everyone" else "all hosts" for each in word.split("+")
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """A known disaster of the first set: its code in the catalogue, and why it cannot be played ("" if it can)."""

    code: str
    title: str
    unsupported: str = ""


STARRED: tuple[Entry, ...] = (
    Entry("A1", "the database's server process crashes"),
    Entry("A3", "the database's server process hangs"),
    Entry("A4", "the database's supervisor dies or hangs while the database lives"),
    Entry("A6", "a router dies or hangs"),
    Entry("A8", "the keeper of the floating address is killed with all its processes"),
    Entry("A9", "the cache's primary is killed"),
    Entry("B1", "the leader's machine loses power"),
    Entry("B2", "the leader's machine freezes and wakes later"),
    Entry("B4", "all machines lose power and come back"),
    Entry("B6", "memory runs out"),
    Entry("B8", "all connections are used up"),
    Entry("B9", "a replication slot that nobody reads fills the disk"),
    Entry("C1", "the leader is cut off from everybody"),
    Entry("C2", "the leader is cut off together with clients that hold open sessions"),
    Entry("C3", "one direction of the leader's network is lost"),
    Entry("C4", "leader and standby do not reach each other, all else works"),
    Entry("C5", "a half-dead switch between two members of the dcs"),
    Entry("C7", "5 % and 30 % of all packets are lost"),
    Entry("C11", "only the adverts of the floating address are lost"),
    Entry("C12", "neighbours remember the old holder of the floating address"),
    Entry("C14", "names cannot be resolved"),
    Entry("C16", "a whole site is lost"),
    Entry("D1", "the database's disk is full"),
    Entry("D2", "the disk of the logs is full"),
    Entry("D3", "the leader's disk is slow"),
    Entry("D4", "the disk of the leader of the dcs is slow"),
    Entry("D5", "the disk answers a sync with an error", _NO_IO_ERRORS),
    Entry("D7", "a page of data is damaged"),
    Entry("D9", "an old leader cannot be rewound"),
    Entry("E1", "the dcs loses its quorum"),
    Entry("E6", "a certificate has expired"),
    Entry("E7", "a clock jumps", _NO_CLOCK),
    Entry("F1", "a wrong configuration is pushed"),
    Entry("F2", "a bad version is released"),
    Entry("F4", "a table is dropped", NEEDS_BACKUPS),
    Entry("G1", "the host with the backups is down", NEEDS_BACKUPS),
    Entry("G2", "a backup is damaged", NEEDS_BACKUPS),
    Entry("G3", "a restore is needed", NEEDS_BACKUPS),
    Entry("G5", "the log server is down", NEEDS_LOGS),
    Entry("H1", "the cache's primary is cut off with clients"),
    Entry("I1", "the leader's machine and the synchronous standby die together"),
    Entry("I5", "a fault strikes during a switchover"),
)


def played(design: Design) -> Mapping[str, tuple[Scenario, ...]]:
    """Return for every code of the first set the drills that play it; none for what is unsupported."""
    known = scenarios(design)
    return {entry.code: tuple(each for each in known if entry.code in each.codes) for entry in STARRED}


def faults_table(faults: Iterable[Fault]) -> str:
    """Return a Markdown table of faults."""
    head = ["| fault | what is done | aimed at | needs | codes |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(_row(fault) for fault in faults)]) + "\n"


def _row(fault: Fault) -> str:
    needs = ", ".join(fault.needs) or "SSH"
    title = fault.title.format(hosts="{hosts}").replace("{hosts}", "*hosts*")
    return f"| `{fault.name}` | {title} | {fault.target.replace('_', ' ')} | {needs} | {', '.join(fault.codes)} |"


def scenarios_table(design: Design) -> str:
    """Return a Markdown table of the drills that a design allows; the fast suite is marked."""
    head = ["| drill | what happens | what must hold | fast | codes |", "|---|---|---|---|---|"]
    rows = (
        f"| `{each.name}` | {each.title} | {each.promise} | {'yes' if each.fast else ''} | {', '.join(each.codes)} |"
        for each in scenarios(design)
    )
    return "\n".join([*head, *rows]) + "\n"


def disasters_table(design: Design) -> str:
    """Return a Markdown table of the first set of known disasters, and how each is played."""
    head = ["| code | disaster | drills |", "|---|---|---|"]
    known = played(design)
    rows = (
        f"| {entry.code} | {entry.title} | "
        + (
            f"unsupported: {entry.unsupported}"
            if entry.unsupported
            else ", ".join(f"`{e.name}`" for e in known[entry.code])
        )
        + " |"
        for entry in STARRED
    )
    return "\n".join([*head, *rows]) + "\n"
