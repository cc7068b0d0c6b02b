"""The proof about batches of several gateways: each of them knows every batch, and one works on it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

from fairlead.ops.prove.batches import AT_ONCE, ROWS, WINDOW_S, Client, create, end, known, rows, upload, user
from fairlead.ops.prove.consumption import gateway
from fairlead.ops.prove.outcome import Outcome
from fairlead.ops.prove.stage import Stage
from fairlead.ops.prove.stand_in import StandIn, stand_in
from fairlead.render.consumption import fairness
from fairlead.render.gateway import batches as rules_of
from fairlead.spec.types import Spec

ANSWER_S = 0.2  # of the stand-in: long enough for the other gateway to look for work


def applies(spec: Spec) -> str:
    """Why gateways share no batches; "" where they do."""
    if spec.batches is None:
        return "batches is not declared"
    return "" if spec.store and spec.store.postgres else "store.postgres is not declared"


def missing_postgres(stage: Stage) -> str:
    """Why it cannot be tried here."""
    return stage.servers.missing.get("postgres", "")


async def shared_batches(stage: Stage) -> Outcome:
    """Two gateways and a batch, which is asked of one and looked at from the other."""
    found = user(stage)
    if found is None:
        return Outcome(False, "no role may use batches and chat with a model")
    role, model = found
    rules = (rules_of(stage.spec.batches) or {}) | {"concurrency": AT_ONCE, "window_s": WINDOW_S}
    key = stage.key(role, tenant=f"batch-{uuid.uuid4().hex[:8]}")
    async with stand_in(ANSWER_S) as engine:
        declared = {"batches": rules, "fairness": fairness(stage.spec.fairness)}
        numbers = [await gateway(stage, engine, **declared) for _ in range(2)]
        async with stage.client(key, numbers[0]) as one, stage.client(key, numbers[1]) as other:
            for each in (one, other):
                await known(each)
            wrong = [told async for told in held_once(engine, one, other, model)]
        for number in numbers:
            await stage.end_gateway(number)
    return Outcome(not wrong, f"{ROWS} rows at two gateways, each asked once; cancelled at the other", "; ".join(wrong))


async def held_once(engine: StandIn, one: Client, other: Client, model: str) -> AsyncIterator[str]:
    """What is wrong with two batches that are made at one gateway and ended at the other."""
    done = await end(other, await create(one, await upload(one, rows(model, ROWS))))
    if done["status"] != "completed":
        yield f"the batch is {done['status']}"
    if engine.asked != ROWS:
        yield f"{engine.asked} requests for {ROWS} rows: two gateways worked on one batch"
    batch = await create(one, await upload(one, rows(model, ROWS)))
    await other.post(f"/v1/batches/{batch}/cancel")
    if (await end(one, batch))["status"] != "cancelled":
        yield "a batch that was cancelled at another gateway goes on"
