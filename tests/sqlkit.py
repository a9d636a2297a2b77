"""Small specs and engine scripts for the tests of the database's engines."""

import runpy
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from types import MappingProxyType
from typing import Any

from holdfast.components.postgres.spec import PostgresOptions
from holdfast.model.spec import Durability, Host, Layer, Options, Promises, Spec, Ssh
from holdfast.model.watch import Reading, State


def spec(
    zones: Mapping[str, str],
    database: str = "",
    dcs: str | None = None,
    app: str = "",
    durability: Durability = Durability.AVAILABILITY,
    rto_s: float = 30.0,
    **options: Any,
) -> Spec:
    hosts = tuple(Host(name, f"10.0.0.{number}", zone) for number, (name, zone) in enumerate(zones.items(), 11))
    layers = {}
    if database:
        layers["database"] = Layer("database", "postgres", tuple(database), PostgresOptions(**options))
    if dcs is not None:
        layers["dcs"] = Layer("dcs", "etcd", tuple(dcs), Options())
    if app:
        layers["app"] = Layer("app", "app", tuple(app), Options())
    promises = Promises(rto_s, 0.0, durability)
    network = IPv4Network("10.0.0.0/24")
    return Spec("shop", network, hosts, MappingProxyType(layers), promises, Ssh("root", 22, ""))


def apart(names: str) -> dict[str, str]:
    return {name: f"zone-{name}" for name in names}


def script(component: str, name: str) -> dict[str, Any]:
    folder = Path(__file__).resolve().parent.parent / "src" / "holdfast" / "components" / component / "templates"
    return runpy.run_path(str(folder / f"{name}.py.j2"), run_name="script")


def reading(role: str, **facts: str) -> Reading:
    return Reading(State.OK, role, facts=facts)
