"""Where the service runs, what it must know, and its files."""

import json

from holdfast.model.component import Context, Declaration, Need, Peer, Tie
from holdfast.model.parts import Directory, Effect, File, Package, Part, Unit, value
from holdfast.model.spec import Durability, Host, Spec
from holdfast.model.templates import program, render

UNIT = "holdfast-watch.service"
PORT = 7901
# The name of the Python package as it is on the servers; its own folder holds nothing else.
PACKAGE, LIBRARY = "holdfast_watch", "/usr/local/lib/holdfast/watch"
SETTINGS = "/etc/holdfast/watch.json"
TLS = "/etc/holdfast/watch-tls"
MODULES = (
    *("__init__", "__main__", "ending", "fencing", "hangs", "nearness", "protocol"),
    *("seclusion", "senses", "store", "upkeep", "views", "watcher", "words"),
)
# Below this nobody could outvote the leader's host.
HOSTS_MIN = 3


def place(spec: Spec) -> tuple[str, ...]:
    """The hosts of the database, when its engine has early failover and it is wanted."""
    layer = spec.layers.get("database")
    wanted = layer is not None and getattr(layer.options, "early_failover", False)
    hosts = spec.hosts_of("database")
    return hosts if wanted and len(hosts) >= HOSTS_MIN else ()


def declare(_spec: Spec, _host: Host) -> Declaration:
    """Needs the dcs, and the terms of the database (whose API its peers may reach anyway)."""
    return Declaration(
        needs=(Need("dcs"), Need("sql", flow=False)),
        peers=(Peer(PORT, "heartbeats", "udp"), Peer(PORT, "is this host alive?")),
    )


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one member."""
    unit = render(
        __package__,
        "watch.service.j2",
        library=LIBRARY,
        name=PACKAGE,
        settings=SETTINGS,
        before=context.tied("sql")[0].offer.terms["unit"],
    )
    return (
        Package("python3"),
        Package("nftables"),
        Directory("/usr/local/lib/holdfast"),
        Directory(LIBRARY),
        Directory(f"{LIBRARY}/{PACKAGE}"),
        *(_restarting(f"{LIBRARY}/{PACKAGE}/{name}.py", program(__package__, name)) for name in MODULES),
        Directory("/etc/holdfast"),
        Directory(TLS, mode=0o700),
        _certificate("ca.crt", "pki/ca.crt"),
        _certificate("host.crt", f"pki/host/{context.host.name}.crt"),
        _certificate("host.key", f"pki/host/{context.host.name}.key", mode=0o600),
        _restarting(SETTINGS, json.dumps(settings(context), indent=2, sort_keys=True) + "\n"),
        _restarting(f"/etc/systemd/system/{UNIT}", unit),
        Unit(UNIT, verify=("python3", "-I", "-m", "json.tool", SETTINGS, "/dev/null")),
    )


def _certificate(name: str, content: str, mode: int = 0o644) -> File:
    path, text = f"{TLS}/{name}", value(content)
    return File(path, text, mode=mode, unit=UNIT, effect=Effect.RELOAD, sensitive=mode == 0o600)


def _restarting(path: str, content: str) -> File:
    # A restart costs nobody anything: a fence stays in force, a new process goes on where the old one was.
    return File(path, content, unit=UNIT, effect=Effect.RESTART)


def settings(context: Context) -> dict[str, object]:
    """Return all that the service must know."""
    sql, terms = context.tied("sql")[0], context.tied("sql")[0].offer.terms
    near, far = _endpoints(context)
    names = ("status_path", "unit", "wake_path", "pid_file", "receiver", "recovering", "login", "socket", "knock")
    return {
        "name": context.host.name,
        "hosts": {tie.host.name: tie.host.address for tie in context.tied("sql")},
        "port": PORT,
        # With asynchronous replication no promise of replicas can bind the leader.
        "synchronous": context.spec.promises.durability is not Durability.PERFORMANCE,
        "ours": f"/holdfast-watch/{context.spec.name}/",
        "tls": {"ca": f"{TLS}/ca.crt", "cert": f"{TLS}/host.crt", "key": f"{TLS}/host.key"},
        "store": {
            "gateway": context.tied("dcs")[0].offer.terms["gateway"],
            "endpoints": [*near, *far],
            "near": near[0] if near else "",
            "far": far,
        },
        "database": {name: terms[name] for name in names}
        | {"prefix": terms["dcs_prefix"], "port": sql.offer.port, "api_port": int(terms["check_port"])},
    }


def _endpoints(context: Context) -> tuple[list[str], list[str]]:
    """Return the own host's dcs member and the others, these in an order that spreads the load."""
    ties = context.tied("dcs")
    near = [f"https://127.0.0.1:{tie.offer.port}" for tie in ties if tie.host == context.host]
    far = [_url(tie) for tie in ties if tie.host != context.host]
    turn = context.peers.index(context.host) % max(len(far), 1)
    return near, [*far[turn:], *far[:turn]]


def _url(tie: Tie) -> str:
    return f"https://{tie.host.address}:{tie.offer.port}"
