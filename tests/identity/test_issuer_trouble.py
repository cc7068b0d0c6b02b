"""What the issuer does to us, seen by callers of the real gateway: floods, rotations, outages, a cold start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from fairlead.gateway.keyset import MIN_GAP_S
from gateway.conftest import Build, House
from gateway.harness import Gateway, compiled
from gateway.upstream import eventually, upstream
from gateway.wire import ask, get

from .attacks import FOREIGN_RSA
from .issuer import Issuer, rules, token
from .test_tokens import asked


def with_jwt(issuer: Issuer, **changed: float) -> Callable[[dict[str, Any]], None]:
    return lambda config: config.update(jwt=rules(issuer.url, **changed))


def status_of(house: House, bearer: str) -> int:
    return asked(house, [bearer])[0][0]


def test_a_flood_of_unknown_keys_and_a_rotation_cost_one_fetch_in_ten_seconds(build: Build, issuer: Issuer) -> None:
    house = build(change=with_jwt(issuer))
    warm = token()
    assert house.gateway.chat(key=warm).status_code == 200  # from now on its head is known
    issuer.keys = {"rsa-2": FOREIGN_RSA}
    new, old = token(key=FOREIGN_RSA, head={"kid": "rsa-2"}), token(sub="bob")
    began, before = time.monotonic(), issuer.fetches
    told = asked(house, [token(head={"kid": f"unknown-{n}"}) for n in range(1000)])
    assert {status for status, _ in told} == {401}
    assert issuer.fetches - before <= 1 + (time.monotonic() - began) / MIN_GAP_S
    assert eventually(lambda: status_of(house, new) == 200, within_s=3 * MIN_GAP_S)
    assert issuer.fetches - before <= 1 + (time.monotonic() - began) / MIN_GAP_S
    assert status_of(house, old) == 401  # its key is gone from the set
    assert house.gateway.chat(key=warm).status_code == 401  # also the one that was let in before


def test_an_issuer_that_is_gone_is_never_the_callers_fault(build: Build, issuer: Issuer) -> None:
    """Known keys serve for `stale_for`, then 503; API keys do not care; and all is well when it is back."""
    house = build(change=with_jwt(issuer, stale_for_s=6.0))
    warm = token()
    assert house.gateway.chat(key=warm).status_code == 200  # from now on its head is known
    issuer.down()
    seen: list[int] = []

    def is_refused() -> bool:
        seen.append(status_of(house, token(sub=f"fresh-{len(seen)}")))
        return seen[-1] != 200

    assert eventually(is_refused, within_s=30.0, every_s=0.1)
    assert seen[-1] == 503
    assert len(seen) > 1  # it served on for a while
    assert asked(house, [warm, token(), token(head={"kid": "unknown"})]) == [(503, "key_set_unavailable")] * 3
    assert eventually(lambda: house.gateway.chat(key=warm).status_code == 503, within_s=2.0, every_s=0.05)
    assert house.gateway.chat().status_code == 200
    assert house.gateway.is_ready()
    assert house.gateway.metrics()["fairlead_key_set_age_seconds", ()] >= 6.0
    issuer.up()
    assert eventually(lambda: status_of(house, token()) == 200, within_s=3 * MIN_GAP_S, every_s=0.1)


def test_a_token_ends_in_the_middle_of_a_connection(build: Build, issuer: Issuer) -> None:
    house = build(change=with_jwt(issuer, leeway_s=0.0))
    brief, long = token(exp=time.time() + 3), token()
    told = [200]
    while told[-1] == 200:
        told = [status for status, _ in asked(house, [brief] * 20 + [long])]
        assert told[-1:] == [200]
        told = told[:-1]
    assert told[-1] == 401


def test_changed_rules_count_at_once(build: Build, issuer: Issuer) -> None:
    house = build(change=with_jwt(issuer))
    mine, other = token(), token(aud="other")
    assert [status for status, _ in asked(house, [mine, other])] == [200, 401]
    gateway = house.gateway
    gateway.write({**gateway.config, "jwt": rules(issuer.url, audience="other")})
    assert eventually(lambda: [status for status, _ in asked(house, [mine, other])] == [401, 200])
    roles = {**gateway.config["roles"], "user": {"models": ["m0"], "operations": ["embeddings"]}}
    gateway.write({**gateway.config, "roles": roles})
    assert eventually(lambda: gateway.chat(key=other).status_code == 403)
    gateway.write({**gateway.config, "jwt": None})
    assert eventually(lambda: asked(house, [other]) == [(401, "invalid_api_key")])


class Early(Gateway):
    """A gateway that is spoken to as soon as it listens, ready or not."""

    def is_ready(self) -> bool:
        try:
            return self.admin("/healthz").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def early(issuer: Issuer, folder: Path) -> Iterator[Early]:
    with upstream() as engine:
        config = {**compiled(folder / "state", {"m0": (engine,)}), "jwt": rules(issuer.url)}
        gateway = Early(config, folder)
        try:
            gateway.start()
            yield gateway
        finally:
            gateway.stop()
            gateway.keys.close()
    assert "Traceback" not in gateway.log_path.read_text()


def test_a_hundred_callers_at_a_cold_start_wait_for_one_fetch(tmp_path: Path, issuer: Issuer) -> None:
    issuer.gate.clear()
    with early(issuer, tmp_path) as gateway:
        statuses = asyncio.run(stampede(gateway, issuer, 100))
    assert statuses == [200] * 100
    assert issuer.fetches == 1


async def stampede(gateway: Gateway, issuer: Issuer, callers: int) -> list[int]:
    """All callers ask before the issuer answers; then it does."""
    asking = [asyncio.create_task(ask(gateway.port, get(token(sub=f"caller-{n}")))) for n in range(callers)]
    for _ in range(400):
        page = await asyncio.to_thread(gateway.admin, "/status")
        if page.json()["connections"] == callers:
            break
        await asyncio.sleep(0.005)
    assert not page.json()["ready"]
    assert not any(task.done() for task in asking)
    issuer.gate.set()
    return [answer.status for answer in await asyncio.gather(*asking)]


def test_a_start_without_an_issuer_serves_api_keys(tmp_path: Path, issuer: Issuer) -> None:
    """Tokens get 503, and work when the issuer is up; until a first patience is over the gateway is not ready."""
    issuer.down()
    with early(issuer, tmp_path) as gateway:
        reason = "the key set for tokens has not been fetched yet: ConnectError"
        assert eventually(lambda: gateway.admin("/readyz").json()["reasons"] == [reason])
        assert eventually(
            lambda: any("key_set_failed" in line and "ConnectError" in line for line in gateway.log_lines())
        )
        house = House(gateway, ())
        assert eventually(lambda: status_of(house, gateway.key) == 200)
        assert asked(house, [token()]) == [(503, "key_set_unavailable")]
        assert {code for _, code in asked(house, ["sk-123", "a.b.c", token(head={"alg": "none"})])} == {"invalid_token"}
        issuer.up()
        assert eventually(lambda: status_of(house, token()) == 200, within_s=3 * MIN_GAP_S, every_s=0.1)
        assert gateway.admin("/readyz").status_code == 200
