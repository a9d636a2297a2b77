"""One nftables table of our own: everything is dropped but SSH and the flows of the design."""

import re

from holdfast.model.component import Context, Declaration, Flow
from holdfast.model.parts import Effect, File, Package, Part, Step, Unit
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import render

UNIT = "holdfast-firewall.service"
RULES, TWICE = "/etc/holdfast/firewall.nft", "/etc/holdfast/twice.nft"
NFT = "/usr/sbin/nft"
COMMENT_MAX_BYTES = 127
# A heartbeat, a vote or an entry of the log; not a snapshot.
SMALL_BYTES = 1000
_UNPRINTABLE = re.compile(r"[^ !#-\[\]-~]+")


def place(spec: Spec) -> tuple[str, ...]:
    """Every host."""
    return tuple(host.name for host in spec.hosts)


def declare(_spec: Spec, _host: Host) -> Declaration:
    """Nothing is offered and nothing needed."""
    return Declaration()


def build(context: Context) -> tuple[Part, ...]:
    """Return the rules of one host and the unit that loads them before the network comes up."""
    return (
        Package("nftables"),
        File(RULES, rules(context), unit=UNIT, effect=Effect.RELOAD),
        File(TWICE, said_twice(context), unit=UNIT, effect=Effect.RELOAD),
        File(
            f"/etc/systemd/system/{UNIT}",
            render(__package__, "firewall.service.j2", nft=NFT, rules=RULES, twice=TWICE),
            unit=UNIT,
            # Loading the same table again is what a restart would do, without a moment unprotected.
            effect=Effect.RELOAD,
        ),
        File(
            "/etc/systemd/system/nftables.service.d/holdfast.conf",
            render(__package__, "nftables.conf.j2", nft=NFT, rules=RULES),
        ),
        Unit(UNIT, verify=(NFT, "--check", "--file", RULES)),
        # The unit stays "active" when somebody flushes all tables: ask the kernel.
        Step("load the table", ("systemctl", "restart", UNIT), unless=(NFT, "list", "table", "inet", "holdfast")),
    )


def rules(context: Context) -> str:
    """Return the table of one host as nft reads it."""
    incoming = sorted(
        {flow for flow in context.flows if flow.source != context.host.name and not _is_ssh(context.spec, flow)},
        key=lambda flow: (flow.source, flow.protocol, flow.port, flow.reason),
    )
    return render(
        __package__,
        "firewall.nft.j2",
        ssh_port=context.spec.ssh.port,
        members=[host.address for host in context.spec.hosts],
        flows=[rule(context.spec, flow) for flow in incoming],
    )


def said_twice(context: Context) -> str:
    """Return the table that sends small packets of some flows of one host a second time, as nft reads it."""
    ports = {flow.port for flow in context.flows if flow.twice}
    members = [host.address for host in context.spec.hosts if host.name != context.host.name]
    return render(__package__, "twice.nft.j2", members=members, ports=sorted(ports), small_bytes=SMALL_BYTES)


def _is_ssh(spec: Spec, flow: Flow) -> bool:
    # The table lets SSH in whatever the flows say.
    return not flow.source and flow.protocol == "tcp" and flow.port == spec.ssh.port


def rule(spec: Spec, flow: Flow) -> str:
    """Return the rule that lets one flow in, with its reason."""
    source = f"ip saddr {spec.host(flow.source).address} " if flow.source else ""
    traffic = "ip protocol 112" if flow.protocol == "vrrp" else f"{flow.protocol} dport {flow.port}"
    return f'{source}{traffic} accept comment "{comment(flow.reason)}"'


def comment(reason: str) -> str:
    """Return a text that nft accepts between double quotes: printable, without quotes, at most 127 bytes."""
    return _UNPRINTABLE.sub("'", reason)[:COMMENT_MAX_BYTES]
