"""The front door of one edge host."""

import json

from holdfast.components.nginx.spec import NginxOptions
from holdfast.model.component import Context, Declaration, Drain, Need, Offer, Tie
from holdfast.model.parts import Certificate, Directory, Effect, File, Package, Part, Secret, Step, Unit, value
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import program, render

UNIT = "nginx.service"
CONFIG = "/etc/nginx/nginx.conf"
CERTIFICATE, KEY = "/etc/nginx/tls/edge.crt", "/etc/nginx/tls/edge.key"
DRAIN = "/usr/local/lib/holdfast/edge-drain"
RELOAD = "/usr/local/lib/holdfast/edge-reload"
LUA = "/etc/nginx/holdfast"
# What decides who is in use and how many requests each server gets: a service of its own.
WATCH_UNIT, WATCH_FACTS = "edge-watch.service", "/etc/holdfast/edge.json"
# The name of the Python package as it is on the servers; its own folder holds nothing else.
PACKAGE, LIBRARY = "edge_watch", "/usr/local/lib/holdfast/edge"
MODULES = ("__init__", "__main__", "asking", "echoes", "edge", "endings", "law", "server", "standing", "views")
RUN = "/run/holdfast-edge"
# Marks: a file named like a host says that nothing new goes there.
DRAINED = f"{RUN}/drained"
# Also a mark: a reload is about to come.
CLOSING = f"{RUN}/closing"
# A name of our own on the public port: it proves that port, and takes no path from the application.
LOCAL_NAME = "edge.holdfast.internal"
HTTPS_PORT, HTTP_PORT = 443, 80
# On this host only: how long the servers' answers take.
STATUS_PORT = 7903


def place(spec: Spec) -> tuple[str, ...]:
    """The hosts of the edge layer."""
    return spec.served_by("edge", "nginx")


def declare(_spec: Spec, _host: Host) -> Declaration:
    """Open to everybody on 443 and 80; uses the application on every host that runs it."""
    # What proves from its own host that the public port works, and the unit that must outlive its users.
    terms = {"live_name": LOCAL_NAME, "live_path": "/live", "live_port": str(HTTP_PORT), "unit": UNIT}
    offers = (Offer("entry", HTTPS_PORT, terms, public=True), Offer("entry", HTTP_PORT, terms, public=True))
    # Without an application nginx is still a sound server: it answers 502 until the first is there.
    return Declaration(offers, (Need("http", first=False, extra_ports=("load_port",)),))


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one edge host."""
    options = _options(context)
    return (
        Package("nginx"),
        # Weights without a reload need a program in the front door itself; README.md says why this one.
        Package("libnginx-mod-http-lua"),
        # For draining, which waits for the connections to a server to end.
        Package("iproute2"),
        Package("python3"),
        Package("logrotate"),
        *_certificate(context.spec, options),
        Directory(LUA),
        _reloading(
            f"{LUA}/balance.lua",
            render(__package__, "balance.lua.j2", weights=f"{RUN}/weights", drained=DRAINED),
        ),
        _reloading(CONFIG, render(__package__, "nginx.conf.j2", **_values(context, options))),
        File(DRAIN, render(__package__, "drain.sh.j2", drained=DRAINED), mode=0o755),
        File(RELOAD, render(__package__, "reload.sh.j2", closing=CLOSING), mode=0o755),
        File(
            f"/etc/systemd/system/{UNIT}.d/holdfast.conf",
            render(__package__, "nginx.service.j2", reload=RELOAD),
            unit=UNIT,
            effect=Effect.RESTART,
        ),
        Unit(UNIT, verify=("/usr/sbin/nginx", "-t", "-q")),
        *_health_checks(context),
        # An apply that was cut off may have left a server out of use; the next one puts it back first.
        Step("all servers in use", (DRAIN, "back-all"), (DRAIN, "none-out")),
    )


def _health_checks(context: Context) -> tuple[Part, ...]:
    """Return the service that finds out who is in use, and how many requests each server should get."""
    unit_file = render(
        __package__, "watch.service.j2", library=LIBRARY, name=PACKAGE, facts=WATCH_FACTS, run=RUN.rpartition("/")[2]
    )
    return (
        Directory("/usr/local/lib/holdfast"),
        Directory(LIBRARY),
        Directory(f"{LIBRARY}/{PACKAGE}"),
        *(_restarting(f"{LIBRARY}/{PACKAGE}/{name}.py", program(__package__, name)) for name in MODULES),
        _restarting(WATCH_FACTS, json.dumps(settings(context), indent=2, sort_keys=True) + "\n"),
        _restarting(f"/etc/systemd/system/{WATCH_UNIT}", unit_file),
        Unit(WATCH_UNIT),
    )


def settings(context: Context) -> dict[str, object]:
    """Return all that the service must know."""
    return {
        "servers": {tie.host.name: _server(tie) for tie in context.tied("http")},
        "status_port": STATUS_PORT,
        "run": RUN,
        "drained": DRAINED,
    }


def _server(tie: Tie) -> dict[str, object]:
    terms = tie.offer.terms
    return {
        "address": tie.host.address,
        "port": tie.offer.port,
        "path": terms["health"],
        "load_port": int(terms["load_port"]),
    }


def _restarting(path: str, content: str) -> File:
    # It begins anew, and finds out all by itself within a second; the front door itself goes on.
    return File(path, content, unit=WATCH_UNIT, effect=Effect.RELOAD)


def drain(context: Context, server_host: str) -> Drain:
    """Take one application server out of use on this edge host, and put it back. Nothing is reloaded."""
    tie = next(tie for tie in context.tied("http") if tie.host.name == server_host)
    return Drain((DRAIN, "out", server_host, _address(tie)), (DRAIN, "back", server_host), settle_s=0.5)


def _options(context: Context) -> NginxOptions:
    return context.options if isinstance(context.options, NginxOptions) else NginxOptions()


def _values(context: Context, options: NginxOptions) -> dict[str, object]:
    return {
        "options": options,
        "servers": {tie.host.name: tie for tie in context.tied("http")},
        "lua": LUA,
        "status_port": STATUS_PORT,
        "closing": CLOSING,
        "local_name": LOCAL_NAME,
        "certificate": CERTIFICATE,
        "key": KEY,
    }


def _address(tie: Tie) -> str:
    return f"{tie.host.address}:{tie.offer.port}"


def _reloading(path: str, content: str, mode: int = 0o644) -> File:
    return File(path, content, mode=mode, unit=UNIT, effect=Effect.RELOAD, sensitive=mode == 0o600)


def _certificate(spec: Spec, options: NginxOptions) -> tuple[Part, ...]:
    declared = _users_own(options) if options.certificate else (_cluster_made(spec, options),)
    name = "edge/own" if options.certificate else "pki/edge"
    return (
        *declared,
        _reloading(CERTIFICATE, value(f"{name}.crt")),
        _reloading(KEY, value(f"{name}.key"), mode=0o600),
    )


def _users_own(options: NginxOptions) -> tuple[Part, ...]:
    return (Secret("edge/own.crt", file=options.certificate), Secret("edge/own.key", file=options.key))


def _cluster_made(spec: Spec, options: NginxOptions) -> Certificate:
    names = () if options.server_name == "_" else (options.server_name,)
    own = tuple(spec.host(name).address for name in place(spec))
    addresses = (spec.entry.vip, *own) if spec.entry.vip else own
    # One certificate for all edge hosts: a client must see the same one whoever holds the address.
    return Certificate("pki/edge", (*names, spec.name)[0], (*names, LOCAL_NAME), addresses)
