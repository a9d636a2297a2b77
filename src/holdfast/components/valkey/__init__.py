"""The cache: one primary, replicas, and sentinels that agree on who leads."""

from holdfast.components.valkey.build import build, declare, handover, place
from holdfast.components.valkey.faults import MILESTONES, faults
from holdfast.components.valkey.spec import ValkeyOptions, foresee
from holdfast.components.valkey.watch import probes, violations, watches
from holdfast.model.component import Component

component = Component(
    name="valkey",
    layer="cache",
    options=ValkeyOptions,
    place=place,
    declare=declare,
    build=build,
    foresee=foresee,
    probes=probes,
    violations=violations,
    watches=watches,
    lead_roles=("primary",),
    handover=handover,
    faults=faults,
    milestones=MILESTONES,
)
