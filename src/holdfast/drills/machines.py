"""Faults that every machine has: power, cables, packets, processors, disks. From underneath, or over SSH."""

from collections.abc import Callable
from dataclasses import replace

from holdfast.design.design import Design
from holdfast.model.blows import drop_packets, packets_dropped, python, run_beside, shell
from holdfast.model.fault import Aim, Blow, Evidence, Fault, Ground
from holdfast.model.watch import Output

_SERVES = "clients are served within the promised time, and nothing acknowledged is lost"
_UNNOTICED = "clients notice nothing but slowness, and no role changes"
_HOG_UNIT = "holdfast-drill-cpu.service"
_HOG = """
import os
for _ in range(2 * os.cpu_count() - 1):
    if os.fork() == 0:
        break
while True:
    pass
"""
_FILL_PATH = "/var/lib/holdfast-drill.fill"
_FILL_SPARE_BYTES = 1024 * 1024
# Arguments: the file, and how many bytes stay free.
_FILL = """
import os, sys
path, spare = sys.argv[1], int(sys.argv[2])
state = os.statvfs(os.path.dirname(path))
with open(path, "wb") as file:
    os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_frsize - spare))
"""
# A name that nobody has: asking for it sends packets, answered or not.
_ASK_AND_LIST = """
timeout 2 getent ahostsv4 drill.holdfast.invalid > /dev/null
nft --json list table inet "$1"
"""


def machine_faults(design: Design) -> tuple[Fault, ...]:
    """Return the faults of every machine of a design."""
    found = (*_powered(), *_cut_off(), *_bad_lines(), *_from_inside(design), *_exhausted())
    return tuple(replace(each, codes=_CODES.get(each.name, ())) for each in found)


# Where they stand in the catalogue of faults, alone or as part of something larger.
_CODES = {
    "machine-power-off": ("B1", "B4", "C16", "I1"),
    "machine-freeze": ("B2",),
    "machine-cut": ("C1",),
    "group-cut": ("C2", "H1"),
    "machine-cut-in": ("C3",),
    "machine-cut-out": ("C3",),
    "pair-cut": ("C4", "C5"),
    "machine-loss-5": ("C7",),
    "machine-loss-30": ("C7",),
    "machine-delay-50": ("C8",),
    "machine-delay-200": ("C8",),
    "inside-dns": ("C14",),
    "machine-cpu": ("B5",),
    "machine-disk-full": ("D1",),
    "machine-slow-disk": ("D3",),
}


def _underneath(
    name: str,
    title: str,
    diagnosis: str,
    need: str,
    blow: Callable[[Ground, Aim], tuple[Blow, ...]],
    *,
    target: str = "leader",
    promise: str = _SERVES,
    hold_s: float = 30.0,
) -> Fault:
    def strike(aim: Aim, ground: Ground | None) -> tuple[Blow, ...]:
        return blow(ground, aim) if ground else ()

    return Fault(name, title, target, promise, diagnosis, strike, hold_s=hold_s, needs=(need,))


def _powered() -> tuple[Fault, ...]:
    return (
        _underneath(
            "machine-power-off",
            "cut the power of {hosts}",
            "{hosts} vanished without a word and came back later",
            "power",
            lambda ground, aim: tuple(ground.power_off(host) for host in aim.hosts),
            hold_s=40.0,
        ),
        _underneath(
            "machine-freeze",
            "freeze {hosts} as a paused virtual machine, then let it go on",
            "{hosts} stood still and woke later, with an old idea of who leads",
            "freeze",
            lambda ground, aim: tuple(ground.freeze(host) for host in aim.hosts),
            hold_s=60.0,
        ),
    )


