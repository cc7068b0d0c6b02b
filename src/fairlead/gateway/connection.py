"""The client's side of the wire: strict HTTP/1.1 in, one request at a time, answers in the order of the requests.

A head is parsed only when it is whole. After a refusal that leaves doubt about where the request ends, the
connection closes and nothing behind it is ever looked at.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from fairlead.gateway import answers
from fairlead.gateway.admission import Admitted, KeysPending, admit
from fairlead.gateway.answers import Refusal
from fairlead.gateway.batches_paths import is_upload
from fairlead.gateway.body import UNREADABLE
from fairlead.gateway.config import BATCH
from fairlead.gateway.counting import Counting
from fairlead.gateway.desk import PATIENCE_S, Found, outcome
from fairlead.gateway.entrance import Known, enter
from fairlead.gateway.exchange import Exchange
from fairlead.gateway.head import REQUEST_ID, Head, Refused, read_head
from fairlead.gateway.tables import PATHS

if TYPE_CHECKING:
    from fairlead.gateway.app import App
    from fairlead.gateway.batches import Batches
    from fairlead.gateway.batches_download import Download
    from fairlead.gateway.batches_upload import Upload

IDLE, HEAD, BODY, CHUNKED, BUSY, LINGER, CLOSED = range(7)
PIPELINE_BYTES = 256 * 1024  # taken ahead while a request is being answered; who sends more is cut off
LINGER_S = 2.0  # a refused upload is read and dropped this long, so that the client gets to see the answer
CODING_SLACK_BYTES = 16 * 1024  # bytes of chunk framing allowed on top of the largest body
FOREVER = float("inf")


class ClientConnection(asyncio.Protocol):
    """One client. The app's sweep calls `on_deadline` once `deadline` (monotonic time) has passed."""

    __slots__ = (
        *("_admitted", "_app", "_buffer", "_closing", "_exchange", "_left", "_parts", "_pumping"),
        *("_request_id", "_size", "_state", "_transport", "deadline"),
    )

    def __init__(self, app: App) -> None:
        self._app = app
        self._transport: asyncio.Transport | None = None
        self._state = IDLE
        self._buffer = b""
        self._admitted: Admitted | None = None
        self._closing = self._pumping = False
        self._request_id = b""
        self._parts: list[bytes] = []
        self._left = 0  # bytes of the body still to come; of a chunked one, bytes still allowed on the wire
        self._size = 0
        self._exchange: Exchange | Counting | Upload | Download | None = None
        self.deadline = FOREVER

    # -- the loop's side --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)
        app = self._app
        app.connections.add(self)
        self.deadline = app.now() + app.config.limits.header_timeout_s
        if len(app.connections) > app.config.limits.max_connections or app.draining:
            self._request_id = app.new_request_id()
            self.refuse(answers.BUSY, close=True)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        state = self._state
        if state >= LINGER:
            return
        try:
            if state == BODY:
                data = self._take_body(data)
            elif state == CHUNKED:
                self._take_chunks(data)
                return
            self._buffer = self._buffer + data if self._buffer else data
            if self._state <= HEAD:
                self._pump()
            elif len(self._buffer) > PIPELINE_BYTES and self._transport is not None:
                # not paused: whoever does not read does not see a client leave, and its engine would work on
                self._transport.abort()
        except Refused as refused:
            self.refuse(refused.refusal, close=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._state = CLOSED
        self._app.connections.discard(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()

    def pause_writing(self) -> None:
        """Called by the loop: the client reads too slowly."""
        if self._exchange is not None:
            self._exchange.pause()

    def resume_writing(self) -> None:
        """Called by the loop."""
        if self._exchange is not None:
            self._exchange.resume()

    # -- reading ----------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Take requests from the buffer until one has to be waited for."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._buffer and self._state <= HEAD and self._take_head():
                pass
        except Refused as refused:
            self.refuse(refused.refusal, close=True)
        finally:
            self._pumping = False

    def _take_head(self) -> bool:
        """Begin the next request when its head is whole. Raises Refused."""
        app, buffer = self._app, self._buffer
        limits = app.config.limits
        end = buffer.find(b"\r\n\r\n") + 4
        if (len(buffer) if end == 3 else end) > limits.max_header_bytes:
            self._request_id = app.new_request_id()
            raise Refused(answers.HEADER_TOO_LARGE)
        if end == 3:
            if self._state == IDLE:
                self._state = HEAD
                self.deadline = app.now() + limits.header_timeout_s
            return False
        block, self._buffer = buffer[:end], buffer[end:]
        self._request_id = app.new_request_id()
        now = app.wall_now
        known = app.heads.recall(block, now)
        if known is not None:
            self._admitted, length = known
            self._closing = self._admitted.head.close
            self._begin_body(self._admitted.head, length, limits.max_body_bytes)
            return self._state <= HEAD
        return self._take_new_head(block, now)

    def _take_new_head(self, block: bytes, wall_now: float) -> bool:
        """A head unlike those before. Raises Refused."""
        app = self._app
        self._admitted = None
        self._closing = True  # until the head is understood, the connection's only future is its end
        head = read_head(block)
        self._closing = head.close
        told = head.fields.get(b"x-request-id")
        if told is not None and REQUEST_ID.fullmatch(told):
            self._request_id = told
        try:
            self._admitted = admit(app.tables, head, wall_now, app.tokens)
        except Refused as refused:
            self._refuse_keeping(refused.refusal, head)
            return self._state == IDLE
        except KeysPending as pending:
            self._wait(pending.fetch, block)
            return False
        if self._admitted.operation == BATCH and app.batches is not None and is_upload(head.method, head.path):
            self._receive_file(app.batches, self._admitted)
            return False
        app.heads.remember(block, self._admitted)
        self._begin_body(head, head.length, app.config.limits.max_body_bytes)
        return self._state <= HEAD

    def _receive_file(self, batches: Batches, admitted: Admitted) -> None:
        """An upload stands in for us until the file is whole. Raises Refused."""
        from fairlead.gateway.batches_upload import Upload

        assert self._transport is not None
        upload = Upload(batches, self, self._transport, admitted)
        self._state, self._exchange, self.deadline = BUSY, upload, upload.deadline
        data, self._buffer = self._buffer, b""
        upload.begin(data)

    def _wait(self, fetch: asyncio.Task[None], block: bytes) -> None:
        """Look at a head again once the key set has been fetched; the fetch has a deadline of its own."""
        self._state = BUSY
        self.deadline = FOREVER
        if self._transport is not None:
            self._transport.pause_reading()
        fetch.add_done_callback(lambda _: self._look_again(block))

    def _look_again(self, block: bytes) -> None:
        if self._state != BUSY:  # the client has left
            return
        self._state = IDLE
        self._buffer = block + self._buffer
        if self._transport is not None:
            self._transport.resume_reading()
        self._pump()

    def _begin_body(self, head: Head, length: int, max_bytes: int) -> None:
        if length > max_bytes:
            raise Refused(answers.BODY_TOO_LARGE)
        data, self._buffer = self._buffer, b""
        if len(data) == length and not head.chunked:  # as nearly always: the body came with the head
            self._dispatch(data)
            return
        if not length and not head.chunked:
            self._buffer = data
            self._dispatch(b"")
            return
        self._parts, self._size = [], 0
        self.deadline = self._app.now() + self._app.config.limits.body_timeout_s
        if b"expect" in head.fields and len(data) < (length or 1):
            self.send(answers.CONTINUE)
        if head.chunked:
            self._state = CHUNKED
            self._left = max_bytes + CODING_SLACK_BYTES
            head.on_piece = self._take_piece
            self._take_chunks(data)
        else:
            self._state = BODY
            self._left = length
            self._buffer = self._take_body(data) if data else b""

    def _take_body(self, data: bytes) -> bytes:
        """Take bytes of the body; gives back those behind it."""
        left = self._left
        if len(data) < left:
            self._parts.append(data)
            self._left = left - len(data)
            return b""
        rest = data[left:]
        self._parts.append(data[:left] if rest else data)
        parts, self._parts = self._parts, []
        self._buffer = rest
        self._dispatch(parts[0] if len(parts) == 1 else b"".join(parts))
        rest, self._buffer = self._buffer, b""
        return rest

    def _take_chunks(self, data: bytes) -> None:
        assert self._admitted is not None
        head = self._admitted.head
        self._left -= len(data)
        if self._left < 0:
            raise Refused(answers.BODY_TOO_LARGE)
        if data:
            head.feed(data)
        if head.ended:
            parts, self._parts = self._parts, []
            self._dispatch(b"".join(parts))

    def _take_piece(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._app.config.limits.max_body_bytes:
            self._parts.append(piece)
        else:
            self._left = -1
            self._parts.clear()

    # -- answering --------------------------------------------------------------------------------------------------

    def _dispatch(self, raw: bytes) -> None:
        """The request is whole: answer it, or hand it to an exchange."""
        app, admitted = self._app, self._admitted
        assert admitted is not None
        if self._left < 0:
            raise Refused(answers.BODY_TOO_LARGE)
        self._state = BUSY
        try:
            if admitted.operation not in PATHS:
                self.reply(app.desk.body(admitted, self, raw))
                return
            exchange = enter(app, self, admitted, raw, self._request_id)
        except (Refused, *UNREADABLE) as error:
            self.go_on(error if isinstance(error, Refused) else Refused(answers.bad_body(str(error))))
            return
        except Known as known:
            self.send(known.answer)
            self.answered()
            return
        self.deadline = exchange.deadline
        app.retry_budget = app.retry_budget.earn()
        self._exchange = exchange
        exchange.begin()

    def reply(self, body: bytes | asyncio.Task[Found]) -> None:
        """What needs no engine; at once, or when it has been found out."""
        if not isinstance(body, bytes):
            self.deadline = self._app.now() + PATIENCE_S
            body.add_done_callback(self._answer_found)
            return
        self.send(answers.head(200, answers.JSON, self._request_id, len(body), close=self.must_close()) + body)
        self.answered()

    def _answer_found(self, task: asyncio.Task[Found]) -> None:
        found = outcome(task)
        if self._state == BUSY:  # else the client has left
            self.reply(found) if isinstance(found, bytes) else self.go_on(found)

    @property
    def speaks_11(self) -> bool:
        """Whether the client understands chunks."""
        return self._admitted is not None and self._admitted.head.http_11

    def must_close(self) -> bool:
        """Whether this answer is the connection's last."""
        if self._app.draining:
            self._closing = True
        return self._closing

    def send(self, data: bytes) -> None:
        """Write to the client."""
        if self._transport is not None:
            self._transport.write(data)

    def answered(self) -> None:
        """The answer is written: go on with the next request, or close."""
        self._exchange = None
        if self._state >= LINGER:
            return
        if self.must_close():
            self.close()
            return
        self._state = IDLE
        self.deadline = self._app.coarse_now + self._app.config.limits.idle_timeout_s
        if self._buffer:
            self._pump()

    def break_off(self, refusal: Refusal) -> None:
        """End a stream that has begun with an error event, and the connection with it."""
        self._exchange = None
        event = refusal.event()
        self.send(answers.chunk(event) + answers.LAST_CHUNK if self.speaks_11 else event)
        self.close()

    def on_deadline(self) -> None:
        """The time for what the connection was doing is over."""
        state = self._state
        if state == BUSY and self._exchange is not None:
            self._exchange.expire()
        elif state in {HEAD, BODY, CHUNKED}:
            self._request_id = self._request_id or self._app.new_request_id()
            self.refuse(answers.TIMEOUT_READING, close=True)
        elif state == IDLE:
            self.close()
        elif self._transport is not None:
            self._transport.abort()

    def close_idle(self) -> None:
        """Close now if no request is under way (the gateway drains)."""
        if self._state == IDLE:
            self.close()

    def _refuse_keeping(self, refusal: Refusal, head: Head) -> None:
        """Refuse a request whose body has not been read; keep the connection when the body is here already."""
        length = head.length
        bodyless = head.method == b"HEAD"
        if head.chunked or length > len(self._buffer):
            self.refuse(refusal, close=True, bodyless=bodyless)
        else:
            self._buffer = self._buffer[length:]
            self.refuse(refusal, close=False, bodyless=bodyless)

    def go_on(self, found: Exchange | Download | Refused) -> None:
        """What could not be told at once: the request is refused, or here is its exchange."""
        if isinstance(found, Refused):
            self.refuse(found.refusal, close=False, headers=found.headers)
            return
        self._exchange = found
        found.begin()

    def outlived(self, exchange: Exchange) -> bool:
        """Whether an exchange goes on without its client: only where a recorder stands between the two."""
        return False

    def refuse(self, refusal: Refusal, *, close: bool, bodyless: bool = False, headers: bytes = b"") -> None:
        """Say no. With `close` nothing more is read from this client; what it still sends is dropped."""
        app, admitted = self._app, self._admitted
        caller, operation = (admitted.caller.key_id, admitted.operation) if admitted is not None else ("", "")
        app.accounting.refused(refusal.status, refusal.code, self._request_id.decode("latin-1"), caller, operation)
        closing = close or self.must_close()
        answer = answers.refuse(refusal, self._request_id, headers, close=closing)
        self.send(answer[: answer.index(b"\r\n\r\n") + 4] if bodyless else answer)
        if not close:
            self.answered()
            return
        self._buffer = b""
        self._parts = []
        self._state = LINGER
        self.deadline = app.now() + LINGER_S
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close after what is written has gone out; by force if the client does not take it."""
        self._state = CLOSED
        self.deadline = self._app.now() + LINGER_S
        if self._transport is not None:
            self._transport.close()
