"""One certificate for each host, and the authority that all trust."""

from holdfast.model.component import Context, Declaration
from holdfast.model.parts import Certificate, File, Part, value
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import render

FOLDER = "/etc/holdfast"
AUTHORITY = f"{FOLDER}/ca.crt"
HOST_CERTIFICATE = f"{FOLDER}/host.crt"
PROBE = "/usr/local/lib/holdfast/pki-probe"


def place(spec: Spec) -> tuple[str, ...]:
    """Every host."""
    return tuple(host.name for host in spec.hosts)


def declare(_spec: Spec, _host: Host) -> Declaration:
    """Certificates are values, not a service: nothing is offered on a port."""
    return Declaration()


def build(context: Context) -> tuple[Part, ...]:
    """Return the certificate of one host, and the public files that clients on it need."""
    name = f"pki/host/{context.host.name}"
    return (
        certificate(name, context.host),
        File(AUTHORITY, value("pki/ca.crt")),
        File(HOST_CERTIFICATE, value(f"{name}.crt")),
        File(PROBE, render(__package__, "probe.sh.j2", files=(HOST_CERTIFICATE, AUTHORITY)), mode=0o755),
    )


def certificate(name: str, host: Host) -> Certificate:
    """Return the certificate by which a host is known: by name, by address, and from itself."""
    return Certificate(name, host.name, (host.name, "localhost"), (host.address, "127.0.0.1"))
