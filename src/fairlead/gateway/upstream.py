"""Connections to engines: kept alive, handed out last-in first-out, one request at a time on each."""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol, cast
from urllib.parse import urlsplit

from fairlead.gateway.relay import MAX_HEAD_BYTES, Head, Heads, Malformed

CONNECT_TIMEOUT_S = 3.0
PROBE_TIMEOUT_S = 2.0


class Listener(Protocol):
    """What an exchange wants to hear from its connection."""

    def on_head(self, head: Head) -> None:
        """The answer's head has come."""

    def on_body(self, piece: bytes) -> None:
        """A piece of the body, with its framing."""

    def on_answer(self, head: Head, body: bytes) -> None:
        """The whole answer came at once: instead of `on_head` and `on_body`."""

    def on_lost(self, *, unused: bool) -> None:
        """The connection ended before the answer did. `unused`: no byte of an answer had come, on a kept connection."""


class Replica:
    """One engine process: its address, its idle connections, its work, and whether it takes requests."""

    def __init__(self, url: str, health_path: str, shown: str = "") -> None:
        parts = urlsplit(url)
        self.url = url
        self.shown = shown or url  # a URL may come from a variable, and then it is not shown
        self.host = parts.hostname or ""
        self.tls = ssl.create_default_context() if parts.scheme == "https" else None
        self.port = parts.port or (443 if self.tls else 80)
        self.authority = parts.netloc.rpartition("@")[2].encode()
        self.base_path = parts.path.rstrip("/").removesuffix("/v1").encode()
        self.health_path = health_path
        self.in_flight = 0
        self.up = not health_path
        self.misses = 0
        self.idle: list[UpstreamConnection] = []
        self.heads = Heads()

    def take(self) -> UpstreamConnection | None:
        """A kept connection, the most recently used one, or None."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.closed:
                return connection
        return None

    async def connect(self) -> UpstreamConnection:
        """A new connection. Raises OSError (TimeoutError is one)."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(self), self.host, self.port, ssl=self.tls
            )
        return connection

    def close_idle(self) -> None:
        """Close the kept connections."""
        while self.idle:
            self.idle.pop().abort()

    async def probe(self) -> bool:
        """Whether the engine answers its health path with 200."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
                try:
                    path = self.base_path + self.health_path.encode()
                    writer.write(b"GET %b HTTP/1.1\r\nhost: %b\r\nconnection: close\r\n\r\n" % (path, self.authority))
                    line = await reader.readline()
                finally:
                    writer.close()
        except (OSError, ValueError):
            return False
        return line.split(b" ")[1:2] == [b"200"]


class UpstreamConnection(asyncio.Protocol):
    """The wire to one engine. Reads a head, then hands on the body's bytes as they come."""

    __slots__ = ("_head_bytes", "_in_body", "_listener", "_transport", "closed", "replica", "used")

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.closed = False
        self.used = False  # has carried an answer before: the engine may have closed it meanwhile
        self._listener: Listener | None = None
        self._head_bytes = b""
        self._in_body = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)

    def send(self, listener: Listener, head: bytes, body: bytes) -> None:
        """Begin a request; the listener hears of its answer."""
        self._listener = listener
        self._in_body = False
        assert self._transport is not None
        if len(body) < 65536:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        listener = self._listener
        if listener is None:  # an engine that speaks unasked is not to be trusted with the next request
            self.abort()
        elif self._in_body:
            listener.on_body(data)
        else:
            self._read_head(listener, data)

    def _read_head(self, listener: Listener, data: bytes) -> None:
        if self._head_bytes:
            data, self._head_bytes = self._head_bytes + data, b""
        end = data.find(b"\r\n\r\n")
        if end < 0 and len(data) <= MAX_HEAD_BYTES:
            self._head_bytes = data
            return
        try:
            head = self.replica.heads.read(data[: max(0, end)])
        except Malformed:
            self._fail(unused=False)
            return
        if head.status < 200:  # 100 Continue: the real head follows
            if end + 4 < len(data):
                self._read_head(listener, data[end + 4 :])
            return
        self._in_body = True
        body = data[end + 4 :]
        if head.length == len(body):
            listener.on_answer(head, body)
            return
        listener.on_head(head)
        if body and self._listener is listener:
            listener.on_body(body)

    def release(self, *, keep: bool) -> None:
        """The answer is over; keep the connection for the next request where both sides want it."""
        self._listener = None
        self.used = True
        if keep and not self.closed:
            self.replica.idle.append(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once: the engine sees that nobody waits any more."""
        self._listener = None
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Stop reading: the client is slower than the engine."""
        if self._transport is not None and not self.closed:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self.closed:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.closed = True
        if self._listener is not None:
            self._fail(unused=self.used and not self._in_body and not self._head_bytes)
        elif self in self.replica.idle:
            self.replica.idle.remove(self)

    def _fail(self, *, unused: bool) -> None:
        listener, self._listener = self._listener, None
        self.abort()
        if listener is not None:
            listener.on_lost(unused=unused)
