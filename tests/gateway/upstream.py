"""A small OpenAI-like engine on a real socket that answers as a test tells it to, and remembers all that came.

It runs in a thread of its own. `Manner` says how it answers from now on. A request's `max_tokens` is the number of
tokens that it generates and `seed`, where given, the number of prompt tokens that it reports: so a test knows the usage
beforehand, and can mark a request in the ledger.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CACHED_TOKENS = 3


@dataclass(frozen=True, slots=True)
class Manner:
    """How the upstream answers. The default is a good engine."""

    first_byte_s: float = 0.0  # silence before the head of the answer
    gap_s: float = 0.0  # pause before each streamed chunk
    die: str = ""  # "before" the first byte, "head" inside it, or "middle": after `die_after` chunks
    die_after: int = 3  # events: the role and two tokens
    raw: bytes = b""  # sent instead of an answer, then the connection is closed
    pieces: tuple[bytes, ...] = ()  # the body of an SSE answer, one HTTP chunk and one write each
    status: int = 200
    fields: tuple[tuple[str, str], ...] = ()
    error: str = "upstream says no"
    flood_bytes: int = 0  # stream so much as fast as it is taken
    healthy: bool = True
    tokenizes: bool = True  # or knows no /tokenize


@dataclass(slots=True)
class Seen:
    """One request as it came from the gateway."""

    method: str
    path: str
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.body)
        return loaded


@dataclass(slots=True)
class Record:
    """What happened, but for the health checks."""

    seen: list[Seen] = field(default_factory=list)
    open: int = 0
    peak_open: int = 0
    cancelled: int = 0
    cancelled_at: float = 0.0
    tokens_sent: int = 0
    health_checks: int = 0
    tokenized: int = 0
    connections: int = 0


class Upstream:
    """One replica. `with upstream() as one:` starts and stops it."""

    def __init__(self) -> None:
        self.manner = Manner()
        self.record = Record()
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.server: asyncio.Server | None = None
        self.clients: set[Client] = set()
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Start to listen; a second time on the same port, as a restarted engine does."""
        self.run(self._listen()).result()

    def vanish(self) -> None:
        """Stop to listen and cut every connection, as a killed engine does."""
        self.run(self._vanish()).result()

    def close(self) -> None:
        self.vanish()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def forget(self) -> None:
        """A clean record and a good manner, for the next test."""
        self.manner, self.record = Manner(), Record()

    def run(self, work: Any) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def _listen(self) -> None:
        self.server = await self.loop.create_server(lambda: Client(self), "127.0.0.1", self.port, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _vanish(self) -> None:
        if self.server:
            for listening in self.server.sockets:
                self.loop.remove_reader(listening.fileno())
            await self.settle()  # closing while a connection is half accepted would leak it
            self.server.close()
        for client in list(self.clients):
            client.transport.abort()
        await self.settle()

    async def settle(self) -> None:
        """A few turns of the loop, for what was accepted or aborted just now."""
        for _ in range(10):
            await asyncio.sleep(0)


@contextmanager
def upstream() -> Iterator[Upstream]:
    one = Upstream()
    one.listen()
    try:
        yield one
    finally:
        one.close()


class Client(asyncio.Protocol):
    """One connection of the gateway. Requests on it are answered one after the other."""

    def __init__(self, owner: Upstream) -> None:
        self.owner = owner
        self.buffer = b""
        self.answering: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.owner.clients.add(self)
        self.owner.record.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.owner.clients.discard(self)
        if self.answering:
            self.answering.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.answering:
            self.next_request()

    def next_request(self) -> None:
        taken = take_request(self.buffer)
        if taken and not self.transport.is_closing():
            request, self.buffer = taken
            self.answering = self.owner.loop.create_task(self.answer(request))

    async def answer(self, request: Seen) -> None:
        record, manner = self.owner.record, self.owner.manner
        if request.path == "/health":
            record.health_checks += 1
            self.transport.write(whole(200 if manner.healthy else 503, b"{}", ()))
        elif request.path == "/tokenize":
            record.tokenized += 1
            await asyncio.sleep(manner.first_byte_s)
            counted = json.dumps({"count": usage_of(request.json)["prompt_tokens"], "tokens": [1] * 20_000}).encode()
            self.transport.write(whole(200, counted, ()) if manner.tokenizes else whole(404, b"{}", ()))
        else:
            await self.answer_counted(request, record, manner)
        self.answering = None
        self.next_request()

    async def answer_counted(self, request: Seen, record: Record, manner: Manner) -> None:
        record.seen.append(request)
        record.open += 1
        record.peak_open = max(record.peak_open, record.open)
        try:
            await self.answer_as(manner, request, record)
        except asyncio.CancelledError:
            record.cancelled += 1
            record.cancelled_at = time.monotonic()
            raise
        finally:
            record.open -= 1

    async def answer_as(self, manner: Manner, request: Seen, record: Record) -> None:
        if manner.first_byte_s:
            await asyncio.sleep(manner.first_byte_s)
        if manner.die == "before":
            self.transport.abort()
        elif manner.raw or manner.die == "head":
            self.transport.write(manner.raw or b"HTTP/1.1 200 OK\r\nContent-Ty")
            self.transport.close()
        elif manner.status != 200:
            error = {"message": manner.error, "type": "engine", "param": None, "code": manner.status}
            body = json.dumps({"error": error})
            self.transport.write(whole(manner.status, body.encode(), manner.fields))
        elif manner.flood_bytes:
            await self.flood(manner.flood_bytes)
        elif manner.pieces or request.json.get("stream"):
            await self.stream(manner, request, record)
        else:
            await asyncio.sleep(manner.gap_s)
            record.tokens_sent += usage_of(request.json)["completion_tokens"]
            self.transport.write(whole(200, json.dumps(completion(request)).encode(), ()))

    async def stream(self, manner: Manner, request: Seen, record: Record) -> None:
        self.transport.write(STREAM_HEAD)
        for number, piece in enumerate(manner.pieces or events(request)):
            if manner.gap_s:
                await asyncio.sleep(manner.gap_s)
            if manner.die == "middle" and number == manner.die_after:
                self.transport.abort()
                return
            self.transport.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            record.tokens_sent += b'"finish_reason"' in piece
        self.transport.write(b"0\r\n\r\n")

    async def flood(self, size: int) -> None:
        self.transport.write(STREAM_HEAD)
        piece = b"data: " + b"x" * 65528 + b"\n\n"
        for _ in range(size // len(piece)):
            await self.writable.wait()
            self.transport.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.owner.record.tokens_sent += 1
            await asyncio.sleep(0)
        self.transport.write(b"0\r\n\r\n")


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def take_request(buffer: bytes) -> tuple[Seen, bytes] | None:
    """The first whole request and the rest; None while it is incomplete. Only Content-Length frames a body here."""
    head, end, rest = buffer.partition(b"\r\n\r\n")
    if not end:
        return None
    line, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    assert "transfer-encoding" not in fields, "the gateway knows the length of what it forwards"
    size = int(fields.get("content-length", 0))
    if len(rest) < size:
        return None
    method, path, _ = line.split(" ")
    return Seen(method, path, fields, rest[:size]), rest[size:]


def whole(status: int, body: bytes, fields: tuple[tuple[str, str], ...]) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in fields)
    head = f"HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


def usage_of(asked: dict[str, Any]) -> dict[str, Any]:
    """Prompt tokens are `seed`, else the words; completion tokens are `max_tokens`."""
    prompt = json.dumps(asked.get("messages") or asked.get("prompt") or asked.get("input") or "")
    words, made = int(asked.get("seed") or len(prompt.split())), int(asked.get("max_tokens") or 4)
    cached = {"cached_tokens": min(CACHED_TOKENS, words)}
    totals = {"prompt_tokens": words, "completion_tokens": made, "total_tokens": words + made}
    return {**totals, "prompt_tokens_details": cached}


def completion(request: Seen) -> dict[str, Any]:
    asked = request.json
    text = "word " * usage_of(asked)["completion_tokens"]
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "text": text, "finish_reason": "length"}
    common = {"id": "cmpl-1", "object": "chat.completion", "created": 1, "model": asked.get("model")}
    return {**common, "choices": [choice], "usage": usage_of(asked)}


def events(request: Seen) -> Iterator[bytes]:
    """The SSE events of a stream, as vLLM sends them: the role, one a token, the usage if asked for, the end."""
    asked = request.json
    usage = usage_of(asked)
    common = {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 1, "model": asked.get("model")}
    wants_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
    yield event({**common, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    for number in range(usage["completion_tokens"]):
        choice = {"index": 0, "delta": {"content": f"t{number} "}, "finish_reason": None}
        extra = {"usage": None} if wants_usage else {}
        yield event({**common, "choices": [choice], **extra})
    if wants_usage:
        yield event({**common, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


Condition = Callable[[], bool]


def eventually(condition: Condition, *, within_s: float = 5.0, every_s: float = 0.01) -> bool:
    """Poll `condition` until it holds; False when `within_s` is over."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(every_s)
    return condition()
