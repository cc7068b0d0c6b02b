"""Two replicas and one Redis keep one limit, exactly: under overload, while Redis is away, and when a replica dies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fairlead.policy.lease import SLICE_SHARE
from gateway.harness import Gateway
from gateway.upstream import Upstream, eventually
from servers.redis import RedisServer

from .load import Count, press, two_gateways

SECONDS = float(os.environ.get("FAIRLEAD_OVERLOAD_S", "4"))
OVERLOAD = 5.0
PROMPT, COMPLETION = 20, 80  # the engine tells so; together a whole hundred


def limits(requests_a_minute: float, burst_s: float) -> dict[str, Any]:
    """For each tenant: so many requests, and a hundred times as many tokens."""
    return {
        "rate_limits": {
            "each": {
                "per": ["tenant"],
                "requests": {
                    "count": requests_a_minute,
                    "period_s": 60.0,
                    "burst": requests_a_minute / 60.0 * burst_s,
                },
            },
            "tokens": {
                "per": ["tenant"],
                "tokens": {
                    "count": 100.0 * requests_a_minute,
                    "period_s": 60.0,
                    "burst": 100.0 * requests_a_minute / 60.0 * burst_s,
                },
            },
        }
    }


async def both(
    gateways: Sequence[Gateway], keys: tuple[str, str], a_minute: float, seconds: float
) -> tuple[Count, Count]:
    """A tenant whose requests are small, and one whose requests use twice the tokens that there are."""
    small = {"seed": 1, "max_tokens": 4}
    large = {"seed": 2 * PROMPT, "max_tokens": 2 * COMPLETION}
    rate = OVERLOAD * a_minute / 60.0
    return tuple(
        await asyncio.gather(
            press(gateways, keys[0], a_second=rate, seconds=seconds, **small),
            press(gateways, keys[1], a_second=rate / 2, seconds=seconds, **large),
        )
    )  # type: ignore[return-value]


def two_tenants(gateways: Sequence[Gateway]) -> tuple[str, str]:
    """Keys that all gateways have taken up."""
    keys = gateways[0].new_key("small"), gateways[0].new_key("large")
    asked = [(gateway, key) for gateway in gateways for key in keys]
    assert eventually(lambda: all(gateway.chat(key=key, model="no").status_code == 404 for gateway, key in asked))
    return keys


def overloaded(
    engine: Upstream, folder: Path, redis: RedisServer, *, a_minute: float, seconds: float, burst_s: float
) -> None:
    with two_gateways(engine, folder, redis.url, **limits(a_minute, burst_s)) as gateways:
        small, large = asyncio.run(both(gateways, two_tenants(gateways), a_minute, seconds))
    per_s = a_minute / 60.0
    requests, tokens = per_s * (small.seconds + burst_s), 100.0 * per_s * (large.seconds + burst_s)
    print(
        f"{a_minute:g} requests/min and {100 * a_minute:g} tokens/min, {OVERLOAD:g} x for {seconds:g} s: "
        f"{small.accepted} requests of {requests:.0f} ({small.accepted / requests - 1:+.2%}), "
        f"{large.tokens} tokens of {tokens:.0f} ({large.tokens / tokens - 1:+.2%}); "
        f"refused {small.statuses[429]} and {large.statuses[429]}"
    )
    assert small.statuses.keys() | large.statuses.keys() <= {200, 429}
    assert small.accepted == pytest.approx(requests, rel=0.02)
    assert large.tokens == pytest.approx(tokens, rel=0.02)


def test_five_fold_overload_is_cut_to_the_limit(engine: Upstream, shared_redis: RedisServer, tmp_path: Path) -> None:
    overloaded(engine, tmp_path, shared_redis, a_minute=6000.0, seconds=SECONDS, burst_s=1.0)


@pytest.mark.slow
def test_a_minute_of_five_fold_overload(engine: Upstream, shared_redis: RedisServer, tmp_path: Path) -> None:
    overloaded(engine, tmp_path, shared_redis, a_minute=600.0, seconds=60.0, burst_s=60.0)


async def with_redis_gone(
    gateways: Sequence[Gateway], key: str, redis: RedisServer, a_second: float, third_s: float
) -> Count:
    """Redis dies after a third of the time, and comes back empty after another."""
    asking = asyncio.create_task(press(gateways, key, a_second=a_second, seconds=3 * third_s, seed=1, max_tokens=4))
    await asyncio.sleep(third_s)
    await asyncio.to_thread(redis.kill)
    await asyncio.sleep(third_s)
    await asyncio.to_thread(redis.start)
    return await asking


def redis_killed(
    engine: Upstream, folder: Path, redis: RedisServer, *, a_minute: float, third_s: float, burst_s: float
) -> None:
    with two_gateways(engine, folder, redis.url, **limits(a_minute, burst_s)) as gateways:
        key, _ = two_tenants(gateways)
        count = asyncio.run(with_redis_gone(gateways, key, redis, OVERLOAD * a_minute / 60.0, third_s))
        gone = [gateway.log_path.read_text().count("leases_store_gone") for gateway in gateways]
        back = [gateway.log_path.read_text().count("leases_store_back") for gateway in gateways]
    rate, burst = a_minute / 60.0, a_minute / 60.0 * burst_s
    allowed = rate * count.seconds + burst
    slack = 2 * SLICE_SHARE * max(rate, burst)
    print(
        f"{a_minute:g} requests/min, {3 * third_s:g} s, Redis killed and back, empty: {count.accepted} of "
        f"{allowed:.0f} ({count.accepted / allowed - 1:+.2%}; stated slack {slack:.0f}, {slack / allowed:.1%})"
    )
    assert gone == back == [1, 1]
    assert count.statuses.keys() <= {200, 429}
    assert allowed * 0.9 - slack <= count.accepted <= allowed + slack


def test_redis_killed_and_back_stays_within_the_stated_slack(
    engine: Upstream, own_redis: RedisServer, tmp_path: Path
) -> None:
    redis_killed(engine, tmp_path, own_redis, a_minute=6000.0, third_s=SECONDS / 2, burst_s=1.0)


@pytest.mark.slow
def test_redis_killed_and_back_within_a_minute(engine: Upstream, own_redis: RedisServer, tmp_path: Path) -> None:
    redis_killed(engine, tmp_path, own_redis, a_minute=600.0, third_s=20.0, burst_s=60.0)


def test_a_replica_killed_spends_nothing_twice(engine: Upstream, shared_redis: RedisServer, tmp_path: Path) -> None:
    rate, seconds = 100.0, SECONDS

    async def with_a_death(gateways: Sequence[Gateway], key: str) -> Count:
        asking = asyncio.create_task(press(gateways, key, a_second=5 * rate, seconds=seconds, seed=1, max_tokens=4))
        await asyncio.sleep(seconds / 2)
        gateways[1].kill()
        return await asking

    with two_gateways(engine, tmp_path, shared_redis.url, **limits(60.0 * rate, 1.0)) as gateways:
        count = asyncio.run(with_a_death(gateways, two_tenants(gateways)[0]))
    allowed, slack = rate * count.seconds + rate, SLICE_SHARE * rate
    print(f"one of two killed: {count.accepted} of {allowed:.0f}, the dead one's slice is at most {slack:g}")
    assert count.lost
    assert 0.98 * allowed - slack <= count.accepted <= 1.02 * allowed


def test_denied_while_redis_is_away_where_the_file_says_so(
    engine: Upstream, own_redis: RedisServer, tmp_path: Path
) -> None:
    with two_gateways(engine, tmp_path, own_redis.url, when_gone="deny", **limits(6000.0, 1.0)) as gateways:
        key, other = two_tenants(gateways)
        assert gateways[0].chat(key=key).status_code == 200
        own_redis.kill()
        assert eventually(lambda: gateways[0].chat(key=key).status_code == 503)
        told = gateways[0].chat(key=other)
        assert (told.status_code, told.json()["error"]["code"]) == (503, "limits_unavailable"), "also one never seen"
        assert told.headers["retry-after"]
        assert gateways[0].metrics()["fairlead_leases_store_up", ()] == 0
        own_redis.start()
        assert eventually(lambda: gateways[0].chat(key=key).status_code == 200)
        assert gateways[0].metrics()["fairlead_leases_store_up", ()] == 1


def test_a_replica_starts_and_serves_without_redis(engine: Upstream, own_redis: RedisServer, tmp_path: Path) -> None:
    own_redis.kill()
    with two_gateways(engine, tmp_path, own_redis.url, **limits(6000.0, 1.0)) as gateways:
        key, _ = two_tenants(gateways)
        count = asyncio.run(press(gateways, key, a_second=500.0, seconds=2.0, seed=1, max_tokens=4))
    assert count.statuses.keys() <= {200, 429}
    assert count.accepted == pytest.approx(100.0 * count.seconds, rel=0.15), "half of the limit each, no burst"


def test_a_mute_redis_stops_nobody(engine: Upstream, own_redis: RedisServer, tmp_path: Path) -> None:
    """It takes bytes and never answers: no request waits for it, and until it is given up only slices are used up."""
    with two_gateways(engine, tmp_path, own_redis.url, **limits(6000.0, 1.0)) as gateways:
        key, _ = two_tenants(gateways)
        own_redis.freeze()
        count = asyncio.run(press(gateways, key, a_second=40.0, seconds=2.0, seed=1, max_tokens=4))
        own_redis.thaw()
    assert count.statuses.keys() <= {200, 429}
    assert count.accepted >= 0.6 * sum(count.statuses.values())
