"""The proof about TLS, on a gateway of its own. Certificates are stand-ins; the rules are the declared ones."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import time
import warnings
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fairlead.ops.prove.outcome import Outcome
from fairlead.ops.prove.stage import Stage

CHANGED_WITHIN_S = 10.0
PATIENCE_S = 5.0
HOST = "127.0.0.1"
ASK = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"


async def tls(stage: Stage) -> Outcome:
    """TLS 1.2 and 1.3 are spoken, older versions and plain HTTP are not; callers show certificates where asked to."""
    declared = stage.declared.gateway.tls
    assert declared is not None
    folder = stage.layout.state / "tls"
    papers = Papers(stage.layout.state) if declared.client_ca else None
    own = {"certificate": str(folder / "server.crt"), "key": str(folder / "server.key"), "self_signed": True}
    number = await stage.add_gateway(tls={**own, "client_ca": str(papers.authority) if papers else ""})
    port = int(stage.urls[number].rpartition(":")[2])
    trust = folder / "ca.crt"
    if not trust.exists():
        return Outcome(False, "the gateway listens without a certificate")
    caller = papers.sign("caller") if papers else None
    versions = {
        version.name: await answers(port, context(trust, caller, version))
        for version in ssl.TLSVersion
        if wanted(version)
    }
    refused = {
        "plain HTTP": not await answers(port, None),
        "a caller that does not trust us": not await answers(port, context(None, caller)),
    }
    if papers:
        refused["a caller without a certificate"] = not await answers(port, context(trust, None))
        foreign = Papers(stage.layout.state / "foreign").sign("foreign")
        refused["a caller with a foreign certificate"] = not await answers(port, context(trust, foreign))
    seconds = await changed_after(port, folder, context(trust, caller))
    spoken = sorted(name for name, works in versions.items() if works)
    holds = spoken == ["TLSv1_2", "TLSv1_3"] and all(refused.values()) and seconds <= CHANGED_WITHIN_S
    figure = (
        f"spoken: {', '.join(spoken).replace('_', '.') or 'none'}; {sum(refused.values())} of {len(refused)} others "
        f"refused; a changed certificate after {seconds:.1f} s"
    )
    return Outcome(holds, figure, ", ".join(f"let in: {name}" for name, held in refused.items() if not held))


def wanted(version: ssl.TLSVersion) -> bool:
    """The versions that somebody might speak."""
    return version.name in {"TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"}


def context(trust: Path | None, certificate: Path | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A caller's context. One for a single version allows all ciphers, so that only the gateway's word counts."""
    made = ssl.create_default_context()
    if trust is not None:
        made.load_verify_locations(trust)
    if certificate is not None:
        made.load_cert_chain(certificate)
    if version is not None:
        made.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            made.minimum_version = made.maximum_version = version
    return made


async def answers(port: int, security: ssl.SSLContext | None) -> bool:
    """Whether a request on a new connection is answered."""
    return await shown(port, security) is not None


async def shown(port: int, security: ssl.SSLContext | None) -> bytes | None:
    """The certificate behind an answer (empty without TLS); None when there is no answer."""
    with suppress(OSError, asyncio.IncompleteReadError):  # TimeoutError and ssl.SSLError are OSErrors
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(HOST, port, ssl=security)
            try:
                writer.write(ASK)
                if (await reader.readline()).startswith(b"HTTP/1.1 "):
                    told = writer.get_extra_info("ssl_object")
                    return bytes(told.getpeercert(binary_form=True)) if told else b""
            finally:
                writer.transport.abort()
    return None


async def changed_after(port: int, folder: Path, security: ssl.SSLContext) -> float:
    """Seconds until a new certificate is shown, once the old one is gone; infinite when it is not."""
    first = await shown(port, security)
    (folder / "server.crt").unlink(missing_ok=True)
    began = time.monotonic()
    while time.monotonic() - began < CHANGED_WITHIN_S:
        now = await shown(port, security)
        if now not in {None, first}:
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    return float("inf")


class Papers:
    """An authority of callers' certificates, in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.authority = folder / "callers.crt"
        self.authority.write_bytes(self._signed("callers", self._key, x509.BasicConstraints(ca=True, path_length=0)))

    def sign(self, name: str) -> Path:
        """A file with a caller's certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        path = self._folder / f"{name}.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(self._signed(name, key, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])) + secret)
        return path

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "callers")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=True)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
