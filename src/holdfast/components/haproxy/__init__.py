"""HAProxy: the application speaks to localhost, and the connection ends where the leader is."""

from holdfast.components.haproxy.build import build, declare, place
from holdfast.components.haproxy.faults import MILESTONES
from holdfast.components.haproxy.watch import probes
from holdfast.model.component import Component

component = Component(name="haproxy", place=place, declare=declare, build=build, probes=probes, milestones=MILESTONES)
