"""What a member offers, and the files and units that make it."""

from holdfast.model.component import Context, Declaration, Offer, Peer
from holdfast.model.parts import Directory, Effect, File, Package, Part, Unit, value
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import render

CLIENT_PORT = 2379
PEER_PORT = 2380
UNIT = "etcd.service"
TLS = "/etc/etcd/tls"
# What a client of kind `dcs` has to speak (in Patroni's words), and Debian's Python package for it.
TERMS = {"protocol": "etcd3", "client_package": "python3-etcd"}


def declare(_spec: Spec, _host: Host) -> Declaration:
    """A member offers ``dcs`` and talks Raft to its peers."""
    return Declaration(
        offers=(Offer("dcs", CLIENT_PORT, TERMS),),
        peers=(Peer(PEER_PORT, "Raft"),),
    )


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one member."""
    return (
        Package("etcd-server"),
        Package("etcd-client"),
        Directory("/etc/etcd"),
        Directory(TLS, owner="etcd", group="etcd", mode=0o700),
        *_certificates(context.host.name),
        File("/etc/default/etcd", _settings(context), unit=UNIT, effect=Effect.RESTART),
        File(f"/etc/systemd/system/{UNIT}.d/holdfast.conf", _drop_in(), unit=UNIT, effect=Effect.RESTART),
        File("/etc/profile.d/holdfast-etcd.sh", _operator_environment()),
        Unit(UNIT),
    )


def _certificates(host: str) -> tuple[Part, ...]:
    # etcd reads its certificate and key anew at every handshake, so their rotation needs nothing; the CA is
    # read once, at the start.
    return (
        File(f"{TLS}/ca.crt", value("pki/ca.crt"), unit=UNIT, effect=Effect.RESTART),
        File(f"{TLS}/host.crt", value(f"pki/host/{host}.crt"), owner="etcd", group="etcd"),
        File(
            f"{TLS}/host.key",
            value(f"pki/host/{host}.key"),
            owner="etcd",
            group="etcd",
            mode=0o600,
            sensitive=True,
        ),
    )


def _settings(context: Context) -> str:
    return render(
        __package__,
        "etcd.j2",
        name=context.host.name,
        address=context.host.address,
        cluster=context.spec.name,
        initial=",".join(f"{peer.name}=https://{peer.address}:{PEER_PORT}" for peer in context.peers),
        client_port=CLIENT_PORT,
        peer_port=PEER_PORT,
        tls=TLS,
    )


def _drop_in() -> str:
    return render(__package__, "etcd.service.j2")


def _operator_environment() -> str:
    return render(__package__, "operator.sh.j2", port=CLIENT_PORT, tls=TLS)
