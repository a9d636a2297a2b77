"""etcd: the small consistent store in which the database's leader lock lives."""

from holdfast.components.etcd.build import build, declare
from holdfast.components.etcd.faults import faults
from holdfast.components.etcd.spec import check, foresee, place
from holdfast.components.etcd.watch import probes, violations
from holdfast.model.component import Component

component = Component(
    name="etcd",
    layer="dcs",
    place=place,
    declare=declare,
    build=build,
    check=check,
    foresee=foresee,
    probes=probes,
    violations=violations,
    # Restarted last: every restart of a leader costs an election, so there is one and not three.
    lead_roles=("leader",),
    faults=faults,
)
