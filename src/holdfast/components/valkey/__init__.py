"""The cache: one primary, replicas, and sentinels that agree on who leads."""

from holdfast.components.valkey.build import build, declare, handover, place
from holdfast.components.valkey.spec import ValkeyOptions, foresee
from holdfast.components.valkey.watch import probes, violations
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
    lead_roles=("primary",),
    handover=handover,
)
