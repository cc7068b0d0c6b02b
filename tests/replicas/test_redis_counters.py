"""The script in Redis does what the policy says that the store does, step by step; and what goes wrong is one error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from uuid import uuid4

import pytest

from fairlead.errors import UserError
from fairlead.policy import shared_budget
from fairlead.policy.lease import PATIENCE_LIVES, UNKNOWN, Ask, SharedCounter, Terms
from fairlead.policy.shared_budget import SharedClaims
from fairlead.store.redis_counters import TIMEOUT_S, Claim, CountersGone, RedisCounters, Take
from servers.fault_proxy import Fault, FaultProxy, fault_proxy
from servers.redis import RedisServer

SLOW = Terms(rate=1e-6, burst=100.0)  # time changes nothing that one could see


@pytest.fixture
def proxy(shared_redis: RedisServer) -> Iterator[FaultProxy]:
    with fault_proxy(shared_redis.port) as one:
        yield one


def counters(url: str, service: str, replica: str = "a") -> RedisCounters:
    return RedisCounters(url, service, replica, life_s=1.0, patience_lives=PATIENCE_LIVES)


def take(ask: Ask, terms: Terms = SLOW) -> Take:
    known = "" if ask.known == UNKNOWN else ask.known
    return Take("limit:x", terms.rate, terms.burst, ask.want, ask.back, ask.owed, known, ask.away_s)


def any_ask(dice: random.Random) -> Ask:
    known = dice.choice([UNKNOWN, dice.uniform(-50.0, 150.0)])
    return Ask(dice.uniform(0, 30), dice.choice([0.0, 5.0]), dice.choice([0.0, 12.0]), known)


def test_buckets_are_as_the_policy_says(shared_redis: RedisServer) -> None:
    async def compare() -> None:
        dice, service, policy = random.Random(1), uuid4().hex, SharedCounter(SLOW, 0.0)
        one = counters(shared_redis.url, service)
        for step in range(300):
            ask = any_ask(dice)
            told = await one.ask([take(ask)], [])
            wanted = policy.grant("a", ask, float(step))
            assert told.takes[0] == pytest.approx((wanted.amount, wanted.left), abs=1e-2), (step, ask)
        await one.close()

    asyncio.run(compare())


def test_a_bucket_fills_with_time_and_pays_with_what_ran_over(shared_redis: RedisServer) -> None:
    terms = Terms(rate=1000.0, burst=50.0)

    async def run() -> None:
        one = counters(shared_redis.url, uuid4().hex)
        emptied = await one.ask([take(Ask(50.0), terms)], [])
        assert emptied.takes[0] == (50.0, 0.0)
        await asyncio.sleep(0.2)
        owed = await one.ask([take(Ask(0.0, owed=100.0, away_s=0.2), terms)], [])
        assert owed.takes[0][1] == 50.0, "200 flowed in, 150 ran over: they pay for the 100 that were taken alone"
        unpaid = await one.ask([take(Ask(0.0, owed=100.0), terms)], [])
        assert unpaid.takes[0][1] == pytest.approx(0.0, abs=40.0), "50 were left over; the other 50 are a debt"
        await one.close()

    asyncio.run(run())


def test_claims_are_as_the_policy_says(shared_redis: RedisServer) -> None:
    async def compare() -> None:
        dice, service, amount = random.Random(2), uuid4().hex, 10**15 + 7
        policy = SharedClaims(amount)
        replicas = {name: counters(shared_redis.url, service, name) for name in "abc"}
        held = dict.fromkeys(replicas, 0)
        for _ in range(200):
            name = dice.choice("abc")
            claim = shared_budget.Claim(held[name], dice.randrange(amount // 20), 5)
            told = await replicas[name].ask([], [Claim("budget:x", *vars_of(claim), amount, 60)])
            wanted = policy.claim(name, claim)
            assert told.claims[0] == (wanted.amount, wanted.total)
            held[name] = max(0, claim.have + wanted.amount - dice.choice([0, amount // 50]))
        assert told.replicas == 3
        for one in replicas.values():
            await one.close()

    asyncio.run(compare())


def vars_of(claim: shared_budget.Claim) -> tuple[int, int, int]:
    return claim.have, claim.want, claim.base


def test_many_questions_are_one_round_trip_and_a_lost_memory_shows(own_redis: RedisServer) -> None:
    async def run() -> None:
        one = counters(own_redis.url, "s")
        takes = [take(Ask(1.0))._replace(key=f"limit:{number}") for number in range(200)]
        claims = [Claim(f"budget:{number}", 0, 5, 0, 100, 60) for number in range(200)]
        before = await one.ask(takes, claims)
        assert before.takes == [(1.0, 99.0)] * 200
        assert before.claims == [(5, 5)] * 200
        assert (await one.ask([], [])).memory == before.memory
        await asyncio.to_thread(own_redis.kill)
        with pytest.raises(CountersGone):
            await one.ask(takes, [])
        await asyncio.to_thread(own_redis.start)
        other = counters(own_redis.url, "s", "b")
        assert (await other.ask([], claims[:1])).claims == [(5, 5)], "a new replica knows of no loss"
        assert (await one.ask([], claims[:1])).claims == [(0, 5)], "one that knows of it tells, and gets nothing yet"
        assert (await other.ask([], claims[:1])).claims == [(0, 0)], "nor does anybody, for a while"
        assert (await one.ask([], [])).memory != before.memory
        await other.close()
        await one.close()

    asyncio.run(run())


FAULTS = {
    "late and in slices": (Fault(latency_s=0.0005, slice_bytes=200), True),
    "mute": (Fault(mute=True), False),
    "too late": (Fault(latency_s=2 * TIMEOUT_S), False),
}


@pytest.mark.parametrize(("fault", "answers"), FAULTS.values(), ids=FAULTS)
def test_a_bad_line_is_waited_for_a_short_while_and_then_left(proxy: FaultProxy, fault: Fault, answers: bool) -> None:
    async def run() -> None:
        one = counters(f"redis://127.0.0.1:{proxy.port}/0", uuid4().hex)
        await one.ask([take(Ask(1.0))], [])
        proxy.fault = fault
        if answers:
            assert (await one.ask([take(Ask(1.0))], [])).takes[0][0] == 1.0
        else:
            with pytest.raises(CountersGone):
                await one.ask([take(Ask(1.0))], [])
        proxy.fault = Fault()
        await asyncio.to_thread(proxy.reset)
        for _ in range(2):  # the first finds its connection reset
            try:
                assert (await one.ask([], [])).replicas == 1
            except CountersGone:
                continue
        await one.close()

    asyncio.run(run())


@pytest.mark.parametrize("url", ["http://u:hunter2@h/0", "hunter2", "redis://u:hunter2@h:port/0"])
def test_a_url_that_names_no_redis_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UserError) as refused:
        counters(url, "s")
    assert "hunter2" not in str(refused.value)
