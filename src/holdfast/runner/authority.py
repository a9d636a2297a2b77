"""The cluster's own certificate authority: makes and renews certificates."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast.model.parts import Certificate

LIFE = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
CA_LIFE = timedelta(days=3650)
# Clocks of servers may run behind the operator's.
_BACKDATE = timedelta(hours=1)
_PURPOSES = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate (PEM, with chain) and its private key (PEM)."""

    certificate: str
    key: str


def new_authority(cluster: str, now: datetime) -> Pair:
    """Return a new CA for a cluster. P-256: handshakes of health checks must stay cheap."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Holdfast CA of {cluster}")
    certificate = (
        _builder(name, name, key.public_key(), now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(_pem(certificate), _key_pem(key))


def issue(authority: Pair, wanted: Certificate, now: datetime) -> Pair:
    """Return a certificate for server and client use, signed by the authority."""
    ca = x509.load_pem_x509_certificate(authority.certificate.encode())
    ca_key = serialization.load_pem_private_key(authority.key.encode(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an elliptic-curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(wanted.common_name), ca.subject, key.public_key(), now, LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False
        )
        .add_extension(x509.SubjectAlternativeName(_alternatives(wanted)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return Pair(_pem(certificate) + authority.certificate, _key_pem(key))


def good_for(pair: Pair, wanted: Certificate, authority: Pair, now: datetime) -> bool:
    """Return whether a certificate still fits: same names, same CA, more than `RENEW_BEFORE` to live."""
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        list(names) == _alternatives(wanted)
        and certificate.subject == _name(wanted.common_name)
        and pair.certificate.endswith(authority.certificate)
        and certificate.not_valid_after_utc - now > RENEW_BEFORE
    )


def expires(certificate: str) -> datetime:
    """Return when a PEM certificate ends."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + life)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternatives(wanted: Certificate) -> list[x509.GeneralName]:
    dns = [x509.DNSName(name) for name in sorted(set(wanted.dns))]
    addresses = [x509.IPAddress(ip_address(each)) for each in sorted(set(wanted.addresses))]
    return [*dns, *addresses]


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)