def _cut_off() -> tuple[Fault, ...]:
    return (
        _cut("machine-cut", "cut {hosts} off from everybody", "nobody reaches {hosts}, which goes on running", _both),
        _cut(
            "machine-cut-in",
            "let {hosts} send and not receive",
            "nothing reaches {hosts}; what it sends arrives",
            lambda aim: tuple(("", host) for host in aim.hosts),
        ),
        _cut(
            "machine-cut-out",
            "let {hosts} receive and not send",
            "nothing that {hosts} sends arrives; it hears everything",
            lambda aim: tuple((host, "") for host in aim.hosts),
        ),
        _cut(
            "group-cut",
            "cut {hosts} off from the other hosts, but not from one another nor from clients",
            "{hosts} do not reach the other hosts; clients reach both sides",
            _group,
            target="leader_side",
        ),
        _cut(
            "pair-cut",
            "cut the way between {hosts}; everybody else reaches both",
            "only the way between {hosts} is broken: both are healthy",
            _among,
            target="leader+sync_standby",
        ),
    )


def _cut(
    name: str,
    title: str,
    diagnosis: str,
    grudges: Callable[[Aim], tuple[tuple[str, str], ...]],
    target: str = "leader",
) -> Fault:
    return _underneath(
        name, title, diagnosis, "cut", lambda ground, aim: (ground.cut(grudges(aim)),), target=target, hold_s=40.0
    )


def _both(aim: Aim) -> tuple[tuple[str, str], ...]:
    return tuple(pair for host in aim.hosts for pair in ((host, ""), ("", host)))


def _group(aim: Aim) -> tuple[tuple[str, str], ...]:
    rest = tuple(host for host in aim.everyone if host not in aim.hosts)
    return tuple(pair for host in aim.hosts for other in rest for pair in ((host, other), (other, host)))


def _among(aim: Aim) -> tuple[tuple[str, str], ...]:
    return tuple((one, other) for one in aim.hosts for other in aim.hosts if one != other)


def _bad_lines() -> tuple[Fault, ...]:
    return (*(_lossy(percent) for percent in (5, 30)), *(_late(delay_ms) for delay_ms in (50, 200)))


def _lossy(percent: int) -> Fault:
    return _underneath(
        f"machine-loss-{percent}",
        f"lose {percent} % of all frames to and from {{hosts}}",
        f"{percent} % of the frames to and from {{hosts}} are lost",
        "loss",
        lambda ground, aim: (ground.lose(aim.hosts, percent),),
        promise=_UNNOTICED if percent < 10 else _SERVES,
    )


