"""The cache on one host: a server where data is kept, a sentinel where one is wanted."""

import json

from holdfast.components.valkey.spec import (
    ValkeyOptions,
    data_hosts,
    min_replicas,
    quorum,
    sentinel_hosts,
)
from holdfast.model.component import Context, Declaration, Handover, Offer, Peer
from holdfast.model.parts import Effect, File, Package, Part, Secret, Unit, value
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import render

PORT, SENTINEL_PORT = 6379, 26379
SERVER, SENTINEL = "valkey-server.service", "valkey-sentinel.service"
FOLDER, STATE = "/etc/valkey", "/var/lib/valkey"
# Not below /etc/valkey: the engine's user may write there, and this holds the operator's password.
FACTS = "/etc/holdfast/cache.json"
TOOL = "/usr/local/lib/holdfast/cache-tool"
WATCH = "/usr/local/lib/holdfast/cache-watch"
PROBE, PROBE_PASSWORD = "/usr/local/lib/holdfast/cache-probe", "/etc/holdfast/cache-probe.env"
# The name under which the sentinels know the primary.
GROUP = "cache"
CHECK_KEY = "holdfast:check"
USERS = ("app", "operator", "probe", "replication", "sentinel")


def secret(user: str) -> str:
    """Return the name of a user's password."""
    return f"cache/{user}"


def place(spec: Spec) -> tuple[str, ...]:
    """The data hosts, and those that only run a sentinel."""
    return tuple(sorted({*data_hosts(spec), *sentinel_hosts(spec)}))


def declare(spec: Spec, host: Host) -> Declaration:
    """Offers the cache where data is kept; talks replication and sentinel to its peers."""
    peers = (Peer(PORT, "replication, and sentinels watching"), Peer(SENTINEL_PORT, "sentinels voting"))
    offers = (Offer("cache", PORT, _terms()),) if host.name in data_hosts(spec) else ()
    return Declaration(offers, peers=peers)


def _terms() -> dict[str, str]:
    # Deleting what is not there changes nothing, but only a primary that accepts writes answers it:
    # a replica refuses, and so does a primary that was cut off or replaced and has no replica left.
    # QUIT in the same breath: after a refusal the connection ends instead of the checker's patience.
    checks = [[f"AUTH probe {value(secret('probe'))}", "+OK"], [f"DEL {CHECK_KEY}\r\nQUIT", ":0"]]
    return {"scheme": "rediss", "user": "app", "secret": secret("app"), "checks": json.dumps(checks)}


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one host."""
    here = context.host.name
    return (
        *(Secret(secret(user)) for user in USERS),
        Package("valkey-tools"),
        File(FACTS, _facts(context), mode=0o600, sensitive=True),
        File(TOOL, render(__package__, "tool.py.j2"), mode=0o755),
        File(PROBE, _probe(context), mode=0o755),
        File(PROBE_PASSWORD, f"REDISCLI_AUTH={value(secret('probe'))}\n", mode=0o600, sensitive=True),
        *(_server(context) if here in data_hosts(context.spec) else ()),
        *(_sentinel(context) if here in sentinel_hosts(context.spec) else ()),
    )


def handover(context: Context, to_host: str) -> Handover:
    """Hand the lead to a replica ("": to any) without losing an accepted write."""
    target = context.spec.host(to_host).address if to_host else ""
    return Handover((TOOL, "handover", *([target] if target else [])), timeout_s=60.0)


def _facts(context: Context) -> str:
    facts = {
        "group": GROUP,
        "own": context.host.address,
        "port": PORT,
        "sentinel_port": SENTINEL_PORT,
        "data": _addresses(context.spec, data_hosts(context.spec)),
        "sentinels": _addresses(context.spec, sentinel_hosts(context.spec)),
        "quorum": quorum(context.spec),
        "tls": _tls(context),
        "passwords": {user: value(secret(user)) for user in ("operator", "probe")},
    }
    return json.dumps(facts, indent=2, sort_keys=True) + "\n"


def _probe(context: Context) -> str:
    return render(
        __package__,
        "probe.sh.j2",
        host=context.host,
        port=PORT,
        sentinel_port=SENTINEL_PORT,
        group=GROUP,
        tls=_tls(context),
        password_file=PROBE_PASSWORD,
    )


def _tls(context: Context) -> str:
    """Either copy of the host's certificate: sentinels only speak to members of the cluster."""
    return f"{FOLDER}/tls" if context.host.name in data_hosts(context.spec) else f"{FOLDER}/sentinel-tls"


def _addresses(spec: Spec, names: tuple[str, ...]) -> list[str]:
    return [spec.host(name).address for name in names]


def _server(context: Context) -> tuple[Part, ...]:
    options = context.options if isinstance(context.options, ValkeyOptions) else ValkeyOptions()
    values = {"host": context.host, "port": PORT, "options": options, "min_replicas": min_replicas(context.spec)}
    return (
        Package("valkey-server"),
        File(WATCH, render(__package__, "watch.py.j2"), mode=0o755),
        *_certificate(context, f"{FOLDER}/tls", SERVER),
        _private(f"{FOLDER}/users.acl", "users.acl.j2", SERVER, Effect.RELOAD, **_passwords()),
        _private(f"{FOLDER}/holdfast.conf", "valkey.conf.j2", SERVER, Effect.RESTART, **values, **_passwords()),
        _drop_in(SERVER, "server.service.j2"),
        Unit(SERVER),
    )


def _sentinel(context: Context) -> tuple[Part, ...]:
    values = {"host": context.host, "port": SENTINEL_PORT, "group": GROUP}
    return (
        Package("valkey-sentinel"),
        *_certificate(context, f"{FOLDER}/sentinel-tls", SENTINEL),
        _private(f"{FOLDER}/sentinel.acl", "sentinel.acl.j2", SENTINEL, Effect.RELOAD, **_passwords()),
        _private(
            f"{FOLDER}/sentinel.base.conf", "sentinel.conf.j2", SENTINEL, Effect.RELOAD, **values, **_passwords()
        ),
        _drop_in(SENTINEL, "sentinel.service.j2"),
        Unit(SENTINEL),
    )


def _passwords() -> dict[str, object]:
    return {"password": {user: value(secret(user)) for user in USERS}, "check_key": CHECK_KEY}


def _private(path: str, template: str, unit: str, effect: Effect, **values: object) -> File:
    content = render(__package__, template, **values)
    return File(path, content, group="valkey", mode=0o640, unit=unit, effect=effect, sensitive=True)


def _drop_in(unit: str, template: str) -> File:
    content = render(__package__, template, tool=TOOL, state=STATE)
    return File(f"/etc/systemd/system/{unit}.d/holdfast.conf", content, unit=unit, effect=Effect.RESTART)


def _certificate(context: Context, folder: str, unit: str) -> tuple[Part, ...]:
    """Return a copy of the host's certificate for one unit: a file tells one unit only that it changed."""
    name = f"pki/host/{context.host.name}"
    contents = {"ca.crt": "pki/ca.crt", "host.crt": f"{name}.crt", "host.key": f"{name}.key"}
    return tuple(
        File(
            f"{folder}/{file}",
            value(source),
            group="valkey",
            mode=0o640,
            unit=unit,
            effect=Effect.RELOAD,
            sensitive=file == "host.key",
        )
        for file, source in contents.items()
    )
