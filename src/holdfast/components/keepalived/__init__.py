"""The floating address: on exactly one edge host, and on another within a second."""

from holdfast.components.keepalived.build import build, declare, place
from holdfast.components.keepalived.faults import MILESTONES, faults
from holdfast.components.keepalived.watch import probes, violations
from holdfast.model.component import Component

# No handover: a restart sends priority 0 first, and another host takes the address at once. The holder
# still comes last, so that the address moves once and not with every host.
component = Component(
    name="keepalived",
    place=place,
    declare=declare,
    build=build,
    probes=probes,
    violations=violations,
    lead_roles=("holder",),
    faults=faults,
    milestones=MILESTONES,
)
