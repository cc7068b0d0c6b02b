"""Raw bytes in, raw bytes out: a client that never mends what a test wants to send."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

STATUS = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d)")


async def exchange(port: int, raw: bytes, *, quiet_s: float = 1.0) -> bytes:
    """Send `raw` on a connection of its own; return all that comes until the end, or until `quiet_s` of silence."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        writer.write(raw)
        while piece := await asyncio.wait_for(reader.read(65536), quiet_s):
            answer += piece
    except (TimeoutError, ConnectionError):
        pass  # silence and a reset are answers too: "no more"
    finally:
        writer.transport.abort()
    return answer


def statuses(answer: bytes) -> list[int]:
    """The final status codes in `answer`, in order; `100 Continue` is none."""
    return [int(status) for status in STATUS.findall(answer)]


async def exchange_all(port: int, payloads: Mapping[str, bytes], *, at_once: int = 32) -> dict[str, list[int]]:
    """Each payload on a connection of its own -> the status codes that it was answered with."""
    gate = asyncio.Semaphore(at_once)

    async def one(raw: bytes) -> list[int]:
        async with gate:
            return statuses(await exchange(port, raw))

    answers = await asyncio.gather(*(one(raw) for raw in payloads.values()))
    return dict(zip(payloads, answers, strict=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer; the names of its fields are in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def request_id(self) -> str:
        return self.fields["x-request-id"]


def post(key: str, body: dict[str, Any] | bytes, *fields: str, path: str = "/v1/chat/completions") -> bytes:
    """A clean POST."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(f"POST {path} HTTP/1.1", key, f"Content-Length: {len(raw)}", *fields) + raw


def get(key: str, path: str = "/v1/models", *fields: str) -> bytes:
    return head(f"GET {path} HTTP/1.1", key, *fields)


def head(line: str, key: str, *fields: str) -> bytes:
    usual = ("Host: gateway.test", f"Authorization: Bearer {key}", "Content-Type: application/json")
    return "\r\n".join((line, *usual, *fields, "", "")).encode()


@asynccontextmanager
async def connection(port: int, **options: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is cut, not closed politely, at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and fields (lower-case names) of the next answer. Raises IncompleteReadError at the end."""
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    return int(line.split(" ")[1]), fields


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next whole answer. Raises IncompleteReadError when it breaks off."""
    status, fields = await read_head(reader)
    if fields.get("transfer-encoding") == "chunked":
        body = b"".join([piece async for piece in read_chunks(reader)])
    else:
        body = await reader.readexactly(int(fields.get("content-length", 0)))
    return Answer(status, fields, body)


async def read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The pieces of a chunked body, up to its proper end."""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")


async def ask(port: int, raw: bytes) -> Answer:
    """One request on a connection of its own."""
    async with connection(port) as (reader, writer):
        writer.write(raw)
        return await asyncio.wait_for(read_answer(reader), 30.0)


async def until_end(reader: asyncio.StreamReader, *, within_s: float) -> bytes:
    """All that comes until the other side closes. Raises TimeoutError when it does not."""
    try:
        return await asyncio.wait_for(reader.read(-1), within_s)
    except ConnectionError:
        return b""
