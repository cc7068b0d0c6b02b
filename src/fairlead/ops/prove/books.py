"""Proofs about what is written down: every answer is in the ledger, and no prompt is anywhere."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import uuid
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, LiteralString

import httpx

from fairlead.ops.prove.access import settled
from fairlead.ops.prove.outcome import Outcome
from fairlead.ops.prove.stage import Stage
from fairlead.ops.prove.traffic import CHAT, chat, usable
from fairlead.store.postgres import Database

KILLS = 5
CALLERS = 8
BETWEEN_KILLS_S = 0.5
TOKENS: LiteralString = "SELECT request_id, prompt_tokens + completion_tokens"


async def durability(stage: Stage) -> Outcome:
    """kill -9 of the gateway under load: every answer that a client has is in the ledger, with the same tokens."""
    model, role = usable(stage)
    key = stage.key(role, tenant=f"durable-{uuid.uuid4().hex[:8]}")
    await settled(stage, key, model)
    got: dict[str, int] = {}
    callers = [asyncio.create_task(keep_asking(stage, key, model, got)) for _ in range(CALLERS)]
    kills = 0
    for _ in range(KILLS):
        await asyncio.sleep(BETWEEN_KILLS_S)
        pid = stage.gateway_pid(0)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            kills += 1
        await until_back(stage)
    await asyncio.sleep(BETWEEN_KILLS_S)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    written = records(stage, got)
    missing = {request for request in got if written.get(request) != got[request]}
    figure = f"{len(got)} answers over {kills} x kill -9; {len(missing)} of them missing or different in the ledger"
    return Outcome(bool(got) and kills == KILLS and not missing, figure)


async def keep_asking(stage: Stage, key: str, model: str, got: dict[str, int]) -> None:
    """Ask until cancelled; note the request id and the tokens of every whole answer."""
    while True:
        with suppress(httpx.HTTPError, ValueError):
            async with stage.client(key) as client:
                answer = await client.post(CHAT, json=chat(model, max_tokens=8))
                if answer.status_code == 200:
                    got[answer.headers["x-request-id"]] = answer.json()["usage"]["total_tokens"]
        await asyncio.sleep(0.005)


async def until_back(stage: Stage) -> None:
    """Wait until the gateway answers again."""
    for _ in range(500):
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient(trust_env=False) as client:
                if (await client.get(f"{stage.admin[0]}/readyz")).status_code == 200:
                    return
        await asyncio.sleep(0.02)


def records(stage: Stage, wanted: dict[str, int]) -> dict[str, int]:
    """Total tokens of requests in the ledger, by request id."""
    stage.ledger().close()
    rows: Iterable[Any]  # the columns have the types of Usage
    if stage.place.url:
        with closing(Database(stage.place.url)) as postgres, postgres.transaction() as cursor:
            rows = tuple(cursor.execute(f"{TOKENS} FROM fairlead.usage"))
    else:
        with sqlite3.connect(stage.layout.ledger) as sqlite:
            rows = tuple(sqlite.execute(f"{TOKENS} FROM usage"))
    return {request: tokens for request, tokens in rows if request in wanted}


async def silence(stage: Stage) -> Outcome:
    """No prompt and no answer is in any file that the service writes."""
    model, role = usable(stage)
    key = stage.key(role)
    await settled(stage, key, model)
    canary = f"canary-{uuid.uuid4().hex}"
    async with stage.client(key) as client:
        for stream in (False, True):
            await client.post(CHAT, json=chat(model, canary, stream=stream))
        await client.post(CHAT, json=chat(f"no-{canary}", canary))
        await client.post(CHAT, content=b'{"broken": "' + canary.encode())
    await asyncio.sleep(0.3)  # the log is flushed every 50 ms
    stage.ledger().close()
    files = [path for path in stage.layout.state.rglob("*") if path.is_file()]
    leaks = [path for path in files if canary.encode() in read(path) or key.encode() in read(path)]
    detail = ", ".join(str(path.relative_to(stage.layout.state)) for path in leaks)
    return Outcome(not leaks, f"{len(files)} files searched, {len(leaks)} hold the prompt or the key", detail)


def read(path: Path) -> bytes:
    """A file's bytes; nothing when it has just gone."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
