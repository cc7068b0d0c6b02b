"""TLS at the callers' port: 1.2 or newer, by files or by an authority of our own, changed while connections go on."""

from __future__ import annotations

import datetime
import json
import os
import socket
import ssl
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fairlead.gateway import authority
from fairlead.gateway.config import Tls
from fairlead.gateway.tls import context_of
from gateway.conftest import Build
from gateway.harness import Gateway, question
from gateway.upstream import Manner, eventually, upstream

from .papers import CLIENT, Authority, trusting
from .service import ports, up, written


def by_files(certificate: Path, key: Path, client_ca: Path | None = None) -> Any:
    tls = {"certificate": str(certificate), "key": str(key), "client_ca": str(client_ca or "")}
    return lambda config: config.update(tls=tls)


def shake(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection after its handshake, and after the server has looked at our certificate."""
    with ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10.0))
        wire = stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))
        wire.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        if not wire.recv(1024).startswith(b"HTTP/1.1 401 "):
            raise ssl.SSLError("no answer")
        stack.pop_all()
    return wire


def serial(port: int, context: ssl.SSLContext) -> int:
    with shake(port, context) as wire:
        shown = wire.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


def serial_of(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def chat(gateway: Gateway, context: ssl.SSLContext) -> int:
    bearer = {"Authorization": f"Bearer {gateway.key}"}
    with httpx.Client(verify=context, headers=bearer, timeout=20.0, trust_env=False) as client:
        return client.post(f"https://127.0.0.1:{gateway.port}/v1/chat/completions", json=question()).status_code


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "papers")


def test_only_new_versions_of_tls_are_spoken(build: Build, ca: Authority) -> None:
    house = build(change=by_files(*ca.sign("server")))
    port = house.gateway.port
    assert chat(house.gateway, trusting(ca.path)) == 200
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with shake(port, trusting(ca.path, version=version)) as wire:
                assert wire.version() == version.name.replace("_", ".")
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                shake(port, trusting(ca.path, version=version))
    certificate, key = ca.sign("server")
    own, _ = context_of(Tls(str(certificate), str(key)))  # OpenSSL's own floor may be the same, and hide ours
    assert own.minimum_version == ssl.TLSVersion.TLSv1_2
    with pytest.raises(httpx.TransportError):  # plain HTTP gets no answer
        house.gateway.chat()
    assert len(house.seen) == 1


def test_with_a_client_authority_nobody_is_heard_without_a_certificate(build: Build, ca: Authority) -> None:
    own = Authority(ca.folder, "clients")
    house = build(change=by_files(*ca.sign("server"), own.path))
    port, client = house.gateway.port, own.sign("caller", use=CLIENT)
    unwanted = {
        "none": None,
        "of another authority": ca.sign("foreign", use=CLIENT),
        "expired": own.sign("expired", use=CLIENT, days=-1),
        "a server's": own.sign("server-too"),
    }
    for name, shown in unwanted.items():
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shake(port, trusting(ca.path, client=shown))
        assert house.seen == [], name
    assert chat(house.gateway, trusting(ca.path, client=client)) == 200
    shake(port, trusting(ca.path, client=client)).close()  # a certificate is no key: 401


def test_a_changed_certificate_is_taken_up_and_open_connections_go_on(build: Build, ca: Authority) -> None:
    files = ca.sign("server", days=3)
    house = build(change=by_files(*files))
    gateway, context = house.gateway, trusting(ca.path)
    first = serial_of(files[0])
    assert serial(gateway.port, context) == first
    expiry = gateway.metrics()["fairlead_certificate_expiry_timestamp_seconds", ()]
    house.replicas[0].manner = Manner(gap_s=0.1)
    bearer = {"Authorization": f"Bearer {gateway.key}"}
    url = f"https://127.0.0.1:{gateway.port}/v1/chat/completions"
    with (
        httpx.Client(verify=context, headers=bearer, timeout=20.0, trust_env=False) as client,
        client.stream("POST", url, json=question(stream=True, max_tokens=40)) as answer,
    ):
        pieces = answer.iter_text()
        text = next(pieces)
        ca.sign("server", days=20)
        second = serial_of(files[0])
        assert second != first
        assert eventually(lambda: serial(gateway.port, context) == second, within_s=10.0, every_s=0.1)
        text += "".join(pieces)
    assert "[DONE]" in text
    assert gateway.metrics()["fairlead_certificate_expiry_timestamp_seconds", ()] > expiry
    files[0].write_text("no certificate")
    assert eventually(lambda: any("certificate_refused" in line for line in gateway.log_lines()), within_s=10.0)
    assert serial(gateway.port, context) == second
    assert chat(gateway, context) == 200


def test_a_caller_that_leaves_stops_the_engine_over_tls_too(build: Build, ca: Authority) -> None:
    house = build(change=by_files(*ca.sign("server")))
    house.replicas[0].manner = Manner(gap_s=0.05)
    bearer = {"Authorization": f"Bearer {house.gateway.key}"}
    url = f"https://127.0.0.1:{house.gateway.port}/v1/chat/completions"
    for stream in (False, True):
        house.replicas[0].forget()
        house.replicas[0].manner = Manner(gap_s=0.05, first_byte_s=0.0 if stream else 60.0)
        with (
            httpx.Client(verify=trusting(ca.path), headers=bearer, timeout=0.5, trust_env=False) as client,
            suppress(httpx.ReadTimeout),
            client.stream("POST", url, json=question(stream=stream, max_tokens=10_000)) as answer,
        ):
            next(answer.iter_bytes())
        assert eventually(lambda: house.cancelled == 1)


def test_an_unusable_certificate_is_told_at_the_start(build: Build, ca: Authority) -> None:
    (certificate, _), (_, other_key) = ca.sign("server"), ca.sign("other")
    for files in ((certificate, other_key), (ca.folder / "missing.crt", other_key)):
        with pytest.raises(AssertionError, match=r"gateway.tls: the certificate with its key cannot be used"):
            build(change=by_files(*files))


def ours(state: Path) -> dict[str, Any]:
    return {"certificate": str(state / "server.crt"), "key": str(state / "server.key"), "self_signed": True}


def test_our_own_authority_signs_for_this_service_alone(build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "tls"
    house = build(change=lambda config: config.update(tls=ours(folder)))
    assert chat(house.gateway, trusting(folder / "ca.crt")) == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(house.gateway.port, ssl.create_default_context())
    secrets = [path for path in folder.iterdir() if path.suffix == ".key"]
    assert [path.stat().st_mode & 0o077 for path in secrets] == [0, 0]
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        impersonate(folder, "example.com")
    impersonate(folder, "localhost")


def impersonate(folder: Path, name: str) -> None:
    """Handshake, in memory, with a server that has a certificate for `name` by the local authority."""
    signer = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    ca = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    made = authority.certificate(key, signer, ca, [name], datetime.datetime.now(datetime.UTC))
    both = folder / f"{name}.pem"
    both.write_bytes(authority.pem(made) + authority.private_pem(key))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(both)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(folder / "ca.crt").wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_our_own_certificates_stay_until_they_must_change(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)

    def serials() -> tuple[int, int]:
        return serial_of(tmp_path / "ca.crt"), serial_of(tmp_path / "server.crt")

    authority.ensure(tmp_path, "127.0.0.1", now)
    first = serials()
    authority.ensure(tmp_path, "127.0.0.1", now + datetime.timedelta(days=300))
    assert serials() == first
    authority.ensure(tmp_path, "127.0.0.1", now + datetime.timedelta(days=authority.CERTIFICATE_DAYS - 29))
    renewed = serials()
    assert (renewed[0] == first[0], renewed[1] == first[1]) == (True, False)
    authority.ensure(tmp_path, "gateway.internal", now)  # another name: another authority
    assert not set(serials()) & set(renewed)


def test_replicas_that_start_together_agree_on_their_certificates(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    with ThreadPoolExecutor(8) as replicas:
        list(replicas.map(lambda _: authority.ensure(tmp_path, "127.0.0.1", now), range(8)))
    ca = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    server = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
    server.verify_directly_issued_by(ca)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")


FILE = """
models: {{far: {{engine: remote, urls: ["{url}"]}}}}
gateway: {{tls: {tls}, {ports}}}
"""


def test_the_commands_work_over_tls(tmp_path: Path) -> None:
    with upstream() as engine:
        service = written(tmp_path, FILE.format(url=engine.url, tls="{self_signed: true}", ports=ports()))
        with up(service) as told:
            assert told["url"].startswith("https://")
            assert Path(told["ca"]).is_file()
            assert service.json("status")["url"] == told["url"]
            asked = service.json("chat", "far", "-m", "hello")
            assert asked["choices"][0]["message"]["content"]
            assert service.run("chat", "-m", "hello").stdout.strip()


def test_the_commands_work_with_certificates_on_both_sides(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "papers")
    ca.sign("server")
    client, _ = ca.sign("caller", use=CLIENT, beside=True)
    tls = "{certificate: papers/server.crt, key: papers/server.key, client_ca: papers/ca.crt}"
    trust = {"SSL_CERT_FILE": str(ca.path)}
    with upstream() as engine:
        service = written(tmp_path, FILE.format(url=engine.url, tls=tls, ports=ports()))
        with up(service):
            assert service.run("status").returncode == 0
            refused = service.run("chat", "far", "-m", "hello", **trust)
            assert (refused.returncode, "Traceback" in refused.stderr) == (1, False), refused.stderr
            let_in = service.run("chat", "far", "-m", "hello", "--certificate", str(client), **trust)
            assert let_in.returncode == 0, let_in.stderr
            distrusted = service.run("chat", "far", "-m", "hello", "--certificate", str(client))
            assert (distrusted.returncode, "Traceback" in distrusted.stderr) == (1, False), distrusted.stderr


MISTAKES = {
    "{}": "gateway.tls: there is no certificate to show",
    "{certificate: a.crt}": "gateway.tls: there is no certificate to show",
    "{self_signed: true, certificate: a.crt, key: a.key}": "gateway.tls.self_signed: makes a certificate",
    "{self_signed: yes please}": "gateway.tls.self_signed: must be true or false",
    "{certificate: a.crt, key: a.key, versions: [1.0]}": "gateway.tls.versions: unknown key",
}


@pytest.mark.parametrize(("tls", "message"), MISTAKES.items())
def test_what_the_file_may_not_say(tmp_path: Path, tls: str, message: str) -> None:
    done = written(tmp_path, FILE.format(url="http://localhost:1", tls=tls, ports=ports())).run("check", "--json")
    told = [f"{problem['subject']}: {problem['message']}" for problem in json.loads(done.stdout)["problems"]]
    assert any(line.startswith(message) for line in told), told
    assert all(os.path.basename(problem["where"].split(":")[0]) for problem in json.loads(done.stdout)["problems"])
