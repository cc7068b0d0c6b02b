"""A token is taken only if every part of it says so: read strictly, checked with a key of *our* set, then its claims.

The token chooses neither its key's address nor its algorithm: `jku`, `jwk`, `x5u` and `x5c` are never looked at, and
an algorithm counts only where the file allows it and the key fits it. The cryptography is joserfc's: docs/adr/.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from fairlead.gateway.config import Jwt
from fairlead.gateway.strict import Unreadable, from_base64url, read_object

MAX_BYTES = 12 * 1024
MAX_KID = 256
TYPES = frozenset({"jwt", "at+jwt"})  # a token made for something else (logout, DPoP, an event) is no access token
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}", re.ASCII)
Keys = Mapping[str, Sequence[Key]]
"""Keys by kid; those without one under ""."""


class Rejected(Exception):
    """The token is not taken; the reason may be told to the caller. `rule` is the field of access.jwt that decides."""

    def __init__(self, reason: str, rule: str = "") -> None:
        super().__init__(reason)
        self.rule = rule


class Expired(Rejected):
    """It was good once."""


class UnknownKey(Rejected):
    """No key of the set has this kid: perhaps the set has changed."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it was read; nothing in it is true yet."""

    algorithm: str
    kid: str
    signed: bytes
    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token speaks for. `roles` as the issuer lists them; `expires_at` since 1970, leeway included."""

    key_id: str
    tenant: str
    roles: tuple[str, ...]
    expires_at: float


def identify(token: bytes, keys: Keys, rules: Jwt, wall_now: float) -> Identity:
    """Who a token speaks for. Raises Rejected."""
    payload = verified(token, keys, rules.algorithms)
    try:
        claims = read_object(payload)
    except Unreadable as error:
        raise Rejected(str(error)) from error
    return identity(claims, rules, wall_now)


def verified(token: bytes, keys: Keys, algorithms: Sequence[str]) -> bytes:
    """The payload of a token that a key of the set has signed. Raises Rejected, UnknownKey."""
    told = presented(token, algorithms)
    candidates = candidates_of(told, keys)
    if not candidates:
        raise UnknownKey("its key is not in the issuer's key set", "jwks_url")
    if not any(has_signed(key, told) for key in candidates):
        raise Rejected("its signature is wrong", "jwks_url")
    return told.payload


def presented(token: bytes, algorithms: Sequence[str]) -> Token:
    """A token that may be good: what can be said without a key. Raises Rejected."""
    try:
        told = read_token(token)
    except Unreadable as error:
        raise Rejected(str(error)) from error
    if told.algorithm not in algorithms:
        raise Rejected("its algorithm is not allowed", "algorithms")
    return told


def read_token(token: bytes) -> Token:
    """The parts of a token in compact form. Raises Unreadable."""
    parts = token.split(b".")
    if len(parts) != 3 or len(token) > MAX_BYTES:
        raise Unreadable("it is no signed token in compact form")
    header = read_object(from_base64url(parts[0]))
    if "crit" in header or "b64" in header:
        raise Unreadable("its header demands an extension")
    algorithm, kid, kind = header.get("alg"), header.get("kid", ""), header.get("typ", "JWT")
    if not isinstance(algorithm, str):
        raise Unreadable("its header names no algorithm")
    if not isinstance(kid, str) or len(kid) > MAX_KID or (kid == "" and "kid" in header):
        raise Unreadable("its header's kid is no name of a key")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in TYPES:
        raise Unreadable("its type is not that of an access token")
    signed = parts[0] + b"." + parts[1]
    return Token(algorithm, kid, signed, from_base64url(parts[1]), from_base64url(parts[2]))


def candidates_of(told: Token, keys: Keys) -> list[Key]:
    """The keys that may have signed it: of its kid; without a kid any that fits, if that is one alone."""
    if told.kid:
        return [key for key in keys.get(told.kid, ()) if fits(key, told.algorithm)]
    fitting = [key for group in keys.values() for key in group if fits(key, told.algorithm)]
    return fitting if len(fitting) == 1 else []


def fits(key: Key, algorithm: str) -> bool:
    """Whether a key is meant for this algorithm: its type, curve, `alg`, `use` and `key_ops`."""
    model = JWSRegistry.algorithms[algorithm]
    try:
        model.check_key(key)
        key.check_use("sig")
        key.check_alg(algorithm)
        key.check_key_op("verify")
    except JoseError:
        return False
    return True


def has_signed(key: Key, told: Token) -> bool:
    """Whether the signature is this key's."""
    try:
        return JWSRegistry.algorithms[told.algorithm].verify(told.signed, told.signature, key)
    except (JoseError, ValueError):  # a signature that is not even one: of another length, or r = s = 0
        return False


def identity(claims: Mapping[str, Any], rules: Jwt, wall_now: float) -> Identity:
    """What verified claims say, if they are for us and for now. Raises Rejected."""
    if claims.get("iss") != rules.issuer:
        raise Rejected("it is from another issuer", "issuer")
    audience = claims.get("aud")
    if audience != rules.audience and not (isinstance(audience, list) and rules.audience in audience):
        raise Rejected("it is for another audience", "audience")
    expires_at = moment(claims, "exp")
    if expires_at is None:
        raise Rejected("it never expires")
    if expires_at + rules.leeway_s <= wall_now:
        raise Expired("it has expired", "leeway")
    for name in ("nbf", "iat"):
        begin = moment(claims, name)
        if begin is not None and begin - rules.leeway_s > wall_now:
            raise Rejected("it is not valid yet", "leeway")
    tenant = claim(claims, rules.tenant_claim)
    if not isinstance(tenant, str) or not TENANT.fullmatch(tenant):
        raise Rejected("it does not name its tenant", "tenant_claim")
    roles = claim(claims, rules.role_claim)
    named = roles if isinstance(roles, list) else [roles]
    known = tuple(role for role in named if isinstance(role, str))
    return Identity(key_id_of(claims, tenant), tenant, known, expires_at + rules.leeway_s)


def moment(claims: Mapping[str, Any], name: str) -> float | None:
    """A time in seconds since 1970; None where the token says none. Raises Rejected for what is no time."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise Rejected(f"its {name} is no time")
    return float(value)


def claim(claims: Mapping[str, Any], path: str) -> object:
    """The claim of this name; else what a dotted path leads to, as in realm_access.roles."""
    if path in claims:
        return claims[path]
    value: object = claims
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def key_id_of(claims: Mapping[str, Any], tenant: str) -> str:
    """A name for the subject in the books: the same for all its tokens, and not its name in clear."""
    subject = claims.get("sub")
    named = "\0".join((str(claims.get("iss")), subject if isinstance(subject, str) else tenant))
    return f"jwt-{hashlib.sha256(named.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
