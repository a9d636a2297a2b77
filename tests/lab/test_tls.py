"""Certificates are renewed at apply, and nobody notices."""

import re
from datetime import timedelta

import pytest

from holdfast.runner import authority
from holdfast.runner.vault import Vault
from lab.cluster import LabCluster
from lab.figures import Measured

pytestmark = pytest.mark.lab

LEFT = timedelta(days=20)
# One line: whoever answers at ADDRESS PORT, how long is its certificate good? PostgreSQL wants to be asked for TLS.
ASK = 'openssl s_client -connect "$1:$2" $3 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256'
SPOKEN_TLS = {443: "", 2379: "", 2380: "", 5432: "-starttls postgres", 6379: "", 8008: "", 26379: ""}


def grow_old(cluster: LabCluster) -> None:
    """Exchange all certificates in the vault for ones of the same names that have 20 days left."""
    vault, design = Vault.beside(cluster.file), cluster.design
    values = vault.values_for(design, authority.now())
    signer = authority.Pair(values["pki/ca.crt"], values["pki/ca.key"])
    then = authority.now() - authority.LIFE + LEFT
    for wanted in design.certificates():
        pair = authority.issue(signer, wanted, then)
        values |= {f"{wanted.name}.crt": pair.certificate, f"{wanted.name}.key": pair.key}
    aged = Vault(vault.path, {})
    aged._values = values
    aged.save()


def served(cluster: LabCluster) -> dict[tuple[str, int], str]:
    """Return the fingerprint of the certificate that every TLS port serves, asked from the machine itself."""
    found = {}
    for host in cluster.design.spec.hosts:
        for port, words in SPOKEN_TLS.items():
            found[host.name, port] = fingerprint(cluster, host.name, host.address, port, words)
    return found


def fingerprint(cluster: LabCluster, host: str, address: str, port: int, words: str) -> str:
    """Ask one port; the text that comes back must be a fingerprint."""
    argv = ("bash", "-c", ASK.replace("$3", words), "ask", address, str(port))
    told = cluster.inside(host, *argv, check=False).strip()
    assert re.fullmatch(r"sha256 Fingerprint=[0-9A-F:]{95}", told), f"{host}:{port} serves no certificate: {told!r}"
    return told


def test_certificates_are_renewed_under_load(cluster: LabCluster, measured: Measured) -> None:
    grow_old(cluster)
    changes = cluster.data("plan")["changes"]
    assert changes
    assert {each["effect"] for each in changes} <= {"none", "reload"}
    before = served(cluster)
    # Customers, servers and the apply share the cores of one computer: with 55 requests a second on two of them it is
    # the customers themselves who get no time (seen: 26 of 2034 reads were late, and no server was ever asked).
    with cluster.customers(reads_per_s=25, writes_per_s=10) as shop:
        shop.shop_calmly()
        cluster.holdfast("apply", "-y")
        shop.shop_calmly()
    after = served(cluster)
    stale = [port for port in before if before[port] == after[port]]
    measured("ports with a new certificate", f"{len(after) - len(stale)} of {len(after)}")
    measured("failed requests", shop.failures())
    measured("longest gap between reads (s)", shop.reads_gap_s())
    measured("longest gap between acknowledged orders (s)", shop.writes_gap_s())
    assert stale == []
    with measured.in_time():
        assert shop.failed_requests() == {}
    shop.assert_nothing_lost()
    assert cluster.data("plan")["changes"] == []


def test_the_edge_speaks_modern_tls_only(cluster: LabCluster) -> None:
    # The lowest security level: else this client itself would refuse the old versions.
    ask = "openssl s_client -cipher DEFAULT@SECLEVEL=0 -connect $1:443 $2 </dev/null 2>&1"
    spoken = {
        version: "Cipher is (NONE)"
        not in cluster.inside("a", "bash", "-c", ask, "ask", cluster.vip, version, check=False)
        for version in ("-tls1", "-tls1_1", "-tls1_2", "-tls1_3")
    }
    assert spoken == {"-tls1": False, "-tls1_1": False, "-tls1_2": True, "-tls1_3": True}
