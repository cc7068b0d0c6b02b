"""One kept connection to an HTTP/1.1 server: a request out, a whole answer back. llhttp parses.

A client library costs a row more than the gateway does (see docs/limits.md on what it costs there); a load generator
is measured beside this one by `make bench-batch`.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

CONNECT_TIMEOUT_S = 10.0
KEPT = frozenset((b"retry-after", b"x-should-retry", b"x-request-id"))


@dataclass(slots=True)
class Reply:
    """An answer: `fields` has those of KEPT."""

    status: int = 0
    fields: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is. `path` is what stands before /v1."""

    host: str
    port: int
    path: str
    authority: str
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str, tls: ssl.SSLContext) -> Address:
        """Of a base URL such as http://127.0.0.1:8080."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        path = parts.path.rstrip("/").removesuffix("/v1")
        return cls(parts.hostname or "", port, path, parts.netloc, tls if secure else None)


class Connection(asyncio.Protocol):
    """For one request at a time. `open` makes it; a closed one is thrown away."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._reply = Reply()
        self._parts: list[bytes] = []
        self._parser: Any = None
        self.closed = False

    @classmethod
    async def open(cls, address: Address) -> Connection:
        """Connect. Raises OSError (TimeoutError is one)."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, made = await loop.create_connection(cls, address.host, address.port, ssl=address.tls)
        return made

    async def ask(self, request: bytes, timeout_s: float) -> Reply:
        """Send a request and wait for its whole answer. Raises OSError when it does not come; then it is closed."""
        assert self._transport is not None
        self._reply, self._parts = Reply(), []
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._waiting
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop it."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    # -- the loop's and the parser's side -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, AttributeError):  # AttributeError: nobody had asked anything
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser callback."""
        if name.lower() in KEPT:
            self._reply.fields[name.lower()] = value

    def on_body(self, piece: bytes) -> None:
        """Parser callback."""
        self._parts.append(piece)

    def on_message_complete(self) -> None:
        """Parser callback."""
        self._reply.status = self._parser.get_status_code()
        self._reply.body = b"".join(self._parts)
        if not self._parser.should_keep_alive():
            self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._reply)
