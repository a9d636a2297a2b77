"""PostgreSQL under Patroni: one leader that writes, replicas that follow and take over by themselves."""

from holdfast.components.postgres.build import build, declare, handover
from holdfast.components.postgres.faults import MILESTONES, faults
from holdfast.components.postgres.spec import PostgresOptions, check, foresee, place
from holdfast.components.postgres.watch import probes, violations, watches
from holdfast.model.component import Component

component = Component(
    name="postgres",
    layer="database",
    options=PostgresOptions,
    place=place,
    declare=declare,
    build=build,
    check=check,
    foresee=foresee,
    probes=probes,
    violations=violations,
    watches=watches,
    lead_roles=("leader",),
    standby_roles=("sync standby",),
    handover=handover,
    faults=faults,
    milestones=MILESTONES,
)
