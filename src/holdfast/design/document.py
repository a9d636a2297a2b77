"""The form of ``cluster.yaml``: the one source of its checks, its JSON Schema and its reference page."""

import math
import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
)

from holdfast.design.errors import shown
from holdfast.model.spec import Durability

CLUSTER_NAME = "[a-z][a-z0-9-]{0,30}"
HOST_NAME = "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
DURATION = r"([0-9]+(\.[0-9]+)?) *(ms|s|m|h)"
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _matching(pattern: str, words: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be {words}, not {shown(value)}")
        return value

    return check


def seconds(value: Any) -> float:
    """Return a duration in seconds: a number of them, or text with a unit (ms, s, m, h). Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and math.isfinite(value):
        return float(value)
    found = re.fullmatch(DURATION, value) if isinstance(value, str) else None
    if not found or len(found[1]) > 12:
        raise ValueError("must be a duration such as 30s, 500ms or 2m")
    return float(found[1]) * _UNIT_S[found[3]]


def duration(value_s: float) -> str:
    """Return seconds as the shortest text that `seconds` reads back: ``30s``, ``500ms``."""
    if math.isinf(value_s):
        return "unbounded"
    return f"{value_s:g}s" if value_s >= 1 or value_s == 0 else f"{value_s * 1000:g}ms"


def address(value: Any) -> str:
    """Return an IPv4 address that a server can have. Raises ValueError in words."""
    try:
        found = IPv4Address(value if isinstance(value, str) else "")
    except AddressValueError:
        given = f", not {shown(value)}" if isinstance(value, str) else ""
        raise ValueError(f"must be an IPv4 address such as 10.0.0.11{given}") from None
    if found.is_loopback or found.is_multicast or found.is_unspecified or found.is_reserved:
        raise ValueError(f"must be the address of a server; {found} is reserved")
    return str(found)


def network(value: Any) -> IPv4Network:
    """Return an IPv4 network of 4 to 2^24 addresses. Raises ValueError in words."""
    try:
        found = IPv4Network(value if isinstance(value, str) else "", strict=False)
    except ValueError:
        raise ValueError("must be an IPv4 network such as 10.0.0.0/24") from None
    if not 8 <= found.prefixlen <= 30:
        raise ValueError(f"must have a prefix from /8 to /30, not /{found.prefixlen}")
    if str(found) != value:
        raise ValueError(f"must be written as the network itself: {found}")
    return found


def durability(value: Any) -> Durability:
    """Return a durability by its name, also as ``maximum availability``. Raises ValueError in words."""
    word = re.sub(r"^max(imum)?[ _-]", "", value.strip().lower()) if isinstance(value, str) else ""
    if word not in set(Durability):
        given = f", not {shown(value)}" if isinstance(value, str) else ""
        raise ValueError(f"must be one of {', '.join(Durability)}{given}")
    return Durability(word)


def _positive(why: str) -> Callable[[float], float]:
    def check(value_s: float) -> float:
        if value_s <= 0:
            raise ValueError(f"must be more than 0: {why}")
        return value_s

    return check


def _host_kind(value: Any) -> str:
    return "address" if isinstance(value, str) else "host"


_DURATION_SCHEMA = {"type": ["string", "number"], "pattern": f"^{DURATION}$", "minimum": 0}
Duration = Annotated[float, PlainValidator(seconds), WithJsonSchema(_DURATION_SCHEMA)]
Rto = Annotated[Duration, AfterValidator(_positive("no failover takes no time"))]
StopAfter = Annotated[Duration, AfterValidator(_positive("every drill would be stopped at once"))]
Address = Annotated[str, PlainValidator(address), WithJsonSchema({"type": "string", "format": "ipv4"})]
Network = Annotated[IPv4Network, PlainValidator(network), WithJsonSchema({"type": "string"})]
_DURABILITIES = [*map(str, Durability), *(f"maximum {each}" for each in Durability)]
DurabilityName = Annotated[
    Durability, PlainValidator(durability), WithJsonSchema({"type": "string", "enum": _DURABILITIES})
]
ClusterName = Annotated[
    str,
    AfterValidator(_matching(CLUSTER_NAME, "at most 31 of a-z, 0-9 and '-', beginning with a letter")),
    Field(json_schema_extra={"pattern": f"^{CLUSTER_NAME}$"}),
]
HostName = Annotated[
    str,
    AfterValidator(_matching(HOST_NAME, "a DNS label: a-z, 0-9 and '-', beginning with a letter")),
    Field(json_schema_extra={"pattern": f"^{HOST_NAME}$"}),
]
Zone = Annotated[str, AfterValidator(_matching(r"[\w][\w .:/-]{0,62}", "a short name such as rack1"))]
User = Annotated[str, AfterValidator(_matching("[a-z_][a-z0-9_-]{0,31}", "the name of a user"))]


class Section(BaseModel):
    """Base of every part of the document: keys it does not know are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HostEntry(Section):
    """One server. An address alone may stand for it."""

    address: Address = Field(examples=["10.77.0.11"], description="IPv4 address; its own, inside the network.")
    zone: Zone | None = Field(
        default=None,
        description="Failure domain: what can fail together (rack, room, power feed). By default the host's name: "
        "a domain of its own.",
    )


class LayerEntry(Section):
    """One layer of the stack; the other keys are options of its engine."""

    model_config = ConfigDict(extra="allow", frozen=True)

    engine: str | None = Field(default=None, description="The engine that serves the layer.")
    hosts: tuple[str, ...] = Field(
        min_length=1, description="Names of the hosts it runs on; their order has no meaning."
    )


class PromisesEntry(Section):
    """What the owner of the cluster was promised; drills measure it."""

    rto: Rto = Field(
        default=30.0,
        json_schema_extra={"default": "30s"},
        description="Recovery time objective: the longest outage of writes after any one failure.",
    )
    rpo: Duration | None = Field(
        default=None,
        description="Recovery point objective: how much of the latest acknowledged data may be lost. By default 0s, "
        "and unbounded with durability performance.",
    )
    durability: DurabilityName = Field(
        default=Durability.AVAILABILITY,
        json_schema_extra={"default": "availability"},
        description="What a commit waits for. performance: the leader's disk only, so a failover may lose the last "
        "commits. availability: one replica too, as long as there is one. protection: one replica always; without "
        "one, writes stop.",
    )


class SshEntry(Section):
    """How the servers are reached."""

    user: User = Field(default="root", description="User to log in as: root, or one with sudo without a password.")
    port: int = Field(default=22, ge=1, le=65535, description="Port of sshd.")
    key: str = Field(default="", description="Private key file; by default the agent's keys and the usual files.")


class DrillsEntry(Section):
    """Whether failures may be injected on purpose."""

    allowed: bool = Field(default=False, description="Allow drills on these servers. The lab needs no permission.")
    stop_after: StopAfter = Field(
        default=120.0,
        json_schema_extra={"default": "120s"},
        description="A drill heals at once and stops when no order and no write to the database was acknowledged "
        "for so long.",
    )


HostForm = Annotated[
    Annotated[HostEntry, Tag("host")] | Annotated[Address, Tag("address")], Discriminator(_host_kind)
]


class Document(Section):
    """A cluster of Holdfast: its servers, what runs on them, and what was promised."""

    name: ClusterName = Field(examples=["shop"], description="Name of the cluster.")
    network: Network | None = Field(
        default=None,
        examples=["10.77.0.0/24"],
        description="Network of all hosts and of the floating address. By default the /24 of the first host by name.",
    )
    hosts: dict[HostName, HostForm] = Field(
        json_schema_extra={"minProperties": 1},
        description="The servers: name (a DNS label) → address, or address and zone.",
    )
    layers: dict[str, LayerEntry] = Field(
        json_schema_extra={"minProperties": 1},
        description="What runs where: layer → engine, hosts and the engine's options.",
    )
    promises: PromisesEntry = Field(default_factory=PromisesEntry, description="What was promised, to be measured.")
    ssh: SshEntry = Field(default_factory=SshEntry, description="How the servers are reached by Holdfast.")
    drills: DrillsEntry = Field(default_factory=DrillsEntry, description="Failures on purpose.")
