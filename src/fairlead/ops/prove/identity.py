"""Proofs about tokens and TLS. Both try gateways of their own: the other proofs speak plain HTTP and use API keys."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator

from fairlead.ops.prove.books import read
from fairlead.ops.prove.issuer import Issuer, encoded, issuing, key_for, signed
from fairlead.ops.prove.outcome import Outcome
from fairlead.ops.prove.stage import Stage
from fairlead.render.gateway import jwt as rules_of
from fairlead.spec.types import Jwt

UNKNOWN_KEYS = 200
FETCH_EVERY_S = 10.0
STALE_TRIED_S = 4.0
NEVER_S = 15.0
ALL_ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
MODELS = "/v1/models"


async def tokens(stage: Stage) -> Outcome:
    """Good tokens are served, forged and unfit ones are not; the key set is fetched seldom, and may be gone a while."""
    rules = stage.declared.access.jwt
    assert rules is not None
    role = sorted(stage.spec.access.roles)[0]
    async with issuing(rules) as issuer:
        number = await stage.add_gateway(jwt=gateway_rules(rules, issuer))
        good = {algorithm: issuer.token(algorithm, role) for algorithm in rules.algorithms}
        served = [name for name, token in good.items() if await status(stage, number, token) == 200]
        tried = dict(forged(issuer, role))
        let_in = [name for name, token in tried.items() if await status(stage, number, token) not in {401, 403}]
        figure = (
            f"{len(served)} of {len(good)} good ones served, {len(tried) - len(let_in)} of {len(tried)} others refused"
        )
        if let_in or len(served) < len(good):
            return Outcome(False, figure, "; ".join(f"let in: {name}" for name in let_in))
        fetches = await flood(stage, number, issuer, role)
        leaks = leaked(stage, [*good.values(), *tried.values()])
        after = await outage(stage, issuer, role)
    figure += f"; {UNKNOWN_KEYS} unknown keys: {fetches} fetches; key set gone: {', then '.join(map(str, after))}"
    holds = fetches <= 1 and not leaks and after == [200, 503]
    return Outcome(holds, figure, "; ".join(f"a token is in {name}" for name in leaks))


def gateway_rules(rules: Jwt, issuer: Issuer, **changed: object) -> dict[str, object]:
    """The declared rules as gateway.json has them, with the stand-in's key set."""
    return {**(rules_of(rules) or {}), "jwks_url": issuer.url, **changed}


async def status(stage: Stage, number: int, token: str) -> int:
    """How a gateway answers a token."""
    async with stage.client(token, number) as client:
        return (await client.get(MODELS)).status_code


def forged(issuer: Issuer, role: str) -> Iterator[tuple[str, str]]:
    """Tokens that should not be taken, by what is wrong with them."""
    rules, algorithm = issuer.rules, issuer.rules.algorithms[0]
    now, beyond = int(time.time()), int(issuer.rules.leeway) + 60
    header, payload = json.dumps({"alg": "none", "kid": algorithm}), json.dumps(issuer.claims(role))
    bare = f"{encoded(header.encode())}.{encoded(payload.encode())}."
    yield "unsigned", bare
    yield "unsigned, by another spelling", bare.replace(encoded(header.encode()), encoded(b'{"alg": "nOnE"}'))
    public = json.dumps(issuer.keys[algorithm].as_dict(private=False)).encode()
    text = f"{encoded(json.dumps({'alg': 'HS256', 'kid': algorithm}).encode())}.{encoded(payload.encode())}"
    yield "the public key as a secret", f"{text}.{encoded(hmac.new(public, text.encode(), hashlib.sha256).digest())}"
    for other in sorted(set(ALL_ALGORITHMS) - set(rules.algorithms)):
        yield f"by {other}, which is not allowed", issuer.token(other, role, key=key_for(other))
    foreign = key_for(algorithm)
    yield "by a foreign key", issuer.token(algorithm, role, key=foreign)
    brought = {"jwk": foreign.as_dict(private=False), "jku": issuer.url}
    yield "by a key that it brings along", issuer.token(algorithm, role, key=foreign, head=brought)
    yield "with an extension that is not known", issuer.token(algorithm, role, head={"crit": ["exp"]})
    yield "for another audience", issuer.token(algorithm, role, {"aud": f"{rules.audience}-other"})
    yield "from another issuer", issuer.token(algorithm, role, {"iss": f"{rules.issuer}/other"})
    yield "expired, beyond the leeway", issuer.token(algorithm, role, {"exp": now - beyond})
    yield "without an end", issuer.token(algorithm, role, {"exp": None})
    yield "not valid yet, beyond the leeway", issuer.token(algorithm, role, {"nbf": now + beyond})
    yield "without a tenant", issuer.token(algorithm, role, issuer.without(rules.tenant_claim, role))
    yield "without a role", issuer.token(algorithm, role, issuer.without(rules.role_claim, role))
    yield "of a role that there is not", issuer.token(algorithm, "no-such-role-here")
    twice = f'{payload[:-1]}, "exp": {now + 9999}}}'
    kid = json.dumps({"alg": algorithm, "kid": algorithm})
    yield "that says something twice", signed(kid, twice, algorithm, issuer.keys[algorithm])


async def flood(stage: Stage, number: int, issuer: Issuer, role: str) -> int:
    """Fetches that tokens of unknown keys cause, above one in ten seconds."""
    algorithm = issuer.rules.algorithms[0]
    began, before = time.monotonic(), issuer.fetches
    made = issuer.token(algorithm, role)
    signature = made.rpartition(".")[2]
    async with stage.client(None, number) as client:
        for each in range(UNKNOWN_KEYS):
            head = encoded(json.dumps({"alg": algorithm, "kid": f"unknown-{each}"}).encode())
            token = f"{head}.{made.split('.')[1]}.{signature}"
            await client.get(MODELS, headers={"Authorization": f"Bearer {token}"})
    due = int((time.monotonic() - began) / FETCH_EVERY_S)
    return max(0, issuer.fetches - before - due)


async def outage(stage: Stage, issuer: Issuer, role: str) -> list[int]:
    """The answers to good tokens while the key set is gone, each once, in their order; tried with a short patience."""
    number = await stage.add_gateway(jwt=gateway_rules(issuer.rules, issuer, stale_for_s=STALE_TRIED_S))
    await issuer.close()
    seen: list[int] = []
    began = time.monotonic()
    while time.monotonic() - began < NEVER_S and 503 not in seen:
        token = issuer.token(issuer.rules.algorithms[0], role, {"sub": f"caller-{time.monotonic()}"})
        answered = await status(stage, number, token)
        seen += [answered] if answered not in seen else []
        await asyncio.sleep(0.05)
    return seen


def leaked(stage: Stage, tokens: list[str]) -> list[str]:
    """Files of the service that hold a token."""
    files = [path for path in stage.layout.state.rglob("*") if path.is_file()]
    ends = [token.encode()[-40:] for token in tokens if not token.endswith(".")]
    return [path.name for path in files if any(end in content for content in [read(path)] for end in ends)]
