"""Proofs about what replicas share: one limit for all of them, and what happens when a store is taken away.

The stores are servers of the stage's own; the limit has a size that can be tried in seconds.
"""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import Sequence

from fairlead.ops.prove.callers import Answer, Asking, ask, crowd
from fairlead.ops.prove.consumption import gateway, requests_of
from fairlead.ops.prove.outcome import Outcome
from fairlead.ops.prove.stage import Stage
from fairlead.ops.prove.stand_in import StandIn, stand_in
from fairlead.ops.prove.traffic import usable
from fairlead.spec.types import Spec
from fairlead.units import format_seconds

REPLICAS = 2
RATE, BURST = 60.0, 60.0
LARGEST_SLICE = 6.0  # a tenth of what it lets in at once: docs/stores.md
SLACK = REPLICAS * LARGEST_SLICE
CALLERS = 3  # of each replica, without a pause: far more than it lets in
TRIED_S = 3.0
PAST_FRESH_S = 4.5  # without a database: by then a copy of the keys is known to be old
TOLERANCE = 0.05
STRANGER = f"sk-fl-{'0' * 12}-{'x' * 32}"


def claim(spec: Spec) -> str:
    """What the file says about stores that are away."""
    said, store = [], spec.store
    if store and store.redis:
        alone = store.redis.when_gone == "share"
        said.append(f"without Redis each replica {'goes on with its share' if alone else 'denies what is limited'}")
    if store and store.postgres:
        stale = format_seconds(store.postgres.keys_stale_for)
        said.append(f"without PostgreSQL known keys work for {stale}, and each request is booked once afterwards")
    return "; ".join(said) or "no store is declared"


def missing_redis(stage: Stage) -> str:
    """Why shared limits cannot be tried here."""
    return stage.servers.missing.get("redis", "")


def missing_both(stage: Stage) -> str:
    """Why no store can be taken away here."""
    return "" if stage.servers.redis or stage.servers.postgres else "; ".join(stage.servers.missing.values())


async def shared_limits(stage: Stage) -> Outcome:
    """Two replicas under overload let in what one limit says, and not two."""
    async with stand_in() as engine:
        numbers, asking = await replicas(stage, engine)
        answers = await overload(stage, numbers, asking, TRIED_S)
        await end(stage, numbers)
    share, figure = of_allowed(answers)
    allowed = len(let_in(answers)) / share
    holds = 1 - TOLERANCE <= share <= 1 + TOLERANCE + SLACK / allowed
    return Outcome(holds, f"{REPLICAS} replicas, one Redis: {figure}")


async def fail_modes(stage: Stage) -> Outcome:
    """Each declared store is taken away under load and brought back."""
    tried = [try_redis(stage)] if stage.servers.redis else []
    tried += [try_postgres(stage)] if stage.servers.postgres else []
    outcomes = [await one for one in tried]
    return Outcome(all(each.holds for each in outcomes), "; ".join(each.figure for each in outcomes))


async def try_redis(stage: Stage) -> Outcome:
    """Redis is killed and comes back empty, while two replicas are overloaded."""
    redis, store = stage.servers.redis, stage.spec.store
    assert redis
    assert store
    assert store.redis
    async with stand_in() as engine:
        numbers, asking = await replicas(stage, engine)
        before = await overload(stage, numbers, asking, 1.0)
        await redis.end(signal.SIGKILL)
        alone = await overload(stage, numbers, asking, TRIED_S)
        await redis.start()
        after = await overload(stage, numbers, asking, TRIED_S)
        await end(stage, numbers)
    answers = [*before, *alone, *after]
    share, figure = of_allowed(answers)
    at_most = 1 + TOLERANCE + SLACK * share / max(1, len(let_in(answers)))
    told = {answer.code for answer in answers} <= {"", "rate_limit_exceeded", "limits_unavailable"}
    if store.redis.when_gone == "deny":
        holds = len(let_in(alone)) <= SLACK and bool(let_in(after)) and share <= at_most
        return Outcome(holds and told, f"Redis killed: {len(let_in(alone))} let in meanwhile, {figure} in all")
    holds = share <= at_most and len(let_in(alone)) >= RATE * TRIED_S / 2
    return Outcome(holds and told, f"Redis killed and back: {figure} in all, {len(let_in(alone))} of them meanwhile")


