"""Frames dropped on the lab's bridge, invisible in the machines: nft text, and what its counters say."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from holdfast.lab.host import attempt, run
from holdfast.lab.plan import LabError, LabPlan, MachinePlan, delayed_link_name, gateway, link_name, short_hash
from holdfast.lab.plan import table_name as lab_table
from holdfast.model.fault import Evidence
from holdfast.model.watch import Output

FORWARD, INPUT, OUTPUT = "forward", "input", "output"
PROTOCOLS = {
    "vrrp": ("ip protocol 112",),
    "arp": ("ether type arp",),
    "dns": ("udp dport 53", "tcp dport 53", "udp sport 53", "tcp sport 53"),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules by chain, in their order: between machines, from a machine to this computer, and back."""

    forward: tuple[str, ...] = ()
    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()

    def __add__(self, more: "Rules") -> "Rules":
        return Rules(self.forward + more.forward, self.input + more.input, self.output + more.output)


@dataclass(frozen=True, slots=True)
class Cut:
    """One nft table that drops frames; its name follows from the lab and from what it drops."""

    lab: str
    what: str
    rules: Rules = field(default_factory=Rules)

    @property
    def table(self) -> str:
        """The name of its table, of the family bridge."""
        return f"{fault_prefix(self.lab)}{short_hash(self.what)}"

    @property
    def inject(self) -> tuple[str, ...]:
        """The command that puts it in force, at once and as a whole."""
        return ("nft", f"table bridge {self.table}\ndelete table bridge {self.table}\n{self._text()}")

    @property
    def tried(self) -> tuple[str, ...]:
        """The command that lets the kernel judge it, without putting it in force and without a trace."""
        # A table deleted and made again in one refused transaction is listed for a moment, as if it were in force.
        return ("nft", "--check", self._text())

    @property
    def heal(self) -> tuple[str, ...]:
        """The command that removes it, whether it is there or not."""
        return ("nft", f"table bridge {self.table}\ndelete table bridge {self.table}\n")

    @property
    def evidence(self) -> Evidence:
        """What shows that frames were really dropped."""
        return Evidence(("nft", "-j", "list", "table", "bridge", self.table), frames_dropped)

    def _text(self) -> str:
        chains = ((FORWARD, self.rules.forward), (INPUT, self.rules.input), (OUTPUT, self.rules.output))
        return f"table bridge {self.table} {{\n{''.join(_chain(name, rules) for name, rules in chains if rules)}}}\n"


def fault_prefix(lab: str) -> str:
    """What the names of all fault tables of a lab begin with."""
    return f"{lab_table(lab)}_"


def remove_all(lab: str) -> list[str]:
    """Remove all fault tables of a lab; return a word for each. Raises LabError."""
    # A kernel without tables for bridges has none of ours.
    found = fault_tables(lab, attempt(["nft", "list", "tables", "bridge"]).stdout)
    for name in found:
        run(["nft", "delete", "table", "bridge", name])
    return [f"dropped frames ({name})" for name in found]


def fault_tables(lab: str, listed: str) -> list[str]:
    """The fault tables of a lab out of what `nft list tables bridge` prints."""
    words = [line.split() for line in listed.splitlines()]
    return [each[2] for each in words if len(each) == 3 and each[2].startswith(fault_prefix(lab))]


def _chain(hook: str, rules: Iterable[str]) -> str:
    lines = "".join(f"    {rule}\n" for rule in rules)
    return f"  chain {hook} {{\n    type filter hook {hook} priority -200;\n{lines}  }}\n"


def frames_dropped(output: Output) -> str:
    """Return how many frames a table has dropped, as a sentence; "" for none."""
    if output.exit_code:
        return ""
    rules = [each["rule"]["expr"] for each in json.loads(output.stdout)["nftables"] if "rule" in each]
    dropped = sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)
    return f"{dropped:,} frames dropped" if dropped else ""


def cut(plan: LabPlan, grudges: Sequence[tuple[str, str]]) -> Cut:
    """Drop frames from the first of each pair to the second. Raises LabError for a machine that is not there."""
    rules = Rules()
    for source, target in sorted(set(grudges)):
        rules += _grudge(plan, source, target)
    return Cut(plan.name, f"cut {sorted(set(grudges))}", rules)


