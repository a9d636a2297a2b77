"""What only this engine can suffer: a store without space, a certificate that has expired."""

import json
from collections.abc import Callable

from holdfast.components.etcd.build import CLIENT_PORT, TLS
from holdfast.components.etcd.watch import TLS_OPTIONS, curl_options
from holdfast.model.blows import expire_certificate, python, said
from holdfast.model.component import Context
from holdfast.model.fault import Aim, Blow, Evidence, Fault, Ground
from holdfast.model.watch import Output

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
# Ask whoever leads to hand the lead to the member here, and wait until it has it.
_LEAD = """
import json, ssl, sys, time, urllib.request
url, tls = sys.argv[1:]
context = ssl.create_default_context(cafile=f"{tls}/ca.crt")
context.load_cert_chain(f"{tls}/host.crt", f"{tls}/host.key")
def ask(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        return json.load(answer)
def status():
    found = ask(url, "/v3/maintenance/status", {})
    return found["header"]["member_id"], found.get("leader", "0")
end = time.monotonic() + 10
while time.monotonic() < end:
    own, leader = status()
    if own == leader:
        sys.exit(0)
    for member in ask(url, "/v3/cluster/member/list", {})["members"]:
        if member["ID"] == leader:
            ask(member["clientURLs"][0], "/v3/maintenance/transfer-leadership", {"targetID": own})
    time.sleep(0.1)
sys.exit("the lead of the dcs was not handed over within 10 s")
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
            "etcd-lead",
            "let the member of the dcs on {hosts} lead",
            "leader",
            "nobody notices",
            "the dcs was led on {hosts}: losing that host costs an election of the dcs, too",
            _each(known, _lead),
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
    tool = ("etcdctl", "--endpoints", url, *TLS_OPTIONS, "alarm")
    shown = Evidence((*tool, "list"), said("NOSPACE", "the alarm NOSPACE is raised: the store refuses writes"))
    return Blow(context.host.name, (python(_RAISE, url, TLS),), ((*tool, "disarm"),), (shown,))


def _lead(context: Context) -> Blow:
    url = f"https://{context.host.address}:{CLIENT_PORT}"
    asked = ("curl", *curl_options(), "-d", "{}", f"{url}/v3/maintenance/status")
    return Blow(context.host.name, (python(_LEAD, url, TLS),), (), (Evidence(asked, read_lead),))


def read_lead(output: Output) -> str:
    """Read the status of a member: whether it leads."""
    found = json.loads(output.stdout) if output.exit_code == 0 else {}
    own = found.get("header", {}).get("member_id")
    return "the member leads the dcs" if own and own == found.get("leader") else ""


def _expire(context: Context) -> Blow:
    # It reads its certificate anew at every handshake: nothing to reload.
    files = f"{TLS}/host.crt", f"{TLS}/host.key"
    return expire_certificate(context.host.name, *files, (), f"{context.host.address}:{CLIENT_PORT}")
