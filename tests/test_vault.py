"""The vault and the cluster's own certificate authority."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from holdfast.design.design import make_design
from holdfast.model.parts import Certificate
from holdfast.runner.authority import LIFE, RENEW_BEFORE, expires, good_for, issue, new_authority, now
from holdfast.runner.vault import Vault, VaultError
from toys import TOYS, spec

WANTED = Certificate("pki/a", "a", ("a", "localhost"), ("10.0.0.1", "127.0.0.1"))
DESIGN = make_design(spec(), TOYS)


def test_a_certificate_is_for_server_and_client_and_names_its_host() -> None:
    authority = new_authority("toy", now())
    pair = issue(authority, WANTED, now())
    certificate, ca = x509.load_pem_x509_certificates(pair.certificate.encode())
    certificate.verify_directly_issued_by(ca)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a", "localhost"]
    assert {str(each) for each in names.get_values_for_type(x509.IPAddress)} == {"10.0.0.1", "127.0.0.1"}
    assert len(list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)) == 2
    assert expires(pair.certificate) - now() < LIFE


@pytest.mark.parametrize(
    ("age", "wanted", "good"),
    [
        (timedelta(0), WANTED, True),
        (LIFE - RENEW_BEFORE - timedelta(minutes=5), WANTED, True),
        (LIFE - RENEW_BEFORE + timedelta(minutes=5), WANTED, False),
        (timedelta(0), Certificate("pki/a", "a", ("a",), ("10.0.0.2",)), False),
    ],
)
def test_a_certificate_is_renewed_in_time_and_when_names_change(
    age: timedelta, wanted: Certificate, good: bool
) -> None:
    authority = new_authority("toy", now())
    pair = issue(authority, WANTED, now())
    assert good_for(pair, wanted, authority, now() + age) is good


def test_a_certificate_of_another_authority_is_not_good() -> None:
    first, second = new_authority("toy", now()), new_authority("toy", now())
    assert not good_for(issue(first, WANTED, now()), WANTED, second, now())


def test_values_stay_the_same_once_saved(tmp_path: Path) -> None:
    vault = Vault.beside(tmp_path / "cluster.yaml")
    values = vault.values_for(DESIGN, now())
    vault.save()
    again = Vault.beside(tmp_path / "cluster.yaml")
    assert again.values_for(DESIGN, now()) == values
    assert again.id == vault.id
    assert len(values["store/admin"]) == 32
    assert values["store/admin"].isalnum()


def test_the_vault_is_for_its_owner_only_and_the_ca_for_everybody(tmp_path: Path) -> None:
    vault = Vault.beside(tmp_path / "cluster.yaml")
    vault.values_for(DESIGN, now())
    vault.save()
    assert stat.S_IMODE(vault.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(vault.path.parent.stat().st_mode) == 0o700
    assert "BEGIN CERTIFICATE" in (vault.path.parent / "ca.crt").read_text()
    assert [path.name for path in vault.path.parent.iterdir() if path.name.startswith("tmp")] == []


def test_certificates_are_renewed_and_secrets_kept_when_time_passes(tmp_path: Path) -> None:
    vault = Vault.beside(tmp_path / "cluster.yaml")
    before = vault.values_for(DESIGN, now())
    after = vault.values_for(DESIGN, now() + timedelta(days=61))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"pki/{host}.{kind}" for host in "abc" for kind in ("crt", "key")}


def test_a_broken_vault_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / ".holdfast").mkdir()
    (tmp_path / ".holdfast" / "vault.json").write_text("{")
    with pytest.raises(VaultError, match=r"vault\.json cannot be read"):
        Vault.beside(tmp_path / "cluster.yaml")


def test_what_must_be_hidden_is_known(tmp_path: Path) -> None:
    vault = Vault.beside(tmp_path / "cluster.yaml")
    values = vault.values_for(DESIGN, now())
    vault.save()
    hidden = vault.hidden()
    assert hidden[values["store/admin"]] == "store/admin"
    assert values["pki/a.key"] in hidden
    assert values["pki/a.crt"] not in hidden
    assert json.loads(vault.path.read_text())["vault/id"] not in hidden
