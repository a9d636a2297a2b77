"""What a database member offers and needs, and the files, units and steps that make it."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from holdfast.components.postgres.settings import dynamic
from holdfast.components.postgres.spec import PostgresOptions
from holdfast.model.component import Context, Declaration, Handover, Need, Offer, Peer
from holdfast.model.parts import Directory, Effect, File, Package, Part, Secret, Step, Unit, value
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import program, render

PORT = 5432
API_PORT = 8008
UNIT = "patroni.service"
TLS = "/etc/patroni/tls"
CONFIG = "/etc/patroni/config.yml"
DYNAMIC = "/etc/patroni/dynamic.json"
ROLES = "/etc/patroni/roles.json"
LIBRARY = "/usr/local/lib/holdfast"
# Python loads sitecustomize from here before Patroni.
PROLOGUE = f"{LIBRARY}/patroni"
# What a deposed leader wrote last, kept before it is rewound.
EVIDENCE = "/var/lib/postgresql/evidence"
DATABASE = USER = "app"
NAMESPACE = "/holdfast/"


def declare(spec: Spec, _host: Host) -> Declaration:
    """A member offers ``sql``, needs the ``dcs``, and talks to its peers over replication and Patroni's API."""
    terms = {
        "scheme": "postgresql",
        "database": DATABASE,
        "user": USER,
        "secret": "database/app",
        "check_port": str(API_PORT),
        "leader_check": "/primary",
        # Said when the database itself has just answered; Patroni's word outlives a dying database by half a second.
        "writable": '"xlog": {"location"',
        "replica_check": "/replica",
        **_for_watchers(spec),
    }
    return Declaration(
        offers=(Offer("sql", PORT, terms),),
        needs=(Need("dcs"),),
        peers=(Peer(PORT, "streaming replication"), Peer(API_PORT, "leader race and failsafe checks")),
    )


def _for_watchers(spec: Spec) -> dict[str, str]:
    """Return what somebody has to know who watches over a failover on the member's own host."""
    found = spec.layers["database"].options
    version = found.version if isinstance(found, PostgresOptions) else PostgresOptions().version
    return {
        "unit": UNIT,
        # Below this prefix of the dcs: leader, sync, config, members/.
        "dcs_prefix": f"{NAMESPACE}{spec.name}/",
        "status_path": "/patroni",
        # Any PATCH wakes Patroni, also one that changes nothing.
        "wake_path": "/config",
        "pid_file": f"/var/lib/postgresql/{version}/{spec.name}/postmaster.pid",
        # How the process that streams from the leader is titled.
        "receiver": ": walreceiver",
        # How the process that only a replica has is titled.
        "recovering": ": startup",
        "login": f"{LIBRARY}/postgres-login",
        "socket": f"/var/run/postgresql/.s.PGSQL.{PORT}",
        # "May this session be encrypted?" Answered with one byte (no, on a socket) before anything else is looked at;
        # who then leaves is not even logged.
        "knock": "0000000804d2162f",
    }


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one member."""
    return (
        # Debian would make a cluster of its own, outside Patroni, at the installation.
        _file("/etc/postgresql-common/createcluster.conf", "createcluster.conf.j2", early=True),
        *(Package(name) for name in _packages(context)),
        *(Secret(f"database/{name}") for name in ("app", "replicator", "rewinder")),
        Directory("/etc/patroni", owner="root", group="postgres", mode=0o750),
        Directory(TLS, owner="postgres", group="postgres", mode=0o700),
        Directory(_data_parent(context), owner="postgres", group="postgres"),
        Directory(EVIDENCE, owner="postgres", group="postgres", mode=0o700),
        Directory(LIBRARY),
        Directory(PROLOGUE),
        *_certificates(context.host.name),
        *_scripts(context),
        *_configuration(context),
        _file("/etc/profile.d/holdfast-postgres.sh", "operator.sh.j2", config=CONFIG),
        Unit("postgresql.service", running=False),
        Unit(UNIT, verify=(f"{LIBRARY}/postgres-check", "is-valid", CONFIG)),
        *_steps(context),
    )


def _options(context: Context) -> PostgresOptions:
    return context.options if isinstance(context.options, PostgresOptions) else PostgresOptions()


def _packages(context: Context) -> tuple[str, ...]:
    version = _options(context).version
    # Patroni only recommends the client of its dcs.
    client = _dcs_terms(context)["client_package"]
    return (f"postgresql-{version}", f"postgresql-client-{version}", "patroni", client, "python3", "curl", "jq")


def _data_parent(context: Context) -> str:
    return f"/var/lib/postgresql/{_options(context).version}"


def data_folder(context: Context) -> str:
    """Return the path of the server's data on a member's host."""
    return f"{_data_parent(context)}/{context.spec.name}"


def _file(path: str, template: str, *, early: bool = False, mode: int = 0o644, **values: object) -> File:
    return File(path, render(__package__, template, **values), early=early, mode=mode)


def _certificates(host: str) -> tuple[Part, ...]:
    # A reload makes Patroni's API and PostgreSQL read their certificates anew; its clients read them at every
    # connection. No session ends, so rotation has no downtime.
    return (
        _tls_file("ca.crt", "pki/ca.crt"),
        _tls_file("host.crt", f"pki/host/{host}.crt"),
        _tls_file("host.key", f"pki/host/{host}.key", mode=0o600),
    )


def _tls_file(name: str, content: str, mode: int = 0o644) -> File:
    return File(
        f"{TLS}/{name}",
        value(content),
        owner="postgres",
        group="postgres",
        mode=mode,
        unit=UNIT,
        effect=Effect.RELOAD,
        sensitive=mode == 0o600,
    )


def _scripts(context: Context) -> tuple[Part, ...]:
    names = ("start.py", "member.py", "roles.py", "check.sh", "login.sh", "rewind.sh", "promoted.sh")
    plain = tuple(
        _file(
            f"{LIBRARY}/postgres-{name.split('.')[0]}",
            f"{name}.j2",
            mode=0o755,
            bin=programs(context),
            evidence=EVIDENCE,
        )
        for name in names
    )
    return (*plain, _leads(context))


def _leads(context: Context) -> File:
    """Return what Patroni asks before it promotes; the dcs's JSON has keys and values in base64."""
    return _file(
        f"{LIBRARY}/postgres-leads",
        "leads.sh.j2",
        mode=0o755,
        dcs=_dcs(context),
        gateway=_dcs_terms(context)["gateway"],
        leader_key=b64encode(f"{NAMESPACE}{context.spec.name}/leader".encode()).decode(),
        own_name=b64encode(context.host.name.encode()).decode(),
    )


