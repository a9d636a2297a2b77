"""Where the local router sits, what it offers, and the file and unit that make it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.model.component import Context, Declaration, Need, Offer, Tie
from holdfast.model.parts import Directory, Effect, File, Package, Part, Unit, value
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import render

LEADER_PORT, REPLICA_PORT, CACHE_PORT = 5000, 5001, 5002
UNIT = "haproxy.service"
CONFIG = "/etc/haproxy/haproxy.cfg"
TLS = "/etc/haproxy/tls"
WAITING_ROOM = "/etc/haproxy/waiting-room.lua"
STATISTICS = "/run/haproxy/statistics.sock"


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a farm, as the template writes it."""

    name: str
    address: str
    port: int


def place(spec: Spec) -> tuple[str, ...]:
    """Return the hosts of applications that have something to be routed to."""
    return spec.hosts_of("app") if _has_sql(spec) or _has_cache(spec) else ()


def _has_sql(spec: Spec) -> bool:
    return bool(spec.hosts_of("database"))


def _has_cache(spec: Spec) -> bool:
    return bool(spec.hosts_of("cache"))


def declare(spec: Spec, _host: Host) -> Declaration:
    """It uses every ``sql`` and ``cache`` server, and offers the right one to its own host."""
    offers: list[Offer] = []
    needs: list[Need] = []
    if _has_sql(spec):
        offers.append(Offer("local-sql", LEADER_PORT, {"replica_port": str(REPLICA_PORT)}))
        needs.append(Need("sql", optional=True, extra_ports=("check_port",)))
    if _has_cache(spec):
        offers.append(Offer("local-cache", CACHE_PORT))
        needs.append(Need("cache", optional=True))
    return Declaration(tuple(offers), tuple(needs))


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one host's router."""
    return (
        Package("haproxy"),
        Package("curl"),
        Directory(TLS, mode=0o700),
        _tls_file("ca.crt", value("pki/ca.crt")),
        _tls_file("host.pem", _certificate_and_key(context.host.name), secret=True),
        File(WAITING_ROOM, render(__package__, "waiting-room.lua.j2"), unit=UNIT, effect=Effect.RELOAD),
        File(CONFIG, _configuration(context), mode=0o600, unit=UNIT, effect=Effect.RELOAD, sensitive=True),
        File(
            f"/etc/systemd/system/{UNIT}.d/holdfast.conf",
            render(__package__, "haproxy.service.j2"),
            unit=UNIT,
            effect=Effect.RESTART,
        ),
        Unit(UNIT, verify=("haproxy", "-c", "-q", "-f", CONFIG)),
    )


def _tls_file(name: str, content: str, *, secret: bool = False) -> File:
    mode = 0o600 if secret else 0o644
    return File(f"{TLS}/{name}", content, mode=mode, unit=UNIT, effect=Effect.RELOAD, sensitive=secret)


def _certificate_and_key(host: str) -> str:
    return f"{value(f'pki/host/{host}.crt')}\n{value(f'pki/host/{host}.key')}\n"


def _configuration(context: Context) -> str:
    sql, cache = context.tied("sql"), context.tied("cache")
    return render(
        __package__,
        "haproxy.cfg.j2",
        tls=TLS,
        waiting_room=WAITING_ROOM,
        statistics=STATISTICS,
        leader_port=LEADER_PORT,
        replica_port=REPLICA_PORT,
        cache_port=CACHE_PORT,
        sql=_servers(sql),
        sql_terms=_terms(sql),
        sql_writable=_quoted(_terms(sql).get("writable", "")),
        cache=_servers(cache),
        cache_checks=[_exchange(*each) for each in json.loads(_terms(cache).get("checks", "[]"))],
    )


def _servers(ties: tuple[Tie, ...]) -> list[Server]:
    return [Server(tie.host.name, tie.host.address, tie.offer.port) for tie in ties]


def _terms(ties: tuple[Tie, ...]) -> Mapping[str, str]:
    return ties[0].offer.terms if ties else {}


def _exchange(send: str, expect: str) -> tuple[str, str]:
    return _quoted(f"{send}\r\n"), _quoted(expect)


def _quoted(text: str) -> str:
    """Return a text as a double-quoted word of HAProxy's configuration, escapes written out."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return '"' + escaped.replace("\r", "\\r").replace("\n", "\\n") + '"'
