"""holdfast-watch: a dead leader's host is fenced and deposed within seconds instead of at the end of its lease."""

from holdfast.components.watcher.build import build, declare, place
from holdfast.components.watcher.watch import probes
from holdfast.model.component import Component

component = Component(name="watcher", place=place, declare=declare, build=build, probes=probes)
