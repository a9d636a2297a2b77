"""The cluster's own certificates."""

from holdfast.components.pki.build import build, declare, place
from holdfast.components.pki.watch import probes
from holdfast.model.component import Component

component = Component(name="pki", place=place, declare=declare, build=build, probes=probes, ground=True)
