"""Proofs about requests under way: cancelled, overloaded, cut at their deadline, drained."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import httpx

from fairlead.ops.prove.access import settled
from fairlead.ops.prove.outcome import Outcome
from fairlead.ops.prove.stage import LONG_PROMPT, SHORT_PROMPT, Stage
from fairlead.spec.types import OpenVinoModel

LEAVES_AFTER_S = 0.3
IDLE_WITHIN_S = 1.0
LEAVING = 8  # clients, so that a quick engine cannot be done before they leave
LONG_ANSWER = 1500  # tokens; fits into the window of every model here beside LONG_PROMPT
DEADLINE_TRIED_S = 0.3
CHAT = "/v1/chat/completions"


def usable(stage: Stage) -> tuple[str, str]:
    """A model that some role may chat with, and that role."""
    for model in sorted(stage.spec.models):
        role = stage.role_for(model)
        if role is not None:
            return model, role
    raise LookupError("no role may chat with any model")


def chat(model: str, prompt: str = SHORT_PROMPT, **more: object) -> dict[str, object]:
    """A chat request."""
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **more}


async def cancel(stage: Stage) -> Outcome:
    """Clients that leave free the engine within a second, streaming or not; what they do not hear is not computed."""
    model, role = usable(stage)
    key = stage.key(role)
    await settled(stage, key, model)
    slowest, computed, wanted = 0.0, 0.0, LEAVING * LONG_ANSWER
    for stream in (False, True):
        before = await stage.engine_tokens()
        async with stage.client(key) as client:
            asked = chat(model, LONG_PROMPT, stream=stream, ignore_eos=True, max_tokens=LONG_ANSWER)
            asking = [asyncio.create_task(consume(client, asked)) for _ in range(LEAVING)]
            await asyncio.sleep(LEAVES_AFTER_S)
            for _ in range(500):  # a slow machine may not have begun yet
                if await stage.engine_running():
                    break
                await asyncio.sleep(0.01)
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)
        slowest = max(slowest, await idle_after(stage))
        computed = max(computed, await stage.engine_tokens() - before)
    holds = slowest <= IDLE_WITHIN_S and computed < wanted
    told = f"engine idle {slowest:.2f} s after the clients left, {computed:,.0f} of {wanted:,} tokens computed"
    return Outcome(holds, f"{told}, streaming or not")


async def consume(client: httpx.AsyncClient, asked: dict[str, object]) -> int:
    """Read an answer to its end; returns its status."""
    async with client.stream("POST", CHAT, json=asked) as answer:
        async for _ in answer.aiter_bytes():
            pass
        return answer.status_code


async def idle_after(stage: Stage) -> float:
    """Seconds until no engine works."""
    began = time.monotonic()
    while time.monotonic() - began < 10 * IDLE_WITHIN_S:
        if not await stage.engine_running():
            return time.monotonic() - began
        await asyncio.sleep(0.02)
    return float("inf")


async def overload(stage: Stage) -> Outcome:
    """More requests than replicas take and queue: the rest is told to come back, at once; nothing hangs."""
    model, role = next((name, role) for name in bounded(stage) if (role := stage.role_for(name)) is not None)
    declared = stage.spec.models[model]
    assert isinstance(declared, OpenVinoModel)
    key = stage.key(role)
    await settled(stage, key, model)
    room = declared.replicas * (declared.max_num_seqs + declared.max_queue)
    async with stage.client(key, timeout_s=60.0) as client:
        asked_for = chat(model, LONG_PROMPT, ignore_eos=True, max_tokens=256)
        asked = [client.post(CHAT, json=asked_for) for _ in range(2 * room)]
        answers = await asyncio.gather(*asked)
    counts = {code: sum(answer.status_code == code for answer in answers) for code in (200, 429)}
    told = all(answer.headers.get("retry-after") for answer in answers if answer.status_code == 429)
    holds = counts[200] >= room and counts[429] > 0 and sum(counts.values()) == len(answers) and told
    return Outcome(holds, f"of {len(answers)} at once {counts[200]} answered, {counts[429]} told to come back")


def bounded(stage: Stage) -> list[str]:
    """Models whose engine has a bounded queue of a size that can be tried here."""
    return [
        name
        for name, model in sorted(stage.spec.models.items())
        if isinstance(model, OpenVinoModel) and model.replicas * (model.max_num_seqs + model.max_queue) <= 400
    ]


async def deadline(stage: Stage) -> Outcome:
    """A request that takes longer than its route allows ends with 504, or with an error event when it streams."""
    model, role = usable(stage)
    key = stage.key(role)
    short = {name: {"model": name, "timeout_s": DEADLINE_TRIED_S} for name in stage.spec.models}
    number = await stage.add_gateway(routes=short)
    asked = chat(model, LONG_PROMPT, ignore_eos=True, max_tokens=1900)
    async with stage.client(key, number) as client:
        whole = await client.post(CHAT, json=asked)
        streamed = await client.post(CHAT, json={**asked, "stream": True})
    holds = whole.status_code == 504 and "deadline_exceeded" in streamed.text and "[DONE]" not in streamed.text
    seconds = whole.elapsed.total_seconds()
    return Outcome(holds, f"tried at {DEADLINE_TRIED_S} s: cut after {seconds:.2f} s with {whole.status_code}")


async def context(stage: Stage) -> Outcome:
    """A prompt of more tokens than the window is refused with OpenAI's code; one that fits is answered."""
    model, role = usable(stage)
    key = stage.key(role)
    await settled(stage, key, model)
    async with stage.client(key) as client:
        fits = await client.post(CHAT, json=chat(model, max_tokens=4))
        over = await client.post(CHAT, json=chat(model, "word " * 40_000, max_tokens=4))
    code = (over.json().get("error") or {}).get("code")
    holds = fits.status_code == 200 and over.status_code == 400 and code == "context_length_exceeded"
    return Outcome(holds, f"40,000 words: {over.status_code} {code}")


async def drain(stage: Stage) -> Outcome:
    """SIGTERM: the stream under way is finished, new connections are refused, the process ends by itself."""
    model, role = usable(stage)
    key = stage.key(role)
    number = await stage.add_gateway()
    await settled(stage, key, model)
    pid = stage.gateway_pid(number)
    assert pid is not None
    async with stage.client(key, number) as client:
        asked = chat(model, LONG_PROMPT, stream=True, max_tokens=400)
        async with client.stream("POST", CHAT, json=asked) as answer:
            pieces = answer.aiter_text()
            text = await anext(pieces)
            os.kill(pid, signal.SIGTERM)
            refused = await refuses(stage, number)
            text += "".join([piece async for piece in pieces])
    whole = "[DONE]" in text
    return Outcome(whole and refused, f"stream finished: {whole}; new connections refused: {refused}")


async def refuses(stage: Stage, number: int) -> bool:
    """Whether a gateway stops taking connections within a second."""
    for _ in range(50):
        try:
            async with stage.client(None, number) as client:
                await client.get("/v1/models")
        except httpx.ConnectError:
            return True
        await asyncio.sleep(0.02)
    return False