async def try_postgres(stage: Stage) -> Outcome:
    """PostgreSQL is stopped under load for longer than the copy of the keys counts as fresh."""
    postgres = stage.servers.postgres
    assert postgres
    model, role = usable(stage)
    key = stage.key(role, tenant=f"prove-{uuid.uuid4().hex[:8]}")
    async with stand_in(delay_s=0.005) as engine:
        number = await gateway(stage, engine)
        asking = Asking(key, model)
        await until_known(stage, number, key)
        before = await crowd(CALLERS, stage, number, asking, for_s=0.5)
        await postgres.end()
        stage.keys.close()  # its connection is gone; the next question opens another
        away = await crowd(CALLERS, stage, number, asking, for_s=PAST_FRESH_S)
        stranger = await ask(stage, number, Asking(STRANGER, model))
        await postgres.start()
        after = await crowd(CALLERS, stage, number, asking, for_s=0.5)
        answers = [*before, *away, *after]
        booked = await until_booked(stage, key, len(let_in(answers)))
        await stage.end_gateway(number)
    failed = len(answers) - len(let_in(answers))
    holds = not failed and booked == len(answers) and (stranger.status, stranger.code) == (503, "keys_unavailable")
    told = f"{failed} of {len(away)} failed in {PAST_FRESH_S} s, an unknown key {stranger.status}"
    return Outcome(holds, f"PostgreSQL stopped: {told}; {booked} of {len(answers)} booked afterwards")


# -- the experiment's parts -------------------------------------------------------------------------------------------


async def replicas(stage: Stage, engine: StandIn) -> tuple[list[int], Asking]:
    """Two gateways with a limit for each tenant, and a new tenant that asks; both know its key."""
    model, role = usable(stage)
    key = stage.key(role, tenant=f"prove-{uuid.uuid4().hex[:8]}")
    limit = {"per": ["tenant"], "requests": {"count": RATE, "period_s": 1.0, "burst": BURST}}
    parts = {"name": f"prove-{uuid.uuid4().hex[:8]}", "replicas": REPLICAS, "rate_limits": {"shared": limit}}
    numbers = [await gateway(stage, engine, **parts) for _ in range(REPLICAS)]
    asking = Asking(key, model)
    for number in numbers:
        await until_known(stage, number, key)
    return numbers, asking


async def until_known(stage: Stage, number: int, key: str) -> None:
    """Wait until the gateway has taken up a new key; what is asked for is in no ledger."""
    for _ in range(200):
        if (await ask(stage, number, Asking(key, "no-such-model"))).status not in {401, 503}:
            return
        await asyncio.sleep(0.02)


async def overload(stage: Stage, numbers: Sequence[int], asking: Asking, for_s: float) -> list[Answer]:
    """All replicas at once."""
    crowds = (crowd(CALLERS, stage, number, asking, for_s=for_s) for number in numbers)
    return [answer for answers in await asyncio.gather(*crowds) for answer in answers]


async def end(stage: Stage, numbers: Sequence[int]) -> None:
    """Stop the gateways that were added."""
    for number in numbers:
        await stage.end_gateway(number)


def let_in(answers: Sequence[Answer]) -> list[Answer]:
    """Those that were answered."""
    return [answer for answer in answers if answer.status == 200]


def of_allowed(answers: Sequence[Answer]) -> tuple[float, str]:
    """What was let in as a share of burst and rate, also in words."""
    times = sorted(answer.at for answer in let_in(answers))
    allowed = BURST + RATE * (times[-1] - times[0]) if times else BURST
    share = len(times) / allowed
    return share, f"{len(times)} let in of {len(answers)}, {share - 1:+.1%} of burst and rate"


async def until_booked(stage: Stage, key: str, wanted: int) -> int:
    """Requests of a key in the ledger, once they are as many as wanted, or after a while."""
    end_at, booked = time.monotonic() + 10.0, 0
    while time.monotonic() < end_at:
        booked = await asyncio.to_thread(requests_of, stage, key)
        if booked >= wanted:
            break
        await asyncio.sleep(0.1)
    return booked
