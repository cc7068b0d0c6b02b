"""Proofs about the limits of a connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from fairlead.ops.prove.access import settled
from fairlead.ops.prove.outcome import Outcome
from fairlead.ops.prove.stage import Stage
from fairlead.ops.prove.traffic import CHAT, chat, usable

SLOW_TRIED_S = 0.5
NEVER_S = 6.0  # longer than anything tried here may take


async def sizes(stage: Stage) -> Outcome:
    """A byte more than the file allows is refused: headers with 431, bodies with 413."""
    model, role = usable(stage)
    key = stage.key(role)
    await settled(stage, key, model)
    limits = stage.spec.gateway.limits
    async with stage.client(key) as client:
        small = await client.post(CHAT, json=chat(model, max_tokens=1))
        head = await client.post(CHAT, json=chat(model), headers={"x-filler": "x" * limits.max_header})
        length = str(limits.max_body + 1)
    told = await raw(stage, key, f"content-length: {length}\r\n\r\n".encode())
    holds = small.status_code == 200 and head.status_code == 431 and told == 413
    return Outcome(
        holds, f"headers over {limits.max_header} bytes: {head.status_code}; bodies over {limits.max_body}: {told}"
    )


async def raw(stage: Stage, key: str, rest: bytes) -> int:
    """The status of a request written by hand."""
    async with connection(stage, 0) as (reader, writer):
        writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n".encode() + rest)
        line = await asyncio.wait_for(reader.readline(), 10.0)
    return int(line.split(b" ")[1]) if line else 0


@asynccontextmanager
async def connection(stage: Stage, number: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection to a gateway, closed at the end."""
    host, port = stage.urls[number].removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def slowness(stage: Stage) -> Outcome:
    """Headers and bodies that do not arrive in time are cut off; silent connections and too many of them are closed."""
    limits = {
        "max_connections": 20,
        "max_header_bytes": stage.spec.gateway.limits.max_header,
        "max_body_bytes": stage.spec.gateway.limits.max_body,
        "header_timeout_s": SLOW_TRIED_S,
        "body_timeout_s": SLOW_TRIED_S,
        "idle_timeout_s": SLOW_TRIED_S,
    }
    model, role = usable(stage)
    key = stage.key(role)
    number = await stage.add_gateway(limits=limits)
    await settled(stage, key, model)
    line = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    ask = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n"
    seconds = {
        "headers": await cut_after(stage, number, line.encode()),
        "body": await cut_after(stage, number, f"{line}content-length: 9\r\n\r\n{{".encode()),
        "silence": await cut_after(stage, number, ask.encode()),
    }
    over = await too_many(stage, number, 20)
    in_time = all(SLOW_TRIED_S * 0.5 <= each <= SLOW_TRIED_S * 4 + 2.5 for each in seconds.values())
    told = ", ".join(f"{name} {each:.2f} s" for name, each in seconds.items())
    return Outcome(in_time and over, f"tried at {SLOW_TRIED_S} s: {told}; connection 21 of 20 refused: {over}")


async def cut_after(stage: Stage, number: int, data: bytes) -> float:
    """Seconds until the gateway closes a connection on which nothing more is sent; infinite when it does not."""
    async with connection(stage, number) as (reader, writer):
        writer.write(data)
        began = time.monotonic()
        try:
            async with asyncio.timeout(NEVER_S):
                while await reader.read(65536):
                    pass
        except TimeoutError:
            return float("inf")
        return time.monotonic() - began


async def too_many(stage: Stage, number: int, limit: int) -> bool:
    """Whether the connection after the last allowed one is refused."""
    async with AsyncExitStack() as opened:
        for _ in range(limit):
            await opened.enter_async_context(connection(stage, number))
        try:
            reader, _ = await opened.enter_async_context(connection(stage, number))
            line = await asyncio.wait_for(reader.readline(), NEVER_S)
        except OSError:  # a TimeoutError too: it was let in, and nobody talks to it
            return False
        return b" 503 " in line