def programs(context: Context) -> str:
    """Return the folder with the server's own programs."""
    return f"/usr/lib/postgresql/{_options(context).version}/bin"


def _configuration(context: Context) -> tuple[Part, ...]:
    shared = dynamic(context.spec.promises.durability, _options(context))
    desired = json.dumps(shared, indent=2, sort_keys=True) + "\n"
    return (
        File(
            CONFIG,
            _patroni(context, shared),
            group="postgres",
            mode=0o640,
            unit=UNIT,
            effect=Effect.RELOAD,
            sensitive=True,
        ),
        File(DYNAMIC, desired),
        File(ROLES, _roles(), owner="postgres", group="postgres", mode=0o600, sensitive=True),
        File(f"{PROLOGUE}/sitecustomize.py", program(__package__, "sitecustomize"), unit=UNIT, effect=Effect.RESTART),
        File(f"/etc/systemd/system/{UNIT}.d/holdfast.conf", _drop_in(context), unit=UNIT, effect=Effect.RESTART),
    )


def _patroni(context: Context, shared: dict[str, Any]) -> str:
    return render(
        __package__,
        "patroni.yml.j2",
        namespace=NAMESPACE,
        cluster=context.spec.name,
        name=context.host.name,
        address=context.host.address,
        port=PORT,
        api_port=API_PORT,
        tls=TLS,
        bin=programs(context),
        rewind=f"{LIBRARY}/postgres-rewind",
        promoted=f"{LIBRARY}/postgres-promoted",
        leads=f"{LIBRARY}/postgres-leads",
        data=data_folder(context),
        protocol=_dcs_terms(context)["protocol"],
        dcs=_dcs(context),
        peers=[peer.address for peer in context.peers],
        clients=_clients(context),
        database=DATABASE,
        user=USER,
        first=shared | {"synchronous_mode": bool(shared["synchronous_mode"])},
        replicator=value("database/replicator"),
        rewinder=value("database/rewinder"),
    )


def _drop_in(context: Context) -> str:
    protocol = _dcs_terms(context)["protocol"]
    return render(
        __package__,
        "patroni.service.j2",
        start=f"{LIBRARY}/postgres-start",
        prologue=PROLOGUE,
        data=data_folder(context),
        variable=f"PATRONI_{protocol.upper()}_HOSTS",
        dcs=_dcs(context),
    )


def _dcs_terms(context: Context) -> Mapping[str, str]:
    return context.tied("dcs")[0].offer.terms


def _dcs(context: Context) -> tuple[str, ...]:
    """Return host:port of every dcs member: the own host's first, the others in an order that spreads the load."""
    ties = context.tied("dcs")
    near = [f"127.0.0.1:{tie.offer.port}" for tie in ties if tie.host == context.host]
    far = [f"{tie.host.address}:{tie.offer.port}" for tie in ties if tie.host != context.host]
    turn = context.peers.index(context.host) % max(len(far), 1)
    return (*near, *far[turn:], *far[:turn])


def _clients(context: Context) -> list[str]:
    """Return the addresses applications connect from: hosts with a flow to the port, and this host itself."""
    names = {flow.source for flow in context.flows if flow.port == PORT and flow.source}
    return sorted({context.host.address, *(context.spec.host(name).address for name in names)})


def _roles() -> str:
    roles = [
        {"name": "replicator", "password": value("database/replicator"), "attributes": "LOGIN REPLICATION"},
        {"name": "rewinder", "password": value("database/rewinder"), "attributes": "LOGIN"},
        {"name": USER, "password": value("database/app"), "attributes": "LOGIN", "database": DATABASE},
    ]
    return json.dumps({"roles": roles}, indent=2) + "\n"


def _steps(context: Context) -> tuple[Part, ...]:
    url = f"https://{context.host.address}:{API_PORT}"
    member, check, roles = (f"{LIBRARY}/postgres-{name}" for name in ("member", "check", "roles"))
    return (
        Step(
            "shared configuration",
            (member, url, "configure", DYNAMIC),
            (check, "is-configured", url, DYNAMIC),
            timeout_s=200.0,
            brings=Effect.RESTART,
        ),
        Step(
            "parameters in use", (member, url, "restart"), (check, "is-current", url), Effect.RESTART, timeout_s=120.0
        ),
        Step("roles and database", (roles, "apply", ROLES), (roles, "check", ROLES), timeout_s=90.0),
    )


def handover(context: Context, to_host: str) -> Handover:
    """Switch over to a host ("": the best replica) and wait until it leads and this member follows it."""
    url = f"https://{context.host.address}:{API_PORT}"
    target = (to_host,) if to_host else ()
    return Handover((f"{LIBRARY}/postgres-member", url, "switchover", data_folder(context), *target), timeout_s=180.0)
