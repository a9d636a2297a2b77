"""Spec: what a person wrote in ``cluster.yaml``, checked and completed with its defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    """Base of every engine's options: the keys of a layer besides ``engine`` and ``hosts``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class EntryOptions(Options):
    """Options that every engine of the edge layer has: the floating address and the interface that carries it.

    ``interface`` may stay empty: the interface that holds the host's own address is used.
    """

    vip: str | None = Field(default=None, description="Floating address of the cluster; one edge host holds it.")
    interface: str = Field(default="", description="Interface that carries it; by default the host's own.")


class Durability(StrEnum):
    """What a commit waits for, in the field's names (Oracle Data Guard's protection modes)."""

    PERFORMANCE = "performance"
    AVAILABILITY = "availability"
    PROTECTION = "protection"


@dataclass(frozen=True, slots=True)
class Host:
    """One server: its name, its IPv4 address and its failure domain (rack, room, power feed)."""

    name: str
    address: str
    zone: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the stack: the engine that serves it, the hosts it runs on, the engine's options."""

    name: str
    engine: str
    hosts: tuple[str, ...]
    options: Options


@dataclass(frozen=True, slots=True)
class Promises:
    """What the owner of the cluster was promised: seconds of outage and loss of acknowledged data."""

    rto_s: float
    rpo_s: float
    durability: Durability


@dataclass(frozen=True, slots=True)
class Ssh:
    """How the servers are reached."""

    user: str
    port: int
    key: str


@dataclass(frozen=True, slots=True)
class Source:
    """A directory or file beside the spec that is part of the design, known by the digest of its content."""

    name: str
    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole ``cluster.yaml``; hosts and layers are sorted by name, so order of keys never matters."""

    name: str
    network: IPv4Network
    hosts: tuple[Host, ...]
    layers: Mapping[str, Layer]
    promises: Promises
    ssh: Ssh
    drills_allowed: bool = False
    drills_stop_s: float = 120.0
    sources: Mapping[str, Source] = field(default_factory=dict)

    def host(self, name: str) -> Host:
        """Return the host of that name. Raises KeyError when there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)

    def hosts_of(self, layer: str) -> tuple[str, ...]:
        """Return the names of the hosts of a layer; none when the spec has no such layer."""
        found = self.layers.get(layer)
        return found.hosts if found else ()

    @property
    def entry(self) -> EntryOptions:
        """Return the options of the edge layer; those of an edge without floating address when there is none."""
        found = self.layers.get("edge")
        return found.options if found and isinstance(found.options, EntryOptions) else EntryOptions()

    def served_by(self, layer: str, engine: str) -> tuple[str, ...]:
        """Return the hosts of a layer when this engine serves it, else none."""
        found = self.layers.get(layer)
        return found.hosts if found and found.engine == engine else ()


@dataclass(frozen=True, slots=True)
class Complaint:
    """A fault of a spec: where (path of keys), what is wrong, and what to write instead."""

    path: tuple[str | int, ...]
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A weakness of a valid design: what would be lost, where, and the cheapest remedy."""

    what: str
    where: str
    remedy: str
    severity: str = "warning"
