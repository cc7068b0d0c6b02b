"""Where the file asks for it, the engine's own tokenizer counts a prompt before a call: a round trip, and exact.

vLLM's `POST /tokenize` takes the request's own body and applies the chat template. When no engine can say, the
estimate has to do: a count is never a reason to refuse. Only models that declare it come here; the others' requests go
straight into an exchange.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from fairlead.gateway import answers
from fairlead.gateway.body import UNREADABLE, Body, for_engine
from fairlead.gateway.head import Refused
from fairlead.gateway.relay import Dechunker, Head, Malformed
from fairlead.gateway.tables import TOKENIZE, RouteTable, request_head
from fairlead.gateway.upstream import Replica, UpstreamConnection
from fairlead.policy.balance import pick

if TYPE_CHECKING:
    from fairlead.gateway.connection import ClientConnection
    from fairlead.gateway.exchange import Exchange

PATIENCE_S = 2.0  # then the estimate has to do
LARGEST_BYTES = 64 * 1024 * 1024  # of an answer, which lists every token
Proceed = Callable[[int | None], "Exchange"]  # prompt tokens, None for an estimate; raises Refused and UNREADABLE


class _Count(msgspec.Struct, frozen=True):
    count: int


_decode = msgspec.json.Decoder(_Count).decode


class Counting:
    """What stands for the exchange, to its connection, until the prompt is counted. One question, one answer."""

    def __init__(
        self, client: ClientConnection, route: RouteTable, raw: bytes, body: Body, deadline: float, *, proceed: Proceed
    ) -> None:
        self.deadline = deadline
        self.drop: Callable[[], None] = lambda: None  # whom to tell that there will be no exchange
        self._client = client
        self._model = route.model
        self._payload = for_engine(raw, body, route.model.upstream_model, ask_usage=False)
        self._proceed: Proceed | None = proceed
        self._upstream: UpstreamConnection | None = None
        self._asking: asyncio.Task[None] | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._head: Head | None = None
        self._dechunker: Dechunker | None = None
        self._patience: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Ask the replica with the least work."""
        replica = pick(self._model.replicas, self._model.turn, ())
        if replica is None:
            self._told(None)
            return
        self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self._told, None)
        kept = replica.take()
        if kept is not None:
            self._send(kept)
        else:
            self._asking = asyncio.get_running_loop().create_task(self._connect(replica))

    async def _connect(self, replica: Replica) -> None:
        try:
            self._send(await replica.connect())
        except OSError:
            self._told(None)

    def _send(self, connection: UpstreamConnection) -> None:
        self._upstream = connection
        head = request_head(connection.replica, TOKENIZE, self._model.engine_headers, len(self._payload), b"count")
        connection.send(self, head, self._payload)

    # -- what the engine says ---------------------------------------------------------------------------------------

    def on_head(self, head: Head) -> None:
        """The answer begins."""
        self._head = head
        self._dechunker = Dechunker() if head.length is None else None

    def on_answer(self, head: Head, body: bytes) -> None:
        """The whole answer at once."""
        self._head = head
        self._release(keep=head.keep_alive)
        self._told(count_in(body) if head.status == 200 else None)

    def on_body(self, piece: bytes) -> None:
        """A piece of the answer."""
        head, dechunker = self._head, self._dechunker
        assert head is not None
        try:
            self._pieces.append(piece if dechunker is None else dechunker.feed(piece))
        except Malformed:
            self._told(None)
            return
        self._size += len(self._pieces[-1])
        if self._size > LARGEST_BYTES:
            self._told(None)
        elif dechunker.ended if dechunker is not None else self._size == head.length:
            self.on_answer(head, b"".join(self._pieces))

    def on_lost(self, *, unused: bool) -> None:
        """The engine's connection ended; perhaps the exchange finds a better one."""
        self._upstream = None
        self._told(None)

    # -- what the connection says -----------------------------------------------------------------------------------

    def abandon(self) -> None:
        """The client has left."""
        self._end()
        self.drop()

    def expire(self) -> None:
        """The deadline has passed."""
        self._end()
        self.drop()
        self._client.go_on(Refused(answers.DEADLINE))

    def pause(self) -> None:
        """Nothing is sent yet."""

    def resume(self) -> None:
        """Nothing is sent yet."""

    # -- the end ----------------------------------------------------------------------------------------------------

    def _told(self, count: int | None) -> None:
        proceed = self._proceed
        self._end()
        if proceed is None:
            return
        try:
            found: Exchange | Refused = proceed(count)
        except Refused as refused:
            found = refused
        except UNREADABLE as error:
            found = Refused(answers.bad_body(str(error)))
        self._client.go_on(found)

    def _end(self) -> None:
        self._proceed = None
        if self._patience is not None:
            self._patience.cancel()
        if self._asking is not None and self._upstream is None:
            self._asking.cancel()
        self._release(keep=False)

    def _release(self, *, keep: bool) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.release(keep=keep)


def count_in(body: bytes) -> int | None:
    """The tokens that an engine counted; None where it says nothing that can be believed."""
    try:
        count = _decode(body).count
    except UNREADABLE:
        return None
    return count if count >= 0 else None