def _late(delay_ms: int) -> Fault:
    return _underneath(
        f"machine-delay-{delay_ms}",
        f"delay all frames to and from {{hosts}} by {delay_ms} ms",
        f"the way to {{hosts}} takes {delay_ms} ms more in each direction",
        "delay",
        lambda ground, aim: tuple(ground.delay(host, delay_ms, delay_ms // 5) for host in aim.hosts),
        promise=_UNNOTICED if delay_ms < 100 else _SERVES,
    )


# Over SSH


def _from_inside(design: Design) -> tuple[Fault, ...]:
    ssh = design.spec.ssh.port
    # Our own way in stays open, and a machine may always talk to itself.
    incoming = ("iif lo accept", f"tcp dport {ssh} accept")
    outgoing = ("oif lo accept", f"tcp sport {ssh} accept")
    addresses = {host.name: host.address for host in design.spec.hosts}
    return (
        _inside("inside-cut", "let {hosts} drop all its packets but SSH", (*incoming, _DROP), (*outgoing, _DROP)),
        _inside("inside-cut-in", "let {hosts} drop all it receives but SSH", (*incoming, _DROP), ()),
        _inside("inside-cut-out", "let {hosts} drop all it sends but SSH", (), (*outgoing, _DROP)),
        _inside("inside-loss-5", "let {hosts} lose 5 % of all packets", *_share(incoming, outgoing, 5)),
        _inside("inside-loss-30", "let {hosts} lose 30 % of all packets", *_share(incoming, outgoing, 30)),
        _inside_pair(addresses, incoming, outgoing),
        _nameless(),
    )


_DROP = "counter drop"


def _share(incoming: tuple[str, ...], outgoing: tuple[str, ...], percent: int) -> tuple[tuple[str, ...], ...]:
    lose = f"numgen random mod 100 < {percent} {_DROP}"
    return (*incoming, lose), (*outgoing, lose)


def _inside(name: str, title: str, incoming: tuple[str, ...], outgoing: tuple[str, ...]) -> Fault:
    tag = name.replace("-", "_")

    def strike(aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
        return tuple(drop_packets(host, tag, incoming, outgoing) for host in aim.hosts)

    diagnosis = "a table of nft rules on {hosts} drops what the machine receives or sends"
    return Fault(name, title, "leader", _SERVES, diagnosis, strike, hold_s=40.0)


def _inside_pair(addresses: dict[str, str], incoming: tuple[str, ...], outgoing: tuple[str, ...]) -> Fault:
    # With SSH open here too: the way in may lead over one of the others.
    def strike(aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
        first, *others = aim.hosts
        among = ", ".join(addresses[host] for host in others)
        rules = (*incoming, f"ip saddr {{ {among} }} {_DROP}"), (*outgoing, f"ip daddr {{ {among} }} {_DROP}")
        return (drop_packets(first, "inside_pair", *rules),) if others else ()

    title = "let the first of {hosts} drop all packets but SSH to and from the others of them"
    diagnosis = "only the way between {hosts} is broken: both are healthy"
    return Fault("inside-pair", title, "leader+sync_standby", _SERVES, diagnosis, strike, hold_s=40.0)


def _nameless() -> Fault:
    rules = (f"udp dport 53 {_DROP}", f"tcp dport 53 {_DROP}")
    table = "holdfast_drill_inside_dns"
    shown = Evidence(shell(_ASK_AND_LIST, table), packets_dropped(table).read)

    def strike(aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
        blows = (drop_packets(host, "inside_dns", (), rules) for host in aim.hosts)
        return tuple(Blow(each.place, each.inject, each.heal, (shown,)) for each in blows)

    promise = "nothing changes: no engine needs a name server to find its peers"
    diagnosis = "{hosts} get no answers from name servers; everything else passes"
    return Fault(
        "inside-dns",
        "let {hosts} lose every question to a name server",
        "everyone",
        promise,
        diagnosis,
        strike,
    )


# Short of something


def _exhausted() -> tuple[Fault, ...]:
    return (
        Fault(
            "machine-cpu",
            "let {hosts} compute for nothing, with two greedy processes a core",
            "leader",
            _UNNOTICED,
            "the processors of {hosts} are busy with something that is not ours",
            _starve,
        ),
        Fault(
            "machine-disk-full",
            "fill the disk of {hosts} but for 1 MiB",
            "leader",
            _SERVES,
            "the disk of {hosts} is full",
            _fill,
            needs=("full_disk",),
        ),
        _underneath(
            "machine-slow-disk",
            "slow the disk of {hosts} down to 100 writes a second",
            "writing to the disk of {hosts} takes far longer than usual",
            "slow_disk",
            lambda ground, aim: tuple(ground.slow_disk(host) for host in aim.hosts),
            promise=_UNNOTICED,
        ),
    )


def _starve(aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
    show = ("systemctl", "show", "--property=CPUUsageNSec", "--value", _HOG_UNIT)
    options = ("--property=Nice=-10",)
    return tuple(
        run_beside(host, _HOG_UNIT, options, python(_HOG), Evidence(show, read_cpu_time)) for host in aim.hosts
    )


def read_cpu_time(output: Output) -> str:
    """Read the nanoseconds of processor time that the greedy processes took."""
    used = output.stdout.strip()
    took_s = int(used) / 1e9 if output.exit_code == 0 and used.isdigit() else 0.0
    # systemd says 2^64-1 for a unit that does not run.
    return f"greedy processes took {took_s:.1f} s of the processors" if 0.1 < took_s < 1e9 else ""


def _fill(aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
    inject = python(_FILL, _FILL_PATH, str(_FILL_SPARE_BYTES))
    shown = Evidence(("df", "--block-size=1", "--output=avail", _FILL_PATH), read_space)
    return tuple(Blow(host, (inject,), (("rm", "--force", _FILL_PATH),), (shown,)) for host in aim.hosts)


def read_space(output: Output) -> str:
    """Read ``df``: how little is left of the disk."""
    if output.exit_code:
        return ""
    left_bytes = int(output.stdout.split()[-1])
    return f"{left_bytes // 1024} KiB of the disk are left" if left_bytes <= 4 * _FILL_SPARE_BYTES else ""
