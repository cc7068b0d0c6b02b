"""One budget, two replicas, 32 callers at once: no more is spent than there is, and nearly all of it can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fairlead.policy.budget import NANO
from gateway.harness import Gateway, question
from gateway.upstream import Upstream, eventually
from gateway.wire import connection, post, read_answer
from servers.redis import RedisServer

from .load import two_gateways

CALLERS = 32
COST = 5_000_000  # 1 prompt token and 4 others at 1 USD per 1000: 0.005 USD
PRICE = {"prompt_nano": NANO * 1000, "cached_nano": NANO * 1000, "completion_nano": NANO * 1000}
BEGAN = {"none": 2, "a restart": 3, "kill -9": 3, "an empty Redis": 2}  # replicas, whose first requests are on credit


def budget() -> dict[str, Any]:
    return {
        "currency": "USD",
        "prices": {"m0": PRICE},
        "budgets": {"one": {"amount_nano": NANO, "period": "month", "per": ["tenant"]}},
    }


async def spend(gateways: Sequence[Gateway], key: str, within_s: float, patience: int = 5) -> tuple[int, set[int]]:
    """32 callers ask as fast as they can until all of them were refused for long; the tokens that they got."""
    tokens, statuses, end = 0, set[int](), time.monotonic() + within_s

    async def call(gateway: Gateway) -> None:
        nonlocal tokens
        refused = 0
        async with connection(gateway.port) as (reader, writer):
            while refused < patience and time.monotonic() < end:
                writer.write(post(key, question("hi", seed=1, max_tokens=4)))
                answer = await asyncio.wait_for(read_answer(reader), 20.0)
                statuses.add(answer.status)
                if answer.status == 200:
                    tokens += answer.json["usage"]["total_tokens"]
                    refused = 0
                else:
                    refused += 1
                    await asyncio.sleep(0.25)

    await asyncio.gather(*(call(gateways[number % len(gateways)]) for number in range(CALLERS)))
    return tokens, statuses


def ledger_nano(gateway: Gateway) -> int:
    return sum(row["cost_nano"] for row in gateway.ledger())


@pytest.mark.parametrize("trouble", BEGAN)
def test_a_budget_is_spent_once(engine: Upstream, own_redis: RedisServer, tmp_path: Path, trouble: str) -> None:
    with two_gateways(engine, tmp_path, own_redis.url, **budget()) as gateways:
        key = gateways[0].new_key("acme")
        assert eventually(lambda: all(each.chat(key=key, model="no").status_code == 404 for each in gateways))
        if trouble != "none":
            first, _ = asyncio.run(spend(gateways, key, 0.3))
            assert eventually(lambda: ledger_nano(gateways[0]) == first * NANO // 1000), "all is in the ledger"
            make_trouble(trouble, gateways[1], own_redis)
        else:
            first = 0
        # after a loss of memory no money is given out for GRACE_MS
        patience = 16 if trouble == "an empty Redis" else 5
        second, statuses = asyncio.run(spend(gateways, key, 20.0, patience))
        spent = (first + second) * NANO // 1000
        assert eventually(lambda: ledger_nano(gateways[0]) == spent), (ledger_nano(gateways[0]), spent)
    print(f"{trouble}: {spent / NANO:.3f} of 1 USD spent by {CALLERS} callers on two replicas")
    assert statuses <= {200, 429}
    assert spent <= NANO + BEGAN[trouble] * COST
    assert spent >= 0.85 * NANO


def make_trouble(trouble: str, gateway: Gateway, redis: RedisServer) -> None:
    if trouble == "an empty Redis":
        redis.kill()
        redis.start()
        assert eventually(lambda: gateway.metrics().get(("fairlead_leases_store_up", ())) == 1)
        return
    if trouble == "kill -9":
        gateway.kill()
    else:
        gateway.stop()
    gateway.start()
