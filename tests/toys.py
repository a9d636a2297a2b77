"""Two toy engines and a spec that uses them: enough to try the core without any real component."""

from collections.abc import Mapping
from ipaddress import IPv4Network

from holdfast.model.component import Component, Context, Declaration, Drain, Handover, Need, Offer, Peer
from holdfast.model.member import Member
from holdfast.model.parts import Certificate, Effect, File, Package, Part, Secret, Step, Unit, value
from holdfast.model.spec import Durability, Host, Layer, Options, Promises, Spec, Ssh
from holdfast.model.watch import Output, Probe, Reading, State


class StoreOptions(Options):
    """Options of the toy store."""

    size: int = 10


def _store_parts(context: Context) -> tuple[Part, ...]:
    options = context.options
    assert isinstance(options, StoreOptions)
    text = f"# the store\nsize = {options.size}\npassword = {value('store/admin')}\n"
    return (
        Package("store"),
        Secret("store/admin"),
        Certificate(f"pki/{context.host.name}", context.host.name, (context.host.name,), (context.host.address,)),
        File("/etc/store.conf", text, unit="store.service", effect=Effect.RESTART),
        File("/etc/store.key", value(f"pki/{context.host.name}.key"), mode=0o600, sensitive=True),
        Unit("store.service"),
        Step("seed", ("seed",), ("seeded",), brings=Effect.RESTART),
    )


def read_store(output: Output) -> Reading:
    """The toy's reader: the output is the role, a failure is down."""
    if output.exit_code:
        return Reading(State.DOWN, reason=output.stderr)
    return Reading(State.OK, role=output.stdout)


def _two_leaders(readings: Mapping[Member, Reading]) -> tuple[str, ...]:
    leaders = [reading for reading in readings.values() if reading.role == "leader"]
    return ("two leaders",) if len(leaders) > 1 else ()


STORE = Component(
    name="store",
    layer="database",
    options=StoreOptions,
    place=lambda spec: spec.served_by("database", "store"),
    declare=lambda _spec, _host: Declaration(
        offers=(Offer("sql", 5432, {"check_port": "8008"}),), peers=(Peer(5432, "replication"),)
    ),
    build=_store_parts,
    probes=lambda _context: (Probe("role", ("role",), read_store, units=("store.service",)),),
    violations=_two_leaders,
    lead_roles=("leader",),
    standby_roles=("standby",),
    handover=lambda _context, to_host: Handover(("switch", to_host)),
)
WEB = Component(
    name="web",
    layer="edge",
    place=lambda spec: spec.served_by("edge", "web"),
    declare=lambda _spec, _host: Declaration(
        offers=(Offer("entry", 443, public=True),), needs=(Need("sql", extra_ports=("check_port",)),)
    ),
    build=lambda context: (
        File(
            "/etc/web.conf",
            "".join(f"server {tie.host.address}\n" for tie in context.tied("sql")),
            unit="web.service",
            effect=Effect.RELOAD,
        ),
        Unit("web.service"),
    ),
    drain=lambda _context, host: Drain(("drain", host), ("undrain", host), settle_s=0.0),
)
TOYS = {"store": STORE, "web": WEB}


def spec(size: int = 10, hosts: tuple[str, ...] = ("a", "b", "c"), edge: tuple[str, ...] = ("a",)) -> Spec:
    """A cluster of the toys."""
    return Spec(
        name="toy",
        network=IPv4Network("10.9.0.0/24"),
        hosts=tuple(Host(name, f"10.9.0.{number}", f"rack{number}") for number, name in enumerate(hosts, 1)),
        layers={
            "database": Layer("database", "store", hosts, StoreOptions(size=size)),
            "edge": Layer("edge", "web", edge, Options()),
        },
        promises=Promises(30, 0, Durability.AVAILABILITY),
        ssh=Ssh("root", 22, ""),
    )
