"""A stand-in for the declared issuer: nobody but the issuer can sign its tokens, so a proof brings keys of its own.

Everything else of `access.jwt` is as declared: issuer, audience, algorithms, claims, leeway.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from fairlead.spec.types import Jwt

CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
LIFE_S = 600
Told = dict[str, Any]


@dataclass
class Issuer:
    """Keys by algorithm, the URL of their set, and how often it was fetched."""

    rules: Jwt
    keys: Mapping[str, Key]
    url: str = ""
    fetches: int = 0
    server: asyncio.Server | None = None

    def token(
        self, algorithm: str, role: str, said: Told | None = None, *, head: Told | None = None, key: Key | None = None
    ) -> str:
        """A token as the issuer would sign it; `head` and `said` change its parts, None takes a claim out."""
        header = {"alg": algorithm, "kid": algorithm, "typ": "JWT", **(head or {})}
        payload = {name: value for name, value in (self.claims(role) | (said or {})).items() if value is not None}
        return signed(json.dumps(header), json.dumps(payload), algorithm, key or self.keys[algorithm])

    def claims(self, role: str) -> Told:
        """What a good token says."""
        now = int(time.time())
        usual = {"iss": self.rules.issuer, "aud": self.rules.audience, "sub": "prove", "iat": now, "exp": now + LIFE_S}
        return nested(usual, {self.rules.tenant_claim: "prove", self.rules.role_claim: role})

    def without(self, claim: str, role: str) -> Told:
        """The change that takes a claim of the rules out of a token."""
        return {claim.partition(".")[0]: None} if claim not in self.claims(role) else {claim: None}

    def key_set(self) -> bytes:
        """The public halves."""
        named = [{**key.as_dict(private=False), "kid": kid, "use": "sig"} for kid, key in self.keys.items()]
        return json.dumps({"keys": named}).encode()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request for the key set."""
        await reader.readuntil(b"\r\n\r\n")
        self.fetches += 1
        body = self.key_set()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async def close(self) -> None:
        """The key set can be fetched no longer."""
        if self.server is not None:
            self.server.close()
            self.server = None


def nested(claims: Told, paths: Mapping[str, str]) -> Told:
    """The claims, with each value where its dotted path leads."""
    for path, value in paths.items():
        *outer, last = path.split(".")
        place = claims
        for step in outer:
            place = place.setdefault(step, {})
        place[last] = value
    return claims


def signed(header: str, payload: str, algorithm: str, key: Key) -> str:
    """A token in compact form."""
    text = f"{encoded(header.encode())}.{encoded(payload.encode())}"
    return f"{text}.{encoded(JWSRegistry.algorithms[algorithm].sign(text.encode(), key))}"


def encoded(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def key_for(algorithm: str) -> Key:
    """A new private key."""
    if algorithm in CURVES:
        return ECKey.generate_key(CURVES[algorithm])
    return OKPKey.generate_key("Ed25519") if algorithm.startswith("Ed") else RSAKey.generate_key(2048)


@asynccontextmanager
async def issuing(rules: Jwt) -> AsyncIterator[Issuer]:
    """An issuer on the loopback address, from start to end."""
    keys: dict[str, Key] = {algorithm: await asyncio.to_thread(key_for, algorithm) for algorithm in rules.algorithms}
    issuer = Issuer(rules, keys)
    issuer.server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    port = issuer.server.sockets[0].getsockname()[1]
    issuer.url = f"http://127.0.0.1:{port}/{secrets.token_hex(8)}"
    try:
        yield issuer
    finally:
        await issuer.close()
