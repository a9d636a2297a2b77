"""What a member offers, and the files and units that make it."""

from holdfast.model.component import Context, Declaration, Offer, Peer
from holdfast.model.parts import Directory, Effect, File, Package, Part, Unit, value
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import program, render

CLIENT_PORT = 2379
PEER_PORT = 2380
UNIT = "etcd.service"
TLS = "/etc/etcd/tls"
START = "/usr/local/lib/holdfast/etcd-start"
STOP = "/usr/local/lib/holdfast/etcd-stop"
# What a client of kind `dcs` has to speak (in Patroni's words), and Debian's Python package for it.
# ``gateway``: where its JSON interface begins.
TERMS = {"protocol": "etcd3", "client_package": "python3-etcd", "gateway": "/v3"}


def declare(_spec: Spec, _host: Host) -> Declaration:
    """A member offers ``dcs`` and talks Raft to its peers."""
    return Declaration(
        offers=(Offer("dcs", CLIENT_PORT, TERMS),),
        peers=(Peer(PEER_PORT, "Raft", twice=True),),
    )


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one member."""
    return (
        Package("etcd-server"),
        Package("etcd-client"),
        Package("python3"),
        Directory("/etc/etcd"),
        Directory(TLS, owner="etcd", group="etcd", mode=0o700),
        *_certificates(context.host.name),
        File("/etc/default/etcd", _settings(context), unit=UNIT, effect=Effect.RESTART),
        Directory("/usr/local/lib/holdfast"),
        File(START, render(__package__, "start.py.j2"), mode=0o755),
        File(STOP, program(__package__, "stop"), mode=0o755),
        File(f"/etc/systemd/system/{UNIT}.d/holdfast.conf", _drop_in(context), unit=UNIT, effect=Effect.RESTART),
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
        data=_data(context),
        initial=",".join(f"{peer.name}={_peer_url(peer)}" for peer in context.peers),
        client_port=CLIENT_PORT,
        peer_port=PEER_PORT,
        tls=TLS,
    )


def _data(context: Context) -> str:
    return f"/var/lib/etcd/{context.spec.name}"


def _peer_url(host: Host) -> str:
    return f"https://{host.address}:{PEER_PORT}"


def _client_url(host: Host) -> str:
    return f"https://{host.address}:{CLIENT_PORT}"


def _drop_in(context: Context) -> str:
    return render(
        __package__,
        "etcd.service.j2",
        start=START,
        stop=STOP,
        data=_data(context),
        name=context.host.name,
        peer_url=_peer_url(context.host),
        client_url=_client_url(context.host),
        others=[_client_url(peer) for peer in context.peers if peer != context.host],
    )


def _operator_environment() -> str:
    return render(__package__, "operator.sh.j2", port=CLIENT_PORT, tls=TLS)
