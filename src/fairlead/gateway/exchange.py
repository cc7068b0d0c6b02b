"""One admitted request: choose a replica, send, relay, account. Retries happen only before the first byte."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal
from fairlead.gateway.body import Body, for_engine
from fairlead.gateway.client import Client
from fairlead.gateway.engine_errors import openai_error
from fairlead.gateway.head import Refused
from fairlead.gateway.relay import Dechunker, EventRelay, Head, Malformed, Tokens, usage_of
from fairlead.gateway.tables import Caller, RouteTable, request_head
from fairlead.gateway.upstream import Replica, UpstreamConnection
from fairlead.gateway.used import NOTHING, estimate
from fairlead.policy.balance import pick
from fairlead.policy.estimate import learned
from fairlead.store.usage import Usage

if TYPE_CHECKING:
    from fairlead.gateway.app import App
    from fairlead.gateway.consumption import Admission
    from fairlead.gateway.waiting import Turn

MAX_COLLECTED_BYTES = 256 * 1024 * 1024
TRY_ANOTHER = frozenset({502, 503})
CLIENT_LEFT = 499
EVENT_STREAM = b"text/event-stream"
NO_CACHE = b"cache-control: no-cache\r\n"
USAGE_ON_REQUEST = frozenset({"chat", "completions"})


class Exchange:
    """The state of one request between a client and an engine.

    `admission` is what it holds of limits and budgets, `turn` its place in a model that tenants share fairly.
    """

    turn: Turn | None = None
    patient = False  # waits behind those that are in a hurry: here where tenants share the model, and at a picker
    _events: EventRelay | None = None
    _dechunker: Dechunker | None = None
    _upstream: UpstreamConnection | None = None
    _connecting: asyncio.Task[None] | None = None
    _replica: Replica | None = None
    _tried: tuple[Replica, ...] = ()
    _stale_retry = False
    _answer_head: Head | None = None
    _answering = False  # a byte of the answer has been sent to the client
    _accounted = False
    _ttft_ms: float | None = None
    _collected_bytes = 0

    def __init__(
        self,
        app: App,
        client: Client,
        *,
        request_id: bytes,
        caller: Caller,
        operation: str,
        route: RouteTable,
        raw: bytes,
        body: Body,
        started: float,
        admission: Admission | None = None,
    ) -> None:
        self._app = app
        self._client = client
        self.request_id = request_id
        self.caller = caller
        self._operation = operation
        self._route = route
        self._body = body
        self._request_bytes = len(raw)
        self._started = started
        self.deadline = started + route.timeout_s
        self.admission = admission
        ask_usage = bool(body.stream) and operation in USAGE_ON_REQUEST and not body.wants_usage
        self._payload = for_engine(raw, body, route.model.upstream_model, ask_usage=ask_usage)

    # -- sending ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start now; or when it is its turn, where tenants share the model."""
        app = self._app
        room = app.rooms.get(self._route.model.name) if app.rooms else None
        if room is None or self.admission is None or app.consumption is None:
            self.start()
            return
        now = app.wall()
        entry = app.consumption.entry(self.caller, self.admission, now, patient=self.patient)
        if entry.batch:  # its role may be one of those that wait
            self.patient = True
        room.enter(self, entry, now)

    def start(self) -> None:
        """Send the request to the replica with the least work, or refuse."""
        model = self._route.model
        if not self._tried:  # a retry is the same turn, or the round would always begin at the same replica
            model.turn += 1
        replica = pick(model.replicas, model.turn, self._tried)
        if replica is None:
            self._refuse(answers.NO_REPLICA if not self._tried else answers.ENGINE_LOST)
            return
        replica.in_flight += 1
        self._replica = replica
        kept = replica.take()
        if kept is not None:
            self._send(kept)
        else:
            self._connecting = asyncio.get_running_loop().create_task(self._connect(replica))

    async def _connect(self, replica: Replica) -> None:
        try:
            connection = await replica.connect()
        except OSError:
            replica.up = not replica.health_path
            self._connecting = None
            self.on_lost(unused=False)
            return
        self._connecting = None
        self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        self._upstream = connection
        model, payload = self._route.model, self._payload
        headers = model.batch_headers if self.patient else model.engine_headers
        head = request_head(connection.replica, self._operation, headers, len(payload), self.request_id)
        connection.send(self, head, payload)

    # -- what the engine says ---------------------------------------------------------------------------------------

    def on_head(self, head: Head) -> None:
        """The engine has begun to answer."""
        if head.status in TRY_ANOTHER and len(self._route.model.replicas) > 1 and self._try_another():
            return
        self._answer_head = head
        self._collected: list[bytes] = []
        if head.status == 200 and head.content_type.startswith(EVENT_STREAM):
            self._events = EventRelay(
                chunked_in=head.length is None,
                chunked_out=self._client.speaks_11,
                strip_usage=self._operation in USAGE_ON_REQUEST and not self._body.wants_usage,
            )
        elif head.length is None:
            self._dechunker = Dechunker()

    def on_answer(self, head: Head, body: bytes) -> None:
        """The whole answer at once."""
        if head.status != 200 or head.content_type.startswith(EVENT_STREAM):
            upstream = self._upstream
            self.on_head(head)
            if self._upstream is upstream and upstream is not None:
                self.on_body(body)
            return
        self._answer_head = head
        try:
            self._deliver(head, body)
        except OSError:
            self._fail(answers.LEDGER_DOWN)

    def on_body(self, piece: bytes) -> None:
        """A piece of the answer."""
        try:
            if self._events is not None:
                self._relay(self._events, piece)
            else:
                self._collect(piece)
        except Malformed:
            self._fail(answers.ENGINE_BROKEN)
        except OSError:  # the journal: what cannot be recorded is not given
            self._fail(answers.LEDGER_DOWN)

    def on_lost(self, *, unused: bool) -> None:
        """The engine's connection ended early (or could not be made)."""
        self._upstream = None
        head = self._answer_head
        if head is not None and head.length == -1:  # such an answer ends with its connection
            self._end_by_close(head)
        elif unused and not self._stale_retry and self._replica is not None:
            self._stale_retry = True  # a kept connection that the engine had closed: nothing was sent, ask again
            self._release(keep=False)
            self.start()
        elif head is not None or not self._try_another():
            self._fail(answers.ENGINE_LOST)

    def _relay(self, events: EventRelay, piece: bytes) -> None:
        out = events.feed(piece)
        head = self._answer_head
        if head is not None and head.length is not None and head.length >= 0:  # a stream of a length told beforehand
            self._collected_bytes += len(piece)
            if self._collected_bytes >= head.length:
                out += events.end()
        self._finish(events, out)

    def _finish(self, events: EventRelay, out: bytes) -> None:
        """Send a piece of a stream; account for it first when it is the last."""
        if not self._answering:
            self._answering = True
            self._ttft_ms = (self._app.now() - self._started) * 1e3
            out = self._stream_head() + out
        if events.last and not self._accounted:
            self._account(200, events.usage)
        if out:
            self._client.send(out)
        if events.ended:
            self._release(keep=True)
            self._client.answered()

    def _stream_head(self) -> bytes:
        assert self._answer_head is not None
        length = None if self._client.speaks_11 else -1
        kind = self._answer_head.content_type
        extra = NO_CACHE + self.admission.headers() if self.admission is not None else NO_CACHE
        return answers.head(200, kind, self.request_id, length, extra, close=self._client.must_close())

    def _collect(self, piece: bytes) -> None:
        head = self._answer_head
        assert head is not None
        payload = piece if self._dechunker is None else self._dechunker.feed(piece)
        self._collected.append(payload)
        self._collected_bytes += len(payload)
        if self._collected_bytes > MAX_COLLECTED_BYTES:
            raise Malformed("answer too large")
        if self._dechunker is not None:
            if self._dechunker.ended:
                self._deliver(head, b"".join(self._collected))
        elif head.length is not None and 0 <= head.length <= self._collected_bytes:
            if self._collected_bytes > head.length:
                raise Malformed("bytes behind the body")
            self._deliver(head, b"".join(self._collected))

    def _end_by_close(self, head: Head) -> None:
        try:
            if self._events is None:
                self._deliver(head, b"".join(self._collected))
            else:
                self._finish(self._events, self._events.end())
        except OSError:
            self._fail(answers.LEDGER_DOWN)

    def _deliver(self, head: Head, body: bytes) -> None:
        """Send a whole answer: account first, so that no answer is ever given that is not in the journal."""
        usage, content_type = None, head.content_type
        if head.status == 200:
            usage = usage_of(body)
        elif head.status >= 400:
            body, content_type = openai_error(head.status, body), answers.JSON
        self._release(keep=True)
        self._account(head.status, usage)
        extra = b"retry-after: %b\r\n" % head.retry_after if head.retry_after else b""
        if self.admission is not None:
            extra += self.admission.headers()
        self._answering = True
        self._client.send(
            answers.head(head.status, content_type, self.request_id, len(body), extra, close=self._client.must_close())
            + body
        )
        self._client.answered()

    # -- when it goes wrong -----------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """The client has left: stop the engine's work at once and charge what was generated."""
        if self._client.outlived(self):
            return
        if self._connecting is not None:
            self._connecting.cancel()
        self._release(keep=False)
        if not self._accounted:
            self._account(CLIENT_LEFT, None, reached=self.turn is None or not self.turn.entry.waiting)

    def expire(self) -> None:
        """The deadline has passed."""
        if self._connecting is not None:
            self._connecting.cancel()
        self._fail(answers.DEADLINE)

    def pause(self) -> None:
        """The client reads slower than the engine writes."""
        if self._upstream is not None:
            self._upstream.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self._upstream is not None:
            self._upstream.resume()

    def _try_another(self) -> bool:
        """Send to another replica, where attempts, budget and replicas allow; whether it was sent."""
        assert self._replica is not None
        tried = (*self._tried, self._replica)
        model, app = self._route.model, self._app
        if self._answering or len(tried) >= app.config.retry.attempts or not pick(model.replicas, 0, tried):
            return False
        budget = app.retry_budget.spend()
        if budget is None:
            return False
        app.retry_budget = budget
        app.accounting.counters.retries[model.name] += 1
        self._release(keep=False)
        self._tried = tried
        self.start()
        return True

    def _fail(self, refusal: Refusal) -> None:
        """End with an error: a clean one before the first byte, an error event behind it."""
        self._release(keep=False)
        if not self._answering:
            self._refuse(refusal)
            return
        if not self._accounted:
            self._account(refusal.status, self._events.usage if self._events else None)
        self._client.break_off(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        if not self._accounted:
            self._account(refusal.status, None, reached=False)
        extra = self.admission.headers() if self.admission is not None else b""
        self._say_no(refusal, extra)

    def turn_away(self, refused: Refused) -> None:
        """It waited for its turn, and is not going to get one: as if it had never been admitted."""
        self._accounted = True
        app = self._app
        if self.admission is not None:
            self.admission.cancel(app.wall())
        refusal, request_id = refused.refusal, self.request_id.decode()
        app.accounting.refused(refusal.status, refusal.code, request_id, self.caller.key_id, self._operation)
        self._say_no(refusal, refused.headers + (self.admission.headers() if self.admission is not None else b""))

    def _say_no(self, refusal: Refusal, extra: bytes) -> None:
        self._answering = True
        self._client.send(answers.refuse(refusal, self.request_id, extra, close=self._client.must_close()))
        self._client.answered()

    def _release(self, *, keep: bool) -> None:
        """Let go of the replica; keep the connection for the next request, or drop it."""
        upstream, self._upstream = self._upstream, None
        replica, self._replica = self._replica, None
        if replica is not None:
            replica.in_flight -= 1
        if upstream is not None:
            head = self._answer_head
            upstream.release(keep=keep and head is not None and head.keep_alive)

    # -- the books --------------------------------------------------------------------------------------------------

    def _account(self, status: int, usage: Tokens | None, *, reached: bool = True) -> None:
        """Write the record. Without the engine's word the tokens are counted from what was relayed.

        Raises OSError when a complete answer cannot be recorded; an error is told all the same.
        """
        self._accounted = True
        model, app = self._route.model, self._app
        now = app.now()
        wall_now = app.wall_offset + now
        estimated = usage is None and reached and status in {200, CLIENT_LEFT, 502, 504}
        if usage is not None:
            model.bytes_per_token = learned(model.bytes_per_token, self._request_bytes, usage.prompt)
        elif estimated:
            usage = estimate(model, self._operation, self._request_bytes, head=self._answer_head, events=self._events)
        else:
            usage = NOTHING
        cost = self._settle(usage, wall_now) if self.admission is not None else 0
        record = Usage(
            wall_now,
            self.request_id.decode(),
            self.caller.tenant,
            self.caller.key_id,
            self._route.name,
            model.name,
            self._operation,
            status,
            usage.prompt,
            usage.cached,
            usage.completion,
            self._ttft_ms,
            (now - self._started) * 1e3,
            estimated,
            cost,
        )
        try:
            app.accounting.record(record)
            app.ledger_ok = True
        except OSError:
            app.ledger_failed()
            if status == 200:
                raise

    def _settle(self, usage: Tokens, wall_now: float) -> int:
        """Give back what was held; what it cost in billionths."""
        assert self.admission is not None
        if self.turn is not None:
            self.turn.end(usage.prompt, usage.completion, wall_now)
        return self.admission.settle(usage.prompt, usage.cached, usage.completion, wall_now)
