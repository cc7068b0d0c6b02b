"""The issuer's key set: fetched seldom, by one at a time, and only what is a key set counts. The clock is ours."""

from __future__ import annotations

import asyncio
import json
import ssl
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from fairlead.gateway.config import Jwt
from fairlead.gateway.head import Refused
from fairlead.gateway.keyset import MIN_GAP_S, REFRESH_EVERY_S, KeySet
from fairlead.gateway.tokens import Tokens

from .issuer import EC_KEY, ED_KEY, RSA_KEY, Issuer, b64, issuing, jwk, rules, token
from .papers import Authority

STALE_FOR_S = 3600.0


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A key set with its clock and the events that it told."""

    def __init__(self, issuer: Issuer, stale_for_s: float = STALE_FOR_S) -> None:
        self.clock = Clock()
        self.told: list[str] = []
        self.set = KeySet(issuer.url, stale_for_s, self.clock, self.told.append)

    async def fetched(self) -> None:
        """Ask, and wait for the fetch if there is one."""
        fetch = self.set.refetch()
        if fetch is not None:
            await fetch

    async def ticked(self) -> None:
        self.set.tick()
        await self.fetched()

    def later(self, seconds: float) -> None:
        self.clock.now += seconds


def run(story: Callable[[Issuer, Watched], Awaitable[None]], stale_for_s: float = STALE_FOR_S) -> None:
    with issuing() as issuer:
        asyncio.run(_told(story, issuer, stale_for_s))


async def _told(story: Callable[[Issuer, Watched], Awaitable[None]], issuer: Issuer, stale_for_s: float) -> None:
    await story(issuer, Watched(issuer, stale_for_s))


def test_however_often_it_is_asked_there_is_one_fetch_in_ten_seconds() -> None:
    async def story(issuer: Issuer, keys: Watched) -> None:
        for _ in range(50):
            await keys.fetched()
            keys.later(MIN_GAP_S / 100)
        assert issuer.fetches == 1
        keys.later(MIN_GAP_S)
        await asyncio.gather(*(keys.fetched() for _ in range(50)))
        assert issuer.fetches == 2

    run(story)


def test_failing_fetches_keep_their_distance_too() -> None:
    async def story(issuer: Issuer, keys: Watched) -> None:
        issuer.status = 500
        for _ in range(100):
            await keys.ticked()
            keys.later(MIN_GAP_S / 10)
        assert issuer.fetches == 10
        assert keys.set.fetched == {"ok": 0, "failed": 10}
        assert keys.told == ["key_set_failed"]  # once, until something else is wrong
        assert not keys.set.usable()

    run(story)


def test_it_is_fetched_again_when_it_is_old() -> None:
    async def story(issuer: Issuer, keys: Watched) -> None:
        await keys.ticked()
        keys.later(REFRESH_EVERY_S - 1)
        keys.set.tick()
        assert issuer.fetches == 1
        issuer.keys = {"new": RSA_KEY}
        keys.later(1)
        await keys.ticked()
        assert issuer.fetches == 2
        assert list(keys.set.keys) == ["new"]  # and those that are gone no longer count
        assert keys.told == ["key_set_changed", "key_set_changed"]

    run(story)


def test_a_short_patience_means_fetching_more_often() -> None:
    """Else keys would grow too old while their issuer is well."""

    async def story(issuer: Issuer, keys: Watched) -> None:
        await keys.ticked()
        for _ in range(60):
            keys.later(5)
            await keys.ticked()
            assert keys.set.usable()
        assert keys.told == ["key_set_changed"]

    run(story, stale_for_s=60.0)


def test_the_last_keys_serve_for_a_while_and_no_longer() -> None:
    async def story(issuer: Issuer, keys: Watched) -> None:
        await keys.ticked()
        issuer.down()
        keys.later(STALE_FOR_S - 1)
        await keys.ticked()
        assert keys.set.usable()
        assert keys.set.failing
        keys.later(1)
        await keys.ticked()
        assert not keys.set.usable()
        assert keys.told == ["key_set_changed", "key_set_failed", "key_set_stale"]
        issuer.up()
        keys.later(MIN_GAP_S)
        await keys.ticked()
        assert keys.set.usable()
        assert keys.told[3:] == ["key_set_changed"]

    run(story)


GOOD = jwk("rsa", RSA_KEY)
WEAK = jwk("weak", rsa.generate_private_key(65537, 1024))
UNFIT: dict[str, dict[str, Any]] = {
    "a secret": {"kty": "oct", "k": "AAAA", "kid": "x"},
    "a private key": {**jwk("x", EC_KEY), "d": b64(EC_KEY.private_numbers().private_value.to_bytes(32))},
    "a short RSA key": WEAK,
    "a key for encryption": {**jwk("x", RSA_KEY), "use": "enc"},
    "a key to wrap with": {**jwk("x", RSA_KEY, key_ops=["wrapKey"]), "use": None},
    "a point off the curve": {**jwk("x", EC_KEY), "y": jwk("x", EC_KEY)["x"]},
    "an unknown curve": {**jwk("x", ED_KEY), "crv": "Ed9"},
    "half a key": {"kty": "RSA", "kid": "x", "n": GOOD["n"]},
    "a kid that is none": {**GOOD, "kid": 7},
}


@pytest.mark.parametrize("entry", UNFIT.values(), ids=UNFIT)
def test_what_is_no_key_for_signatures_is_left_out(entry: dict[str, Any]) -> None:
    async def story(issuer: Issuer, keys: Watched) -> None:
        issuer.body = json.dumps({"keys": [entry, GOOD, "no key at all", None]}).encode()
        await keys.fetched()
        assert {kid: len(group) for kid, group in keys.set.keys.items()} == {"rsa": 1}

    run(story)


USELESS: dict[str, bytes] = {
    "nothing": b"",
    "a page": b"<html>not found</html>",
    "a list": json.dumps([GOOD]).encode(),
    "no keys": b"{}",
    "an empty set": b'{"keys": []}',
    "keys that are none": b'{"keys": {"rsa": 1}}',
    "keys said twice": b'{"keys": [], "keys": [%s]}' % json.dumps(GOOD).encode(),
    "weak ones alone": json.dumps({"keys": [WEAK]}).encode(),
    "hundreds": json.dumps({"keys": [{**GOOD, "kid": str(n)} for n in range(201)]}).encode(),
    "more than a mebibyte": json.dumps({"keys": [GOOD], "filler": "x" * 2**20}).encode(),
    "not UTF-8": b'{"keys": "\xff"}',
}


@pytest.mark.parametrize("body", USELESS.values(), ids=USELESS)
def test_an_answer_that_is_no_key_set_changes_nothing(body: bytes) -> None:
    async def story(issuer: Issuer, keys: Watched) -> None:
        await keys.fetched()
        before = keys.set.keys
        issuer.body = body
        keys.later(MIN_GAP_S)
        await keys.fetched()
        assert issuer.fetches == 2
        assert keys.set.keys is before
        assert keys.set.usable()
        assert keys.set.failing

    run(story)


def test_over_tls_the_issuer_has_to_be_who_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = Authority(tmp_path)

    async def fetched(host: str) -> tuple[bool, str]:
        issuer = Issuer()
        issuer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.tls.load_cert_chain(*ca.sign("issuer", host))
        issuer.up()
        try:
            keys = Watched(issuer)
            await keys.fetched()
            return keys.set.usable(), keys.set.trouble
        finally:
            issuer.down()

    assert asyncio.run(fetched("127.0.0.1")) == (False, "ConnectError")  # by an authority that nobody knows
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.path))
    assert asyncio.run(fetched("127.0.0.1")) == (True, "")
    assert asyncio.run(fetched("other.example.com")) == (False, "ConnectError")


def test_an_unknown_key_while_fetches_fail_is_not_the_callers_fault() -> None:
    """It may be a new one of the issuer's, and nobody can say."""

    async def story(issuer: Issuer, keys: Watched) -> None:
        tokens = Tokens(msgspec.convert(rules(issuer.url), Jwt), keys.set)
        unknown = token(head={"kid": "new"}).encode()

        def status() -> int:
            with pytest.raises(Refused) as refused:
                tokens.caller_of(unknown, no_tables, 0.0)
            return refused.value.refusal.status

        await keys.fetched()
        assert status() == 401
        issuer.down()
        keys.later(MIN_GAP_S)
        await keys.fetched()
        assert keys.set.usable()
        assert status() == 503

    no_tables: Any = None  # it does not come to that
    run(story)


def test_no_redirect_is_followed_and_nothing_is_unpacked() -> None:
    async def story(issuer: Issuer, keys: Watched) -> None:
        with issuing() as elsewhere:
            issuer.status, issuer.fields = 302, {"location": elsewhere.url}
            await keys.fetched()
            assert elsewhere.fetches == 0
            assert keys.set.trouble == "status 302"
        issuer.status, issuer.fields = 200, {"content-encoding": "deflate"}
        issuer.body = zlib.compress(json.dumps({"keys": [GOOD], "filler": "x" * 10_000_000}).encode())
        keys.later(MIN_GAP_S)
        await keys.fetched()
        assert not keys.set.usable()

    run(story)
