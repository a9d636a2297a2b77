"""What only this engine can suffer: a store without space, a certificate that has expired."""

from collections.abc import Callable

from holdfast.components.etcd.build import CLIENT_PORT, TLS
from holdfast.model.blows import expire_certificate, python, said
from holdfast.model.component import Context
from holdfast.model.fault import Aim, Blow, Evidence, Fault, Ground

_TLS = ("--cacert", f"{TLS}/ca.crt", "--cert", f"{TLS}/host.crt", "--key", f"{TLS}/host.key")
# The alarm itself, raised as a member does whose quota is used up: every member refuses writes until it is disarmed.
_RAISE = """
import json, ssl, sys, urllib.request
url, tls = sys.argv[1:]
context = ssl.create_default_context(cafile=f"{tls}/ca.crt")
context.load_cert_chain(f"{tls}/host.crt", f"{tls}/host.key")
def ask(path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        return json.load(answer)
member = ask("/v3/maintenance/status", {})["header"]["member_id"]
ask("/v3/maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE", "memberID": member})
"""


def faults(contexts: tuple[Context, ...]) -> tuple[Fault, ...]:
    """Return the faults of this engine."""
    known = {context.host.name: context for context in contexts}
    return (
        Fault(
            "etcd-nospace",
            "raise the alarm on {hosts} that the store is full: it refuses every write",
            "dcs_leader",
            "the leader of the database goes on, as long as all members confirm it",
            "the store is full (alarm NOSPACE): compact and defragment it, then disarm the alarm",
            _each(known, _nospace),
            ("E3",),
        ),
        Fault(
            "etcd-certificate",
            "let the member on {hosts} show a certificate that has expired",
            "dcs_follower",
            "the other members keep the quorum; nobody notices",
            "the certificate of etcd on {hosts} has expired, so new connections to it are refused",
            _each(known, _expire),
            ("E6",),
        ),
    )


def _each(
    known: dict[str, Context], blow: Callable[[Context], Blow]
) -> Callable[[Aim, Ground | None], tuple[Blow, ...]]:
    return lambda aim, _ground: tuple(blow(known[host]) for host in aim.hosts if host in known)


def _nospace(context: Context) -> Blow:
    url = f"https://{context.host.address}:{CLIENT_PORT}"
    tool = ("etcdctl", "--endpoints", url, *_TLS, "alarm")
    shown = Evidence((*tool, "list"), said("NOSPACE", "the alarm NOSPACE is raised: the store refuses writes"))
    return Blow(context.host.name, (python(_RAISE, url, TLS),), ((*tool, "disarm"),), (shown,))


def _expire(context: Context) -> Blow:
    # It reads its certificate anew at every handshake: nothing to reload.
    files = f"{TLS}/host.crt", f"{TLS}/host.key"
    return expire_certificate(context.host.name, *files, (), f"{context.host.address}:{CLIENT_PORT}")
