"""An engine that answers what it is asked to use: where limits and money are tried, usage has to be known beforehand.

A request's `max_tokens` is the number of completion tokens that it reports, and `seed` the number of prompt tokens.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

ANSWER = (
    '{"id":"stand-in","object":"chat.completion","created":0,"model":"stand-in","choices":[{"index":0,"message":'
    '{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,'
    '"total_tokens":%d}}'
)


class StandIn:
    """Answers each request after `delay_s`. `url` is where it listens, `asked` how many requests came."""

    def __init__(self) -> None:
        self.url = ""
        self.delay_s = 0.0
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, a request after the other."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                self.asked += bool(length)
                body = answer(await reader.readexactly(length)) if length else b"{}"
                if length and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway has closed it
        finally:
            writer.close()


def answer(asked: bytes) -> bytes:
    """The answer to a request's body."""
    wanted = json.loads(asked)
    prompt, completion = int(wanted.get("seed") or 1), int(wanted.get("max_tokens") or 1)
    return (ANSWER % (prompt, completion, prompt + completion)).encode()


@asynccontextmanager
async def stand_in(delay_s: float = 0.0) -> AsyncIterator[StandIn]:
    """Listen on loopback until the block ends."""
    engine = StandIn()
    engine.delay_s = delay_s
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(engine.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