def _grudge(plan: LabPlan, source: str, target: str) -> Rules:
    if source and target:
        one, other = _machine(plan, source), _machine(plan, target)
        return Rules(forward=(f"{_from(plan, one)} {_to(plan, other)} counter drop",))
    return _outward(plan, _machine(plan, source)) if source else _inward(plan, _machine(plan, target))


def _outward(plan: LabPlan, *machines: MachinePlan, match: str = "") -> Rules:
    """Drop what machines send: to the others, and to this computer but for our own hand on them."""
    drop = f"{_from(plan, *machines)} {match}counter drop"
    return Rules(forward=(drop,), input=(*(rule for each in machines for rule in _hand_in(plan, each)), drop))


def _inward(plan: LabPlan, *machines: MachinePlan, match: str = "") -> Rules:
    drop = f"{_to(plan, *machines)} {match}counter drop"
    return Rules(forward=(drop,), output=(*(rule for each in machines for rule in _hand_out(plan, each)), drop))


def silence(plan: LabPlan, host: str) -> Cut:
    """Drop everything that a machine sends and gets, our own hand on it included."""
    machine = _machine(plan, host)
    outward, inward = f"{_from(plan, machine)} counter drop", f"{_to(plan, machine)} counter drop"
    return Cut(plan.name, f"silence {host}", Rules((outward, inward), (outward,), (inward,)))


def lose(plan: LabPlan, hosts: Sequence[str], percent: int) -> Cut:
    """Drop a share of what machines send and get; of what goes between two of them that share, not twice.

    Raises LabError for a share that is none.
    """
    if not 0 < percent <= 100:
        raise LabError(f"cannot lose {percent} % of all frames: from 1 to 100")
    machines = [_machine(plan, host) for host in hosts]
    share = f"numgen random mod 100 < {percent} "
    sent, got = _outward(plan, *machines, match=share), _inward(plan, *machines, match=share)
    from_others = tuple(f"iifname != {_links(plan, *machines)} {rule}" for rule in got.forward)
    rules = Rules(sent.forward + from_others, sent.input, got.output)
    return Cut(plan.name, f"lose {sorted(hosts)} {percent}", rules)


def drop(plan: LabPlan, host: str, protocol: str) -> Cut:
    """Drop what a machine sends and gets of one protocol. Raises LabError for an unknown one."""
    if protocol not in PROTOCOLS:
        raise LabError(f"cannot drop {protocol!r} only; there are: {', '.join(PROTOCOLS)}")
    machine, rules = _machine(plan, host), Rules()
    for match in PROTOCOLS[protocol]:
        rules += _outward(plan, machine, match=f"{match} ") + _inward(plan, machine, match=f"{match} ")
    return Cut(plan.name, f"drop {host} {protocol}", rules)


def _hand_in(plan: LabPlan, machine: MachinePlan) -> tuple[str, str]:
    """Answers to our SSH, and what says where the machine's own address is; never any other address."""
    origin, here = machine.address, gateway(plan)
    link = _from(plan, machine)
    return (
        f"{link} ip saddr {origin} ip daddr {here} tcp sport 22 accept",
        f"{link} arp saddr ip {origin} arp daddr ip {here} accept",
    )


def _hand_out(plan: LabPlan, machine: MachinePlan) -> tuple[str, str]:
    target, here = machine.address, gateway(plan)
    link = _to(plan, machine)
    return (
        f"{link} ip saddr {here} ip daddr {target} tcp dport 22 accept",
        f"{link} arp saddr ip {here} arp daddr ip {target} accept",
    )


def _from(plan: LabPlan, *machines: MachinePlan) -> str:
    return f"iifname {_links(plan, *machines)}"


def _to(plan: LabPlan, *machines: MachinePlan) -> str:
    return f"oifname {_links(plan, *machines)}"


def _links(plan: LabPlan, *machines: MachinePlan) -> str:
    """Both plugs that a machine may have in the bridge: its cable, or the end of the slow one (`lab/pump.py`)."""
    ends = (name(plan.name, each.name) for each in machines for name in (link_name, delayed_link_name))
    return "{ " + ", ".join(f'"{end}"' for end in ends) + " }"


def _machine(plan: LabPlan, host: str) -> MachinePlan:
    found = [one for one in plan.machines if one.name == host]
    if not found:
        raise LabError(f"no machine {host!r} in this lab; there are: {', '.join(one.name for one in plan.machines)}")
    return found[0]
