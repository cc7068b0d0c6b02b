"""An issuer of tokens on a real socket: keys of every kind, a key set that can be rotated, broken or taken down."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://issuer.test"
AUDIENCE = "fairlead"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, PrivateKey] = {"rsa": RSA_KEY, "ec": EC_KEY, "ed": ED_KEY}
ALGORITHM = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def jwk(kid: str, key: PrivateKey, **fields: Any) -> dict[str, Any]:
    """The public half, as a key set publishes it."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        told: dict[str, Any] = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        told = {"kty": "EC", "crv": "P-256", "x": b64(point.x.to_bytes(32)), "y": b64(point.y.to_bytes(32))}
    else:
        told = {"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().public_bytes_raw())}
    return {**told, "kid": kid, "use": "sig", **fields}


def sign(key: PrivateKey, signed: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    return key.sign(signed)


def claims(**changed: Any) -> dict[str, Any]:
    """What a good token says; None takes a claim out."""
    now = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": now,
        "exp": now + 600,
        "tenant": "acme",
        "role": "user",
    }
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def token(name: str = "rsa", *, head: dict[str, Any] | None = None, key: PrivateKey | None = None, **said: Any) -> str:
    """A signed token; `head` adds to its header, the rest changes its claims."""
    header = {"alg": ALGORITHM[name], "kid": name, "typ": "JWT", **(head or {})}
    return raw_token(json.dumps(header), json.dumps(claims(**said)), key or KEYS[name])


def raw_token(header: str, payload: str, key: PrivateKey) -> str:
    signed = f"{b64(header.encode())}.{b64(payload.encode())}"
    return f"{signed}.{b64(sign(key, signed.encode()))}"


class Issuer:
    """The key set's server. `keys` may be changed at any time; `body` replaces the whole answer."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = dict(KEYS)
        self.status = 200
        self.body: bytes | None = None
        self.fields: dict[str, str] = {}
        self.fetches = 0
        self.gate = threading.Event()  # while it is not set, answers wait
        self.gate.set()
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/jwks.json"

    def set_text(self) -> bytes:
        return json.dumps({"keys": [jwk(kid, key) for kid, key in self.keys.items()]}).encode()

    def up(self) -> None:
        """Listen, on the same port as before."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetches += 1
                issuer.gate.wait(30.0)
                body = issuer.set_text() if issuer.body is None else issuer.body
                self.send_response(issuer.status)
                self.send_header("content-length", str(len(body)))
                for name, value in issuer.fields.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):  # who asked has gone
                    self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        self.gate.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer from start to end."""
    issuer = Issuer()
    issuer.up()
    try:
        yield issuer
    finally:
        issuer.down()


def rules(url: str, **changed: Any) -> dict[str, Any]:
    """The `jwt` part of gateway.json."""
    usual = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks_url": url,
        "algorithms": ["RS256", "ES256", "EdDSA"],
        "tenant_claim": "tenant",
        "role_claim": "role",
        "leeway_s": 30.0,
        "stale_for_s": 3600.0,
    }
    return {**usual, **changed}
