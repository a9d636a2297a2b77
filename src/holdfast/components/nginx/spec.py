"""Options of the edge layer and what can be wrong with them."""

from ipaddress import AddressValueError, IPv4Address
from typing import Literal

from pydantic import Field

from holdfast.model.spec import Complaint, EntryOptions, Spec


class NginxOptions(EntryOptions):
    """Options of the edge layer served by nginx."""

    server_name: str = Field(
        default="_",
        pattern=r"^(_|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)$",
        description="DNS name that clients use; _ for any.",
    )
    certificate: str = Field(default="", description="Your own certificate file (PEM, with chain) beside this file.")
    key: str = Field(default="", description="Its private key file. Without both the cluster's own CA signs.")
    plain_http: Literal["redirect", "serve"] = Field(
        default="redirect", description="What port 80 does: send clients to HTTPS, or serve them too."
    )
    read_timeout_s: int = Field(
        default=20, ge=1, le=3600, description="Longest silence of the application within a request, in seconds."
    )
    max_body_size: str = Field(
        default="16m", pattern=r"^[0-9]{1,6}[kmg]?$", description="Largest request body, as nginx writes sizes."
    )


def check(spec: Spec) -> tuple[Complaint, ...]:
    """Return what is wrong with the floating address and the certificate files."""
    if not spec.served_by("edge", "nginx"):
        return ()
    options = spec.layers["edge"].options
    found = (*_address(spec), *(_certificate(options) if isinstance(options, NginxOptions) else ()))
    return tuple(found)


def _address(spec: Spec) -> tuple[Complaint, ...]:
    vip = spec.entry.vip
    if vip is None:
        return ()
    path = ("layers", "edge", "vip")
    try:
        address = IPv4Address(vip)
    except AddressValueError:
        return (Complaint(path, f"{vip!r} is no IPv4 address", f"write an unused address of {spec.network}"),)
    if address not in spec.network:
        return (Complaint(path, f"vip {vip} lies outside the network {spec.network}", "take an unused one of it"),)
    if address in (spec.network.network_address, spec.network.broadcast_address):
        return (Complaint(path, f"vip {vip} is the network's own or broadcast address", "take an unused one"),)
    owner = next((host.name for host in spec.hosts if host.address == vip), "")
    message = f"vip {vip} is the address of host {owner}"
    return (Complaint(path, message, "the floating address must be one that no host owns"),) if owner else ()


def _certificate(options: NginxOptions) -> tuple[Complaint, ...]:
    if bool(options.certificate) == bool(options.key):
        return ()
    given, missing = ("certificate", "key") if options.certificate else ("key", "certificate")
    message = f"{given} is given without {missing}"
    return (Complaint(("layers", "edge", given), message, "give both, or none (the cluster's own CA then signs)"),)
