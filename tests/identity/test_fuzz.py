"""Whatever stands where a token should be, it is refused or it is a good token; nothing else ever happens."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fairlead.gateway.config import Jwt
from fairlead.gateway.jwt import Identity, Rejected, identify
from fairlead.gateway.keyset import NoKeySet, keys_of

from .issuer import KEYS, RSA_KEY, b64, claims, jwk, raw_token, rules, token

SET = keys_of(json.dumps({"keys": [jwk(kid, key) for kid, key in KEYS.items()]}).encode())
RULES = msgspec.convert(rules("http://127.0.0.1/"), Jwt)
NOW = time.time()
GOOD = token().encode()
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))


def judged(made: bytes | str) -> Identity | None:
    try:
        return identify(made.encode() if isinstance(made, str) else made, SET, RULES, NOW)
    except Rejected:
        return None


@given(st.binary(max_size=400) | st.text(alphabet="eyJ.-_ab=", max_size=200).map(str.encode))
@example(b"..")
@example(b"")
def test_bytes_are_no_token(made: bytes) -> None:
    assert judged(made) is None


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=3))
def test_a_good_token_with_a_changed_byte_is_none(place: int, piece: bytes) -> None:
    changed = GOOD[:place] + piece + GOOD[place + len(piece) :]
    assert (judged(changed) is not None) == (changed == GOOD)


@given(st.sampled_from(sorted(KEYS)), st.binary(max_size=300) | st.binary(min_size=64, max_size=64))
def test_a_signature_of_any_bytes_is_none(name: str, signature: bytes) -> None:
    head, payload, _ = token(name).split(".")
    assert judged(f"{head}.{payload}.{b64(signature)}") is None


@settings(max_examples=60)
@given(JSON, JSON)
def test_signed_nonsense_is_refused(header: Any, payload: Any) -> None:
    assert judged(raw_token(json.dumps(header), json.dumps(payload), RSA_KEY)) is None


@settings(max_examples=60)
@given(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "tenant", "role", "sub"]), JSON)
def test_a_signed_claim_of_any_kind_is_read_or_refused(name: str, value: Any) -> None:
    made = raw_token('{"alg": "RS256", "kid": "rsa"}', json.dumps({**claims(), name: value}), RSA_KEY)
    found = judged(made)
    assert found is None or name in {"exp", "nbf", "iat", "role", "sub", "tenant", "aud"}
    assert found is None or isinstance(found.tenant, str)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c"]), JSON))
@settings(max_examples=60)
def test_a_signed_header_of_any_kind_is_read_or_refused(header: dict[str, Any]) -> None:
    found = judged(raw_token(json.dumps(header), json.dumps(claims()), RSA_KEY))
    assert found is None or header["alg"] == "RS256"


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps({"keys": value}).encode()))
def test_a_key_set_of_any_kind_is_read_or_refused(body: bytes) -> None:
    try:
        keys_of(body)
    except NoKeySet:
        return
