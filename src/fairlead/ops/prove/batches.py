"""The proof about batches: no row is lost or doubled by kill -9, quotas hold, and a tenant sees nothing of another."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import httpx

from fairlead.ops.prove.access import code, settled
from fairlead.ops.prove.consumption import gateway
from fairlead.ops.prove.outcome import Outcome
from fairlead.ops.prove.stage import Stage
from fairlead.ops.prove.stand_in import stand_in
from fairlead.ops.prove.traffic import CHAT, chat
from fairlead.render.consumption import fairness
from fairlead.render.gateway import batches as rules_of
from fairlead.spec.types import BATCH

ROWS = 90
KILLS = 2
BETWEEN_KILLS = 10  # rows answered
ANSWER_S = 0.05  # of the stand-in, so that a kill finds rows under way
AT_ONCE = 4
WINDOW, WINDOW_S = "24h", 86_400.0
PATIENCE_S = 60.0
POLL_S = 0.05
ENDED = frozenset(("completed", "failed", "expired", "cancelled"))
Client = httpx.AsyncClient


async def batches(stage: Stage) -> Outcome:
    """A batch is killed in the middle; then quotas, rights and the other tenant are tried on the same gateway.

    Quotas are brought to a size that can be tried; what is tried is that they hold, by the file's kinds of them.
    """
    found = user(stage)
    if found is None:
        return Outcome(False, "no role may use batches and chat with a model")
    role, model = found
    declared = rules_of(stage.spec.batches)
    assert declared is not None
    rules = declared | {"concurrency": min(declared["concurrency"], AT_ONCE), "max_rows": ROWS, "max_active": 1}
    rules |= {"max_file_bytes": min(declared["max_file_bytes"], 2**20), "window_s": WINDOW_S}
    tenants = [f"batch-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    own, other = (stage.key(role, tenant=tenant) for tenant in tenants)
    async with stand_in(ANSWER_S) as engine:
        number = await gateway(stage, engine, batches=rules, fairness=fairness(stage.spec.fairness))
        await settled(stage, other, model)
        async with stage.client(own, number) as client, stage.client(other, number) as stranger:
            for each in (client, stranger):
                await known(each)
            wrong = [told async for told in kept(stage, number, client, model)]
            wrong += [told async for told in refused(client, stranger, model, rules)]
            wrong += [told async for told in denied(stage, number)]
        await stage.end_gateway(number)
    return Outcome(not wrong, f"{ROWS} rows over {KILLS} x kill -9, each answered once; quotas held", "; ".join(wrong))


def user(stage: Stage) -> tuple[str, str] | None:
    """A role that may use batches, and a model that it may chat with."""
    for name, role in sorted(stage.spec.access.roles.items()):
        for model in sorted(stage.spec.models):
            if BATCH in role.operations and stage.may_chat(name, model):
                return name, model
    return None


async def kept(stage: Stage, number: int, client: Client, model: str) -> AsyncIterator[str]:
    """What is wrong with a batch that was killed and went on."""
    batch = await create(client, await upload(client, rows(model, ROWS)))
    for _ in range(KILLS):
        before = await answered(client, batch)
        await until(client, batch, before + BETWEEN_KILLS)
        if (pid := stage.gateway_pid(number)) is not None:
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(POLL_S)
    done = await end(client, batch)
    if done["status"] != "completed":
        yield f"the batch is {done['status']}"
        return
    text = (await client.get(f"/v1/files/{done['output_file_id']}/content")).text
    ids = [json.loads(line)["custom_id"] for line in text.splitlines()]
    if sorted(ids) != sorted(f"row-{row}" for row in range(ROWS)):
        yield f"{len(ids)} answers to {ROWS} rows, {len(set(ids))} of them different"


async def refused(client: Client, stranger: Client, model: str, rules: dict[str, Any]) -> AsyncIterator[str]:
    """Which quota does not hold, and what another tenant sees."""
    content = b"x" * (rules["max_file_bytes"] + 1)
    large = await client.post("/v1/files", data={"purpose": "batch"}, files={"file": content})
    if large.status_code != 413:
        yield f"a file that is too large: {large.status_code}"
    long = await end(client, await create(client, await upload(client, rows(model, ROWS + 1))))
    if long["status"] != "failed":
        yield f"a batch with too many rows: {long['status']}"
    file = await upload(client, rows(model, ROWS))
    batch = await create(client, file)
    second = await client.post("/v1/batches", json=wish(file))
    if code(second) != "too_many_batches":
        yield f"a batch too many: {second.status_code}"
    for path in (f"/v1/files/{file}", f"/v1/files/{file}/content", f"/v1/batches/{batch}"):
        if (await stranger.get(path)).status_code != 404:
            yield f"another tenant sees {path.rpartition('/')[0]}"
    await client.post(f"/v1/batches/{batch}/cancel")
    if (await end(client, batch))["status"] != "cancelled":
        yield "a cancelled batch goes on"


async def denied(stage: Stage, number: int) -> AsyncIterator[str]:
    """Which role is let in that the file does not name for it."""
    for name, role in sorted(stage.spec.access.roles.items()):
        if BATCH in role.operations:
            continue
        async with stage.client(stage.key(name), number) as client:
            await known(client)
            if (await client.get("/v1/batches")).status_code != 403:
                yield f"the role {name} is let in"


# -- the API ----------------------------------------------------------------------------------------------------------


def rows(model: str, count: int) -> Iterator[dict[str, Any]]:
    """Rows of a batch."""
    for number in range(count):
        yield {"custom_id": f"row-{number}", "method": "POST", "url": CHAT, "body": chat(model, max_tokens=1)}


async def upload(client: Client, content: Iterator[dict[str, Any]]) -> str:
    """A file's id."""
    lines = "".join(json.dumps(row) + "\n" for row in content).encode()
    made = await client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("rows.jsonl", lines)})
    return str(made.json()["id"])


def wish(file: str) -> dict[str, str]:
    """A batch of chats."""
    return {"input_file_id": file, "endpoint": CHAT, "completion_window": WINDOW}


async def create(client: Client, file: str) -> str:
    """A batch's id."""
    made = (await client.post("/v1/batches", json=wish(file))).json()
    return str(made["id"])


async def answered(client: Client, batch: str) -> int:
    """Rows so far; -1 while the gateway is away."""
    with suppress(httpx.HTTPError, KeyError):
        return int((await client.get(f"/v1/batches/{batch}")).json()["request_counts"]["completed"])
    return -1


async def until(client: Client, batch: str, count: int) -> None:
    """Wait until so many rows are answered. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await answered(client, batch) >= count:
                return
            await asyncio.sleep(POLL_S)


async def end(client: Client, batch: str) -> dict[str, Any]:
    """The batch, once it has ended. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(httpx.HTTPError):
                found: dict[str, Any] = (await client.get(f"/v1/batches/{batch}")).json()
                if found.get("status") in ENDED:
                    return found
            await asyncio.sleep(POLL_S)


async def known(client: Client) -> None:
    """Wait until the gateway has taken up the key. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if (await client.get("/v1/models")).status_code != 401:
                return
            await asyncio.sleep(POLL_S)
