"""Many callers that cost little: requests written by hand on connections that stay open."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

from fairlead.ops.prove.stage import Stage
from fairlead.ops.prove.traffic import CHAT, chat


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, when it was asked for, and when it was there (monotonic)."""

    status: int
    body: bytes
    asked: float
    at: float

    @property
    def total_tokens(self) -> int:
        """The usage that the answer tells; 0 for a refusal."""
        return int(json.loads(self.body)["usage"]["total_tokens"]) if self.status == 200 else 0

    @property
    def code(self) -> str:
        """The error's code, or ""."""
        return "" if self.status == 200 else str(json.loads(self.body)["error"]["code"])


@dataclass(frozen=True, slots=True)
class Asking:
    """What a caller asks, again and again: `prompt` and `completion` tokens of a model, by a key."""

    key: str
    model: str
    prompt: int = 1
    completion: int = 1

    @property
    def request(self) -> bytes:
        """The request as it goes over the wire."""
        body = json.dumps(chat(self.model, seed=self.prompt, max_tokens=self.completion)).encode()
        lines = (f"POST {CHAT} HTTP/1.1", "host: gateway", f"authorization: Bearer {self.key}")
        framing = ("content-type: application/json", f"content-length: {len(body)}")
        return "\r\n".join((*lines, *framing, "", "")).encode() + body


async def ask(stage: Stage, number: int, asking: Asking) -> Answer:
    """One request on a connection of its own."""
    return (await keep_asking(stage, number, asking, times=1))[0]


async def keep_asking(
    stage: Stage, number: int, asking: Asking, *, for_s: float = float("inf"), times: int = 1 << 30, until: int = 0
) -> list[Answer]:
    """Ask again when answered: so many seconds or times, or until an answer has the status `until`."""
    host, port = stage.urls[number].rpartition("//")[2].rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    request, end, got = asking.request, time.monotonic() + for_s, list[Answer]()
    try:
        while time.monotonic() < end and len(got) < times:
            asked = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            got.append(Answer(int(head[9:12]), body, asked, time.monotonic()))
            if got[-1].status == until:
                break
    finally:
        writer.close()
    return got


async def crowd(callers: int, stage: Stage, number: int, asking: Asking, **until: float) -> list[Answer]:
    """So many callers at once; all their answers."""
    for_s, status = until.get("for_s", float("inf")), int(until.get("until", 0))
    work = (keep_asking(stage, number, asking, for_s=for_s, until=status) for _ in range(callers))
    return [answer for answers in await asyncio.gather(*work) for answer in answers]
