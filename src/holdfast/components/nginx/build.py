"""The front door of one edge host."""

import json
from itertools import combinations

from holdfast.components.nginx.spec import NginxOptions
from holdfast.model.component import Context, Declaration, Drain, Need, Offer, Tie
from holdfast.model.parts import Certificate, Effect, File, Package, Part, Secret, Step, Unit, value
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import render

UNIT = "nginx.service"
CONFIG = "/etc/nginx/nginx.conf"
CERTIFICATE, KEY = "/etc/nginx/tls/edge.crt", "/etc/nginx/tls/edge.key"
DRAIN = "/usr/local/lib/holdfast/edge-drain"
RELOAD = "/usr/local/lib/holdfast/edge-reload"
WATCH, WATCH_UNIT, WATCH_FACTS = "/usr/local/lib/holdfast/edge-watch", "edge-watch.service", "/etc/holdfast/edge.json"
# Marks: a file named like a host says that nothing new goes there.
DRAINED, SICK = "/run/holdfast-edge/drained", "/run/holdfast-edge/sick"
# Also a mark: a reload is about to come.
CLOSING = "/run/holdfast-edge/closing"
# Up to here every combination of servers out of use has its group; above, every single one.
COMBINED_SERVERS_MAX = 5
# A name of our own on the public port: it proves that port, and takes no path from the application.
LOCAL_NAME = "edge.holdfast.internal"
HTTPS_PORT, HTTP_PORT = 443, 80


def place(spec: Spec) -> tuple[str, ...]:
    """The hosts of the edge layer."""
    return spec.served_by("edge", "nginx")


def declare(_spec: Spec, _host: Host) -> Declaration:
    """Open to everybody on 443 and 80; uses the application on every host that runs it."""
    # What proves from its own host that the public port works, and the unit that must outlive its users.
    terms = {"live_name": LOCAL_NAME, "live_path": "/live", "live_port": str(HTTP_PORT), "unit": UNIT}
    offers = (Offer("entry", HTTPS_PORT, terms, public=True), Offer("entry", HTTP_PORT, terms, public=True))
    # Without an application nginx is still a sound server: it answers 502 until the first is there.
    return Declaration(offers, (Need("http", first=False),))


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one edge host."""
    options = _options(context)
    return (
        Package("nginx"),
        Package("logrotate"),
        *_certificate(context.spec, options),
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
    """Return the active health checks, which nginx itself does not have."""
    facts = {tie.host.name: f"http://{_address(tie)}{tie.offer.terms['health']}" for tie in context.tied("http")}
    unit_file = render(__package__, "watch.service.j2", watch=WATCH, sick=SICK, facts=WATCH_FACTS)
    return (
        _restarting(WATCH, render(__package__, "watch.py.j2"), mode=0o755),
        _restarting(WATCH_FACTS, json.dumps(facts, indent=2, sort_keys=True) + "\n"),
        _restarting(f"/etc/systemd/system/{WATCH_UNIT}", unit_file),
        Unit(WATCH_UNIT),
    )


def _restarting(path: str, content: str, mode: int = 0o644) -> File:
    # A reload begins the checks anew; the front door itself goes on.
    return File(path, content, mode=mode, unit=WATCH_UNIT, effect=Effect.RELOAD)


def drain(context: Context, server_host: str) -> Drain:
    """Take one application server out of use on this edge host, and put it back. Nothing is reloaded."""
    tie = next(tie for tie in context.tied("http") if tie.host.name == server_host)
    return Drain((DRAIN, "out", server_host, _address(tie)), (DRAIN, "back", server_host), settle_s=0.5)


def _options(context: Context) -> NginxOptions:
    return context.options if isinstance(context.options, NginxOptions) else NginxOptions()


def _values(context: Context, options: NginxOptions) -> dict[str, object]:
    servers = {tie.host.name: _address(tie) for tie in context.tied("http")}
    return {
        "options": options,
        "servers": servers,
        "groups": groups(tuple(servers)),
        "drained": DRAINED,
        "sick": SICK,
        "closing": CLOSING,
        "local_name": LOCAL_NAME,
        "certificate": CERTIFICATE,
        "key": KEY,
    }


def groups(servers: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return which servers may be out of use together, each combination sorted, the empty one first.

    Never all of them: with everything marked, trying is better than refusing.
    """
    largest = len(servers) - 1 if len(servers) <= COMBINED_SERVERS_MAX else 1
    return tuple(out for size in range(largest + 1) for out in combinations(sorted(servers), size))


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
