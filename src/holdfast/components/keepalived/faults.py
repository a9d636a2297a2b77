"""What only this engine can suffer: adverts lost while all else passes, announcements nobody hears."""

from holdfast.components.keepalived.build import UNIT
from holdfast.model.blows import drop_packets, read_dropped, shell
from holdfast.model.component import Context
from holdfast.model.fault import Aim, Blow, Evidence, Fault, Ground, Milestone
from holdfast.model.watch import Output

_TABLE = "holdfast_drill_announce"
# The interface is the one with the host's own address. This engine's ARP packets do not pass the ARP filter of the
# kernel, so they are dropped where frames leave. Arguments: own address, floating address, table.
_SILENCE = """
set -eu
device=$(ip -oneline -4 address show to "$1" | awk 'NR == 1 { print $2 }')
nft "add table netdev $3; delete table netdev $3; table netdev $3 { chain out {
    type filter hook egress device $device priority 0; policy accept;
    arp saddr ip $2 arp daddr ip $2 counter drop; }; };"
"""

MILESTONES = (Milestone("route", UNIT, r"Entering MASTER STATE"),)


def faults(contexts: tuple[Context, ...]) -> tuple[Fault, ...]:
    """Return the faults of this engine."""
    known = {context.host.name: context for context in contexts}
    return (
        Fault(
            "keepalived-adverts",
            "drop the VRRP adverts between {hosts} and the other edge hosts, and nothing else",
            "vip_holder",
            "clients reach the one or the other holder and are served by both; it ends by itself when adverts pass",
            "the floating address is held by two hosts: VRRP (protocol 112) is blocked between them, all else passes",
            lambda aim, _ground: _deaf(known, aim),
            ("C11",),
        ),
        Fault(
            "keepalived-announcements",
            "let nobody hear it when {hosts} take the floating address over (no gratuitous ARP)",
            "everyone",
            "clients find the new holder as soon as their neighbour tables forget the old one",
            "the floating address moved, but neighbours still have the old holder's hardware address",
            lambda aim, ground: _silent(known, aim, ground),
            ("C12",),
        ),
    )


def _deaf(known: dict[str, Context], aim: Aim) -> tuple[Blow, ...]:
    return tuple(
        drop_packets(
            name, "adverts", tuple(f"ip saddr {sender} ip protocol 112 counter drop" for sender in senders), ()
        )
        for name in known
        if (senders := _unheard(known, aim, name))
    )


def _unheard(known: dict[str, Context], aim: Aim, host: str) -> tuple[str, ...]:
    """Return whose adverts a host shall not hear: all others' if it is struck itself, else those of the struck."""
    return tuple(
        context.host.address for name, context in known.items() if name != host and {name, host} & set(aim.hosts)
    )


def _silent(known: dict[str, Context], aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
    return tuple(_silence(known[host]) for host in aim.hosts if host in known)


def _silence(context: Context) -> Blow:
    vip = context.spec.entry.vip or ""
    heal = ("nft", f"add table netdev {_TABLE}; delete table netdev {_TABLE}")
    inject = shell(_SILENCE, context.host.address, vip, _TABLE)
    shown = Evidence(("nft", "--json", "list", "table", "netdev", _TABLE), read_silence)
    return Blow(context.host.name, (inject,), (heal,), (shown,))


def read_silence(output: Output) -> str:
    """Read the table: it must be there. Hosts that do not take the address over have nothing to announce."""
    return read_dropped(output) or (
        "no announcement leaves" if output.exit_code == 0 and _TABLE in output.stdout else ""
    )
