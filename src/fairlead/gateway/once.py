"""Idempotency-Key: what was answered to a key is kept in this gateway's memory, and answered again.

Between the exchange and its client stands a `Recorder`. A run that was charged for is kept, however it ended, so that
nobody is charged twice; one that failed before its first byte cost nothing, and may be tried again. When the client
leaves, the run goes on to its end: the client that comes back with the same key gets the whole answer. What is kept is
lost when the process ends, and other replicas do not know it.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal
from fairlead.gateway.head import Refused
from fairlead.gateway.relay import Dechunker, parse_head

if TYPE_CHECKING:
    from fairlead.gateway.app import App
    from fairlead.gateway.connection import ClientConnection
    from fairlead.gateway.exchange import Exchange

LARGEST_ANSWER = 4 * 1024 * 1024  # a larger one is not kept; a second run would cost again, so there is none
KEY = re.compile(rb"[!-~]{1,255}")
REPLAYED = b"idempotent-replayed: true\r\n"


def begin(app: App, client: ClientConnection, key: bytes, *, tenant: str, asked: bytes) -> Recorder | bytes:
    """What stands in for the client of a first run; or the answer that was given before. Raises Refused."""
    if not KEY.fullmatch(key):
        raise Refused(answers.BAD_IDEMPOTENCY_KEY)
    name = key.decode()
    verdict = app.once.begin(tenant, name, hashlib.sha256(asked).digest(), app.wall())
    app.accounting.counters.idempotent[verdict.action] += 1
    if verdict.action == "run":
        return Recorder(app, client, tenant, name)
    if verdict.action == "replay":
        return verdict.answer
    raise Refused(answers.SAID_OF_A_KEY[verdict.action], b"x-should-retry: %b\r\n" % SHOULD_RETRY[verdict.action])


SHOULD_RETRY = {"wait": b"true", "refuse": b"false", "lost": b"false", "full": b"true"}


def replay(answer: bytes, request_id: bytes, headers: bytes, *, close: bool) -> bytes:
    """An answer that was kept, as the answer to another request."""
    about, _, body = answer.partition(b"\n")
    status, _, content_type = about.partition(b" ")
    return answers.head(int(status), content_type, request_id, len(body), REPLAYED + headers, close=close) + body


class Recorder:
    """Hands on what an exchange says, and keeps it. Once the client has left, it is a connection without a wire."""

    def __init__(self, app: App, client: ClientConnection, tenant: str, key: str) -> None:
        self.deadline = float("inf")
        self._app = app
        self._client: ClientConnection | None = client
        self._exchange: Exchange | None = None
        self._place = (tenant, key)
        self._speaks_11 = client.speaks_11
        self._sent: list[bytes] = []
        self._size = 0

    # -- what the exchange sees -------------------------------------------------------------------------------------

    @property
    def speaks_11(self) -> bool:
        """Whether the client understands chunks."""
        return self._speaks_11

    def must_close(self) -> bool:
        """Whether this answer is the connection's last."""
        return self._client is not None and self._client.must_close()

    def send(self, data: bytes) -> None:
        """Keep it, and hand it on."""
        self._size += len(data)
        if self._size <= LARGEST_ANSWER:
            self._sent.append(data)
        else:
            self._sent.clear()
        if self._client is not None:
            self._client.send(data)

    def answered(self) -> None:
        """The answer is whole."""
        self._keep()
        if self._client is not None:
            self._client.answered()

    def break_off(self, refusal: Refusal) -> None:
        """What came before it was charged for: it is kept, its broken end included."""
        event = refusal.event()
        self._sent.append(answers.chunk(event) + answers.LAST_CHUNK if self._speaks_11 else event)
        self._keep()
        if self._client is not None:
            self._client.break_off(refusal)

    def outlived(self, exchange: Exchange) -> bool:
        """The client has left: the run goes on, under the deadline that it had."""
        if self._client is not None:
            self.deadline, self._client = self._client.deadline, None
            self._exchange = exchange
            self._app.connections.add(self)
            exchange.resume()
        return True

    # -- what the app sees, once there is no connection any more ----------------------------------------------------

    def on_deadline(self) -> None:
        """The time for the answer is over."""
        if self._exchange is not None:
            self._exchange.expire()

    def close_idle(self) -> None:
        """It is never idle."""

    # -- keeping ----------------------------------------------------------------------------------------------------

    def drop(self) -> None:
        """The request was refused before it could run: the key is new again."""
        self._app.once.fail(*self._place)

    def _keep(self) -> None:
        self._app.connections.discard(self)
        whole = b"".join(self._sent)
        if not whole:
            self._app.once.finish(*self._place, None)
            return
        block, _, body = whole.partition(b"\r\n\r\n")
        head = parse_head(block)
        if head.status >= 400:
            self.drop()
            return
        if head.length is None:
            body = Dechunker().feed(body)
        self._app.once.finish(*self._place, b"%d %b\n" % (head.status, head.content_type) + body)
