"""A packet filter whose rules are derived, not written."""

from holdfast.components.firewall.build import build, declare, place
from holdfast.components.firewall.watch import probes
from holdfast.model.component import Component

component = Component(name="firewall", place=place, declare=declare, build=build, probes=probes, ground=True)
