"""A local certificate authority for machines without one: its key never leaves the state's folder.

Who trusts `ca.crt` trusts it for the names of this service alone: the certificate says so itself (name constraints).
"""

from __future__ import annotations

import datetime
import fcntl
import ipaddress
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
CERTIFICATE_DAYS = 397  # the longest that browsers take
RENEW_DAYS = 30
AHEAD = datetime.timedelta(minutes=5)  # clocks differ


def ensure(folder: Path, host: str, now: datetime.datetime) -> None:
    """Make what is missing, about to expire or for other names: `ca.crt`, `server.crt` and their keys.

    Replicas start together: one of them makes everything, the others find it made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make(folder, host, now)


def make(folder: Path, host: str, now: datetime.datetime) -> None:
    """What `ensure` does, once nobody else does it."""
    names = names_of(host, socket.gethostname())
    ca_path, ca_key_path = folder / "ca.crt", folder / "ca.key"
    if not lasts(ca_path, now) or not ca_key_path.exists() or not constrained(ca_path) >= {*names}:
        key = ec.generate_private_key(ec.SECP256R1())
        write(ca_key_path, private_pem(key))
        write(ca_path, pem(authority(key, names, now)))
        (folder / "server.crt").unlink(missing_ok=True)
    if not lasts(folder / "server.crt", now) or not (folder / "server.key").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        signer = serialization.load_pem_private_key(ca_key_path.read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        issuer = x509.load_pem_x509_certificate(ca_path.read_bytes())
        write(folder / "server.key", private_pem(key))
        write(folder / "server.crt", pem(certificate(key, signer, issuer, names, now)))


def names_of(host: str, hostname: str) -> tuple[str, ...]:
    """What callers may call the service: where it listens, this machine's name, and the loopback."""
    told = {"localhost", "127.0.0.1", "::1", hostname.lower(), host}
    return tuple(sorted(told - {"0.0.0.0", "::", ""}))  # noqa: S104 - recognised, not listened on


def authority(key: ec.EllipticCurvePrivateKey, names: Iterable[str], now: datetime.datetime) -> x509.Certificate:
    """A self-signed authority that can sign for these names only."""
    name = common_name(f"Fairlead local CA {now:%Y-%m-%d}")
    return (
        builder(name, name, key.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs=True), critical=True)
        .add_extension(x509.NameConstraints([general(name, subtree=True) for name in names], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def certificate(
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate,
    names: Iterable[str],
    now: datetime.datetime,
) -> x509.Certificate:
    """The server's certificate."""
    alternatives = x509.SubjectAlternativeName([general(name) for name in names])
    return (
        builder(common_name("fairlead"), issuer.subject, key.public_key(), now, CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )


def builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    """What every certificate has."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - AHEAD)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def common_name(text: str) -> x509.Name:
    """A name that is only for people."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(*, signs: bool) -> x509.KeyUsage:
    """An authority signs certificates, a server handshakes."""
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def general(name: str, *, subtree: bool = False) -> x509.GeneralName:
    """A host as a certificate names it; as a constraint an address is a network of one."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return x509.DNSName(name)
    return x509.IPAddress(ipaddress.ip_network(address) if subtree else address)


def constrained(path: Path) -> set[str]:
    """The names that an authority may sign for."""
    found = x509.load_pem_x509_certificate(path.read_bytes())
    constraints = found.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    return {str(name.value).partition("/")[0] for name in constraints}


def lasts(path: Path, now: datetime.datetime) -> bool:
    """Whether a certificate is there and not about to expire."""
    if not path.exists():
        return False
    found = x509.load_pem_x509_certificate(path.read_bytes())
    return found.not_valid_after_utc - now > datetime.timedelta(days=RENEW_DAYS)


def pem(made: x509.Certificate) -> bytes:
    """The certificate as a file holds it."""
    return made.public_bytes(serialization.Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as a file holds it; the file's mode is its protection."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write(path: Path, content: bytes) -> None:
    """Replace a file in one step; only its owner may read it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)
