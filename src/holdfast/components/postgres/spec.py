"""The options of the database layer, and what is wrong or weak about them."""

from typing import Literal

from pydantic import Field

from holdfast.model.spec import Complaint, Durability, Finding, Options, Spec

Scalar = bool | int | float | str

# Silence of the leader's host until the next leader commits: measured 22 to 26 s with the timings of settings.py.
HOST_DEATH_S = 26.0

# Set by this component, because the promises hang on them.
RESERVED = frozenset(
    {
        "cluster_name",
        "config_file",
        "data_directory",
        "fsync",
        "full_page_writes",
        "hba_file",
        "hot_standby",
        "ident_file",
        "listen_addresses",
        "password_encryption",
        "port",
        "primary_conninfo",
        "primary_slot_name",
        "synchronous_commit",
        "synchronous_standby_names",
        "unix_socket_directories",
        "wal_level",
        "wal_log_hints",
    }
)


class PostgresOptions(Options):
    """Options of the layer: number of synchronous replicas, and any further PostgreSQL parameter."""

    version: Literal[17] = Field(default=17, description="Major version: the one of the Debian release.")
    sync_replicas: int = Field(default=1, ge=1, description="How many replicas a commit waits for.")
    early_failover: bool = Field(
        default=False, description="A dead leader's host is fenced and deposed within seconds (three hosts or more)."
    )
    parameters: dict[str, Scalar] = Field(
        default_factory=dict, description="Further PostgreSQL parameters, by name; they win over the defaults."
    )


def place(spec: Spec) -> tuple[str, ...]:
    """Return the hosts of layer ``database`` when this engine serves it."""
    return spec.served_by("database", "postgres")


def _options(spec: Spec) -> PostgresOptions:
    found = spec.layers["database"].options
    return found if isinstance(found, PostgresOptions) else PostgresOptions()


def check(spec: Spec) -> tuple[Complaint, ...]:
    """Refuse more synchronous replicas than there are, and parameters that the promises hang on."""
    hosts = place(spec)
    if not hosts:
        return ()
    options = _options(spec)
    return (*_too_many(hosts, options), *_reserved(options))


def _too_many(hosts: tuple[str, ...], options: PostgresOptions) -> tuple[Complaint, ...]:
    most = max(len(hosts) - 1, 1)
    if options.sync_replicas <= most:
        return ()
    message = f"sync_replicas is {options.sync_replicas}, but {len(hosts)} hosts have {most} replicas at most"
    return (Complaint(("layers", "database", "sync_replicas"), message, f"write {most} or less, or add hosts"),)


def _reserved(options: PostgresOptions) -> tuple[Complaint, ...]:
    return tuple(
        Complaint(
            ("layers", "database", "parameters", name),
            f"{name} is set by Holdfast: failover or durability depends on its value",
            "remove it; durability is chosen under promises",
        )
        for name in sorted(options.parameters)
        if name.lower() in RESERVED or name.lower().startswith("ssl")
    )


def foresee(spec: Spec) -> tuple[Finding, ...]:
    """Name a database without replica, in one zone, and promises that the engine cannot keep."""
    hosts = place(spec)
    if not hosts:
        return ()
    return (*_copies(hosts), *_zones(spec, hosts), *_durability(spec, hosts), *_time(spec, hosts))


def _copies(hosts: tuple[str, ...]) -> tuple[Finding, ...]:
    if len(hosts) > 1:
        return ()
    what = f"the database runs on {hosts[0]} only: losing it stops all reads and writes and may lose the data"
    return (Finding(what, hosts[0], "give the database three hosts"),)


def _zones(spec: Spec, hosts: tuple[str, ...]) -> tuple[Finding, ...]:
    zones = {spec.host(name).zone for name in hosts}
    if len(hosts) == 1 or len(zones) > 1:
        return ()
    zone = zones.pop()
    return (Finding(f"all copies of the database are in zone {zone}", zone, "move a database host to another zone"),)


def _durability(spec: Spec, hosts: tuple[str, ...]) -> tuple[Finding, ...]:
    promised = spec.promises
    if promised.durability is Durability.PERFORMANCE and promised.rpo_s == 0:
        what = "durability performance acknowledges a commit before a replica has it: a failover may lose some"
        return (Finding(what, "promises", "choose durability availability, or promise an rpo above 0"),)
    spare = len(hosts) - 1 - _options(spec).sync_replicas
    if promised.durability is Durability.PROTECTION and spare < 1:
        what = "durability protection without a spare replica: losing any one database host stops all writes"
        return (Finding(what, ", ".join(hosts), "add a database host, or choose durability availability"),)
    return ()


def _time(spec: Spec, hosts: tuple[str, ...]) -> tuple[Finding, ...]:
    if len(hosts) == 1 or spec.promises.rto_s >= HOST_DEATH_S:
        return ()
    what = f"losing the leader's host stops writes for about {HOST_DEATH_S:.0f} s; rto is {spec.promises.rto_s:g} s"
    return (Finding(what, ", ".join(hosts), f"promise an rto of {HOST_DEATH_S:.0f}s or more"),)
