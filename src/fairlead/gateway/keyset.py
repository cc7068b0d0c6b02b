"""The issuer's keys: fetched in the background, one fetch at a time, and never two within ten seconds.

While they cannot be fetched the last ones serve for `stale_for`. After that nobody can say whether a token is good,
which is our trouble and not the caller's: 503, never 401.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httpx  # not quick, but no request waits for it; this module is only imported where tokens are taken
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from fairlead.gateway.jwt import MAX_KID, Keys
from fairlead.gateway.strict import Unreadable, from_base64url, read_object

REFRESH_EVERY_S = 300.0
MIN_GAP_S = 10.0  # between the starts of two fetches, whatever asks for them: unknown kids, failures, age
FETCH_TIMEOUT_S = 5.0
MAX_SET_BYTES = 1024 * 1024
MAX_KEYS = 200
MIN_RSA_BITS = 2048
SMALL_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)  # where the powers are few
ROCA = {prime: frozenset(pow(65537, power, prime) for power in range(prime - 1)) for prime in SMALL_PRIMES}
HEADERS = {"accept": "application/json", "accept-encoding": "identity"}  # so that MAX_SET_BYTES holds for what is read
PUBLIC_TYPES = frozenset({"RSA", "EC", "OKP"})
PRIVATE_PARTS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class NoKeySet(Exception):
    """The answer is no key set, or there was none; says why."""


class KeySet:
    """The keys at one URL. `changed` is told an event for the log: other keys count, or none, or a fetch failed."""

    def __init__(self, url: str, stale_for_s: float, now: Callable[[], float], changed: Callable[[str], None]) -> None:
        self.url = url
        self.keys: Keys = {}
        self.fetched = {"ok": 0, "failed": 0}
        self.fetched_at: float | None = None  # monotonic time of the last good fetch
        self.begun_at = now()
        self.failing = False  # the last fetch failed: what is unknown now may be known to the issuer
        self.trouble = ""
        self.now = now
        self._stale_for_s = stale_for_s
        self._refresh_every_s = min(REFRESH_EVERY_S, stale_for_s / 2)
        self._changed = changed
        self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._was_usable = False
        self._body = b""

    @property
    def age_s(self) -> float | None:
        """Seconds since the last good fetch."""
        return None if self.fetched_at is None else self.now() - self.fetched_at

    def usable(self) -> bool:
        """Whether tokens can be judged now."""
        age = self.age_s
        return age is not None and age < self._stale_for_s

    def refetch(self) -> asyncio.Task[None] | None:
        """The fetch under way, or a new one if the last is long enough ago; None when one has to wait."""
        if self._fetching is None and self.now() - self._tried_at >= MIN_GAP_S:
            self._tried_at = self.now()
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())
        return self._fetching

    def tick(self) -> None:
        """Fetch when it is time to, and notice when the keys have become too old. Called a few times a second."""
        age = self.age_s
        if age is None or age >= self._refresh_every_s or self.failing:
            self.refetch()
        if self._was_usable and not self.usable():
            self._was_usable = False
            self._changed("key_set_stale")

    def close(self) -> None:
        """End the fetch under way."""
        if self._fetching is not None:
            self._fetching.cancel()

    async def _fetch(self) -> None:
        try:
            body = await get(self.url)
            keys = keys_of(body)
        except NoKeySet as error:
            self.fetched["failed"] += 1
            is_news = self.trouble != str(error)
            self.failing, self.trouble = True, str(error)
            if is_news:
                self._changed("key_set_failed")
            return
        finally:
            self._fetching = None
        self.fetched["ok"] += 1
        self.failing, self.trouble = False, ""
        self.fetched_at = self.now()
        if body != self._body or not self._was_usable:
            self.keys, self._body, self._was_usable = keys, body, True
            self._changed("key_set_changed")


def keys_of(body: bytes) -> Keys:
    """The public keys of a set that can check signatures, by kid. Raises NoKeySet."""
    try:
        entries = read_object(body).get("keys")
    except Unreadable as error:
        raise NoKeySet(f"the answer cannot be read: {error}") from error
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise NoKeySet("the answer is no key set")
    keys: defaultdict[str, list[Key]] = defaultdict(list)
    for entry in entries:
        key = key_of(entry)
        if key is not None:
            keys[key.kid or ""].append(key)
    if not keys:
        raise NoKeySet("the answer holds no key that checks signatures")
    return dict(keys)


def key_of(entry: Any) -> Key | None:
    """One key of a set; None for what is no public key, or too weak. A set may hold keys for other purposes."""
    if not isinstance(entry, dict) or entry.get("kty") not in PUBLIC_TYPES or PRIVATE_PARTS & entry.keys():
        return None
    kid = entry.get("kid", "")
    if not isinstance(kid, str) or len(kid) > MAX_KID:
        return None
    try:
        if entry["kty"] == "RSA" and is_weak(int.from_bytes(from_base64url(entry["n"].encode()))):
            return None
        key = import_key(entry)
        key.check_use("sig")
        key.check_key_op("verify")
    except (JoseError, Unreadable, ValueError, TypeError, KeyError, AttributeError):
        return None
    return key


def is_weak(modulus: int) -> bool:
    """Whether an RSA key is short, or of the kind that can be factored (ROCA, CVE-2017-15361).

    Such a modulus is a power of 65537 modulo every small prime, by its maker's mistake; another one is with a chance
    of some 2^-27. Nemec et al., "The Return of Coppersmith's Attack", 2017.
    """
    return modulus.bit_length() < MIN_RSA_BITS or all(modulus % prime in powers for prime, powers in ROCA.items())


async def get(url: str) -> bytes:
    """The body at a URL. Raises NoKeySet. No redirects: they could lead away from TLS."""
    tls: ssl.SSLContext | bool = trusted() if url.startswith("https:") else False
    body = b""
    try:
        async with (
            asyncio.timeout(FETCH_TIMEOUT_S),
            httpx.AsyncClient(verify=tls, trust_env=False, timeout=FETCH_TIMEOUT_S) as client,
            client.stream("GET", url, headers=HEADERS) as answer,
        ):
            if answer.status_code != 200:
                raise NoKeySet(f"status {answer.status_code}")
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > MAX_SET_BYTES:
                    raise NoKeySet("the answer is too large")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # not shown: the URL may come from a variable
        raise NoKeySet(type(error).__name__) from error
    return body


def trusted() -> ssl.SSLContext:
    """The authorities of this machine; OpenSSL's own SSL_CERT_FILE names others."""
    return ssl.create_default_context()
