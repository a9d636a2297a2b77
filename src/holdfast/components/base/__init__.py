"""The operating system of every host: names, time, journal, kernel settings."""

from holdfast.components.base.build import build, declare, place
from holdfast.components.base.watch import probes
from holdfast.model.component import Component

component = Component(name="base", place=place, declare=declare, build=build, probes=probes, ground=True)
