"""Tokens that somebody might try: each should be refused. Built from good keys and claims, and wrong in one thing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .issuer import EC_KEY, ED_KEY, RSA_KEY, b64, claims, jwk, raw_token, sign, token

FOREIGN_RSA = rsa.generate_private_key(65537, 2048)
FOREIGN_EC = ec.generate_private_key(ec.SECP256R1())
FOREIGN_ED = ed25519.Ed25519PrivateKey.generate()
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
NOW = int(time.time())


def header(**fields: Any) -> str:
    return json.dumps({"alg": "RS256", "kid": "rsa", "typ": "JWT", **fields})


def unsigned(head: str, signature: bytes = b"", payload: str | None = None) -> str:
    told = json.dumps(claims()) if payload is None else payload
    return f"{b64(head.encode())}.{b64(told.encode())}.{b64(signature)}"


def none_in_all_spellings() -> Iterator[tuple[str, str]]:
    signature = token().split(".")[2]
    for letters in itertools.product(*zip("none", "NONE", strict=True)):
        name = "".join(letters)
        bare = unsigned(header(alg=name))
        yield f"alg {name}", bare
        yield f"alg {name} with a signature", bare + signature
    for name in ("", " none", "none ", "null", "no\u0000ne", "ｎone"):  # the last in full width
        yield f"alg {name!r}", unsigned(header(alg=name))
    for value in (None, 0, False, [], ["RS256"], {"alg": "RS256"}):
        yield f"alg is {value}", unsigned(header(alg=value))
    yield "no alg", unsigned(json.dumps({"kid": "rsa"}))
    yield "alg with two dots", unsigned(header(alg="none")).rstrip(".")


def confused() -> Iterator[tuple[str, str]]:
    """The public key, which everybody has, used as the secret of an HMAC."""
    public = RSA_KEY.public_key()
    secrets = {
        "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "PKCS1": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "JWK": json.dumps(jwk("rsa", RSA_KEY)).encode(),
        "nothing": b"",
    }
    for algorithm, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
        for name, secret in secrets.items():
            body = unsigned(header(alg=algorithm)).rstrip(".")
            yield f"{algorithm} with the public key as {name}", f"{body}.{b64(mac(secret, body, digest))}"
    pss = RSA_KEY.sign(
        (body := unsigned(header(alg="PS256")).rstrip(".")).encode(),
        padding.PSS(padding.MGF1(hashes.SHA256()), 32),
        hashes.SHA256(),
    )
    yield "PS256, which is not allowed", f"{body}.{b64(pss)}"
    sha1 = RSA_KEY.sign(unsigned(header()).rstrip(".").encode(), padding.PKCS1v15(), hashes.SHA1())
    yield "RS256 over SHA-1", unsigned(header(), sha1)
    for algorithm in ("rs256", "RS256 ", "RS1", "ES256K", "ES384", "EdDSA", "ES256", "HS256"):
        yield f"{algorithm} named over an RS256 signature", raw_token(header(alg=algorithm), payload(), RSA_KEY)
    yield "RS256 with the kid of the EC key", raw_token(header(kid="ec"), payload(), RSA_KEY)
    yield "ES256 with the kid of the RSA key", raw_token(header(alg="ES256"), payload(), EC_KEY)


def mac(secret: bytes, body: str, digest: Any) -> bytes:
    return hmac.new(secret, body.encode(), digest).digest()


def payload(**changed: Any) -> str:
    return json.dumps(claims(**changed))


def strange_kids() -> Iterator[tuple[str, str]]:
    empty_mac = {"alg": "HS256"}
    for kid in (
        "../../../../dev/null",
        "/dev/null",
        "..\\..\\nul",
        "rsa' UNION SELECT 'secret",
        "rsa; cat /etc/passwd",
        "| id",
        "http://127.0.0.1/jwks.json",
        "file:///dev/null",
        "rsa\u0000",
        "rsa ",
        "RSA",
        "x" * 5000,
        "",
        "\ud800",
    ):
        shown = kid[:20].encode("ascii", "backslashreplace").decode()
        yield f"kid {shown}", raw_token(header(kid=kid), payload(), FOREIGN_RSA)
        body = unsigned(json.dumps({**empty_mac, "kid": kid})).rstrip(".")
        yield f"kid {shown} and an HMAC with no key", f"{body}.{b64(mac(b'', body, hashlib.sha256))}"
    for value in (None, 1, ["rsa"], {"kid": "rsa"}, True, ""):
        yield f"kid is {value}", raw_token(header(kid=value), payload(), RSA_KEY)


def keys_that_they_bring(url: str) -> Iterator[tuple[str, str]]:
    """`url` serves the attacker's key set."""
    own = jwk("own", FOREIGN_RSA)
    chain = [base64.b64encode(b"not even a certificate").decode()]
    for kid in ("rsa", "own"):
        yield f"jku, kid {kid}", raw_token(header(kid=kid, jku=url), payload(), FOREIGN_RSA)
        yield f"x5u, kid {kid}", raw_token(header(kid=kid, x5u=url), payload(), FOREIGN_RSA)
        yield f"jwk, kid {kid}", raw_token(header(kid=kid, jwk=own), payload(), FOREIGN_RSA)
        yield f"x5c, kid {kid}", raw_token(header(kid=kid, x5c=chain), payload(), FOREIGN_RSA)
    without = {"alg": "RS256", "jwk": own}
    yield "jwk, no kid", raw_token(json.dumps(without), payload(), FOREIGN_RSA)
    yield "iss with the attacker's own", raw_token(header(kid="own"), payload(iss=url), FOREIGN_RSA)
    for name, key in (("rsa", FOREIGN_RSA), ("ec", FOREIGN_EC), ("ed", FOREIGN_ED)):
        yield f"a foreign key by the name {name}", token(name, key=key)


