"""The user's web application under systemd."""

from holdfast.components.app.build import build, declare, place
from holdfast.components.app.faults import faults
from holdfast.components.app.spec import AppOptions, check, foresee, sources
from holdfast.components.app.watch import probes
from holdfast.model.component import Component

component = Component(
    name="app",
    layer="app",
    options=AppOptions,
    place=place,
    declare=declare,
    build=build,
    check=check,
    foresee=foresee,
    sources=sources,
    probes=probes,
    faults=faults,
)
