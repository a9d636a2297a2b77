"""The front door: TLS, HTTP/2, and the way to every application server."""

from holdfast.components.nginx.build import build, declare, drain, place
from holdfast.components.nginx.faults import faults
from holdfast.components.nginx.spec import NginxOptions, check
from holdfast.components.nginx.watch import probes
from holdfast.model.component import Component

component = Component(
    name="nginx",
    layer="edge",
    options=NginxOptions,
    place=place,
    declare=declare,
    build=build,
    check=check,
    probes=probes,
    drain=drain,
    faults=faults,
)