def extensions() -> Iterator[tuple[str, str]]:
    for value in (["exp"], ["b64"], [], ["crit"], "exp", None, ["http://example.com/x"]):
        yield f"crit {value}", raw_token(header(crit=value), payload(), RSA_KEY)
    for encoded in (False, True, None):
        yield f"b64 {encoded}", raw_token(header(b64=encoded, crit=["b64"]), payload(), RSA_KEY)
        yield f"b64 {encoded}, not critical", raw_token(header(b64=encoded), payload(), RSA_KEY)
    head = b64(header(b64=False, crit=["b64"]).encode())
    plain = f"{head}.{payload()}"
    yield "b64 false with a plain payload", f"{plain}.{b64(sign(RSA_KEY, plain.encode()))}"
    for kind in ("logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "", 1, None):
        yield f"typ {kind}", raw_token(header(typ=kind), payload(), RSA_KEY)


def said_twice() -> Iterator[tuple[str, str]]:
    head = header()
    for name, twice in {
        "alg": '{"alg": "none", "alg": "RS256", "kid": "rsa"}',
        "alg, the other way round": '{"alg": "RS256", "kid": "rsa", "alg": "none"}',
        "alg, escaped": '{"alg": "RS256", "kid": "rsa", "\\u0061lg": "RS256"}',
        "kid": '{"alg": "RS256", "kid": "ec", "kid": "rsa"}',
    }.items():
        yield f"{name} twice", raw_token(twice, payload(), RSA_KEY)
    for name, value in (("tenant", "other"), ("role", "admin"), ("exp", NOW + 9999), ("aud", "fairlead"), ("sub", "x")):
        twice = payload()[:-1] + f', "{name}": {json.dumps(value)}}}'
        yield f"{name} twice", raw_token(head, twice, RSA_KEY)
    nested = payload()[:-1] + ', "deep": {"a": 1, "a": 2}}'
    yield "a claim inside another twice", raw_token(head, nested, RSA_KEY)


def times_and_places() -> Iterator[tuple[str, str]]:
    for name, said in {
        "expired": {"exp": NOW - 3600},
        "expired as a fraction": {"exp": NOW - 3600.5},
        "never expires": {"exp": None},
        "expires as text": {"exp": str(NOW + 600)},
        "expires as a truth": {"exp": True},
        "expires as a list": {"exp": [NOW + 600]},
        "expires before 1970": {"exp": -1},
        "expires in milliseconds": {"exp": NOW * 1000},
        "not yet valid": {"nbf": NOW + 3600},
        "not before as text": {"nbf": "0"},
        "not before as a truth": {"nbf": True},
        "issued tomorrow": {"iat": NOW + 86_400},
        "issued as text": {"iat": "now"},
        "another audience": {"aud": "other"},
        "an audience that begins alike": {"aud": "fairlead-staging"},
        "other audiences": {"aud": ["other", "another"]},
        "audiences within audiences": {"aud": [["fairlead"]]},
        "an audience as an object": {"aud": {"fairlead": True}},
        "no audience": {"aud": None},
        "an empty list of audiences": {"aud": []},
        "an audience in capitals": {"aud": "FAIRLEAD"},
        "another issuer": {"iss": "https://issuer.test.evil.example"},
        "the issuer with a slash": {"iss": "https://issuer.test/"},
        "issuers in a list": {"iss": ["https://issuer.test"]},
        "no issuer": {"iss": None},
        "no tenant": {"tenant": None},
        "an empty tenant": {"tenant": ""},
        "a tenant of two lines": {"tenant": "acme\nother"},
        "tenants in a list": {"tenant": ["acme"]},
        "a tenant as a number": {"tenant": 1},
        "a very long tenant": {"tenant": "a" * 200},
    }.items():
        yield name, token(**said)  # type: ignore[arg-type]
    for name, text in {
        "expires at infinity": payload()[:-1].replace(f'"exp": {claims()["exp"]}', '"exp": Infinity') + "}",
        "expires at 1e400": json.dumps({**claims(exp=None)})[:-1] + ', "exp": 1e400}',
        "expires at NaN": json.dumps({**claims(exp=None)})[:-1] + ', "exp": NaN}',
        "a number of 5,000 digits": json.dumps({**claims(exp=None)})[:-1] + ', "exp": ' + "9" * 5000 + "}",
        "a list": json.dumps([claims()]),
        "text": json.dumps("alice"),
        "nothing": "",
        "two objects": payload() + payload(),
        "brackets, thousands deep": "[" * 4000,
    }.items():
        yield f"the payload: {name}", raw_token(header(), text, RSA_KEY)


def signatures() -> Iterator[tuple[str, str]]:
    zero, order = (0).to_bytes(32), P256_ORDER.to_bytes(32)
    for name, value in {
        "r = s = 0": zero + zero,
        "r = 0": zero + (1).to_bytes(32),
        "s = 0": (1).to_bytes(32) + zero,
        "r = s = 1": (1).to_bytes(32) * 2,
        "r = s = n": order + order,
        "r = n, s = 0": order + zero,
        "DER": EC_KEY.sign(unsigned(header(alg="ES256", kid="ec")).rstrip(".").encode(), ec.ECDSA(hashes.SHA256())),
        "none": b"",
        "half": zero,
        "one and a half": zero * 3,
    }.items():
        yield f"ES256: {name}", unsigned(header(alg="ES256", kid="ec"), value)
    for name, value in {"none": b"", "zeros": bytes(256), "one": (1).to_bytes(256), "short": b"\x01"}.items():
        yield f"RS256: {name}", unsigned(header(), value)
    for name, value in {"none": b"", "zeros": bytes(64), "identity": (1).to_bytes(1) + bytes(63)}.items():
        yield f"EdDSA: {name}", unsigned(header(alg="EdDSA", kid="ed"), value)
    ed = sign(ED_KEY, b"another message")
    yield "EdDSA over another message", unsigned(header(alg="EdDSA", kid="ed"), ed)


def mangled() -> Iterator[tuple[str, str]]:
    good = token()
    head, body, signature = good.split(".")
    other = b64(payload(tenant="other").encode())
    unused_bits = {"A": "B", "Q": "R", "g": "h", "w": "x"}[signature[-1]]  # decodes to the same bytes elsewhere
    yield from {
        "another payload": f"{head}.{other}.{signature}",
        "another header": f"{b64(header(x=1).encode())}.{body}.{signature}",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.{signature}",
        "five parts, as if encrypted": f"{head}.{body}.{signature}.{body}.{signature}",
        "an empty header": f".{body}.{signature}",
        "an empty payload": f"{head}..{signature}",
        "padding": f"{head}.{body}.{signature}==",
        "plain base64": f"{head}.{body}.{signature[:-4]}+/+/",
        "a dot at the end": f"{good}.",
        "unused bits set": f"{head}.{body}.{signature[:-1]}{unused_bits}",
        "as a JSON object": json.dumps({"protected": head, "payload": body, "signature": signature}).replace(" ", ""),
        "12 KiB and more": token(filler="x" * 10_000),
        "another word": "let-me-in",
    }.items()


def attacks(url: str) -> dict[str, str]:
    """Every attack by name. `url` serves the attacker's key set."""
    kinds = (
        none_in_all_spellings(),
        confused(),
        strange_kids(),
        keys_that_they_bring(url),
        extensions(),
        said_twice(),
        times_and_places(),
        signatures(),
        mangled(),
    )
    return {name: made for kind in kinds for name, made in kind}
