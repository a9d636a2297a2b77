"""Design: the whole cluster as one frozen value, named by the digest of its content."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from holdfast.components import registry
from holdfast.design import bind
from holdfast.model.component import Component, Context, Flow, Tie
from holdfast.model.member import Member
from holdfast.model.parts import Certificate, File, Package, Part, Secret, Unit, values_in
from holdfast.model.spec import Complaint, Finding, Spec


@dataclass(frozen=True)
class Design:
    """Members, ties, flows, order and parts of a cluster. Asks no server anything; holds no secret."""

    spec: Spec
    components: Mapping[str, Component]
    ties: tuple[Tie, ...]
    flows: tuple[Flow, ...]
    stages: tuple[tuple[str, ...], ...]
    contexts: Mapping[Member, Context]
    parts: Mapping[Member, tuple[Part, ...]]

    @property
    def members(self) -> tuple[Member, ...]:
        """Every member, sorted."""
        return tuple(self.contexts)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the design's JSON: the same spec gives the same digest on any machine."""
        return sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    @property
    def name(self) -> str:
        """The short form of the digest that reports print."""
        return self.digest[:12]

    def as_json(self) -> dict[str, Any]:
        """Return the design as plain data (what the digest is taken of)."""
        return {
            "cluster": self.spec.name,
            "hosts": [asdict(host) for host in self.spec.hosts],
            "promises": plain(self.spec.promises),
            "stages": [list(stage) for stage in self.stages],
            "flows": [asdict(flow) for flow in self.flows],
            "members": {member.name: [plain(part) for part in parts] for member, parts in self.parts.items()},
        }

    def on(self, host: str) -> tuple[Member, ...]:
        """Return the members of a host in the order they start."""
        order = {name: index for index, stage in enumerate(self.stages) for name in stage}
        found = (member for member in self.members if member.host == host)
        return tuple(sorted(found, key=lambda member: (order[member.component], member)))

    def of(self, component: str) -> tuple[Member, ...]:
        """Return the members of a component, sorted by host."""
        return tuple(member for member in self.members if member.component == component)

    def packages(self) -> tuple[str, ...]:
        """Return the names of all Debian packages of the design, sorted."""
        return _names(self.parts.values(), Package)

    def units(self) -> tuple[str, ...]:
        """Return the names of all systemd units of the design, sorted."""
        return _names(self.parts.values(), Unit)

    def secrets(self) -> tuple[Secret, ...]:
        """Return every generated password that the design names, each once."""
        found = {part for parts in self.parts.values() for part in parts if isinstance(part, Secret)}
        return tuple(sorted(found, key=lambda part: part.name))

    def certificates(self) -> tuple[Certificate, ...]:
        """Return every certificate of the cluster's own CA, each once."""
        found = {part for parts in self.parts.values() for part in parts if isinstance(part, Certificate)}
        return tuple(sorted(found, key=lambda part: part.name))


def _names(groups: Iterable[tuple[Part, ...]], kind: type[Package] | type[Unit]) -> tuple[str, ...]:
    return tuple(sorted({part.name for parts in groups for part in parts if isinstance(part, kind)}))


def plain(thing: Any) -> Any:
    """Return a value as JSON data; a part says its kind."""
    if is_dataclass(thing) and not isinstance(thing, type):
        data = {field.name: plain(getattr(thing, field.name)) for field in fields(thing)}
        return {"kind": type(thing).__name__.lower()} | data
    if isinstance(thing, Enum):
        return thing.name.lower()
    if isinstance(thing, Mapping):
        return {str(key): plain(each) for key, each in sorted(thing.items())}
    return [plain(each) for each in thing] if isinstance(thing, (tuple, list)) else thing


def make_design(spec: Spec, components: Mapping[str, Component] | None = None) -> Design:
    """Design a cluster. Raises BindError when needs and offers do not meet, ValueError for a broken component."""
    known = registry() if components is None else components
    members = bind.place(spec, known)
    used = {name: known[name] for name in sorted({member.component for member in members})}
    declarations = bind.declare(spec, members, used)
    ties = bind.tie(spec, declarations)
    flows = bind.flows(spec, declarations, ties)
    contexts = {member: _context(spec, member, used, members, ties, flows) for member in members}
    parts = {member: used[member.component].build(context) for member, context in contexts.items()}
    _refuse_double_files(parts)
    _refuse_unknown_values(parts)
    stages = bind.stages(used, ties)
    return Design(spec, used, ties, flows, stages, MappingProxyType(contexts), MappingProxyType(parts))


def _context(
    spec: Spec,
    member: Member,
    components: Mapping[str, Component],
    members: tuple[Member, ...],
    ties: tuple[Tie, ...],
    flows: tuple[Flow, ...],
) -> Context:
    layer = spec.layers.get(components[member.component].layer)
    served = layer is not None and layer.engine == member.component
    return Context(
        spec=spec,
        host=spec.host(member.host),
        member=member,
        options=layer.options if layer is not None and served else components[member.component].options(),
        peers=tuple(spec.host(each.host) for each in members if each.component == member.component),
        ties=tuple(each for each in ties if each.client == member),
        flows=tuple(flow for flow in flows if flow.target == member.host),
    )


def _refuse_double_files(parts: Mapping[Member, tuple[Part, ...]]) -> None:
    owners: dict[tuple[str, str], Member] = {}
    for member, own in parts.items():
        for part in own:
            if isinstance(part, File):
                other = owners.setdefault((member.host, part.path), member)
                if other != member:
                    raise ValueError(f"{part.path} belongs to {other.name} and {member.name}")


def _refuse_unknown_values(parts: Mapping[Member, tuple[Part, ...]]) -> None:
    known = {"pki/ca.crt"}
    for part in (part for own in parts.values() for part in own):
        if isinstance(part, Secret):
            known.add(part.name)
        elif isinstance(part, Certificate):
            known |= {f"{part.name}.crt", f"{part.name}.key"}
    for member, own in parts.items():
        for part in own:
            if isinstance(part, File) and (missing := values_in(part.content) - known):
                raise ValueError(f"{part.path} of {member.name} names values nobody declares: {sorted(missing)}")


def complaints(spec: Spec, components: Mapping[str, Component] | None = None) -> tuple[Complaint, ...]:
    """Return the faults of a spec that only the engines know."""
    known = registry() if components is None else components
    return tuple(each for component in known.values() for each in component.check(spec))


def foresee(spec: Spec, components: Mapping[str, Component] | None = None) -> tuple[Finding, ...]:
    """Return the weaknesses of a valid spec, as every engine sees them."""
    known = registry() if components is None else components
    return tuple(each for component in known.values() for each in component.foresee(spec))
