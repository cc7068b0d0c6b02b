"""One row of a batch as a request like any other: the same rights, limits, budgets, ledger; last in the fair queue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from fairlead.gateway import tables
from fairlead.gateway.admission import Admitted
from fairlead.gateway.answers import Refusal
from fairlead.gateway.body import UNREADABLE
from fairlead.gateway.config import OPERATIONS
from fairlead.gateway.entrance import enter
from fairlead.gateway.head import Refused, read_head
from fairlead.gateway.relay import Dechunker, parse_head
from fairlead.store.batch_rows import Answer, Row
from fairlead.store.batches import Batch
from fairlead.store.usage import row_request

if TYPE_CHECKING:
    from fairlead.gateway.app import App
    from fairlead.gateway.connection import ClientConnection
    from fairlead.gateway.counting import Counting
    from fairlead.gateway.exchange import Exchange

FOREVER = float("inf")
HEADS = {path.decode(): read_head(b"POST %b HTTP/1.1\r\nhost: batch\r\n\r\n" % path) for path in OPERATIONS}
TOLD = (b"retry-after", b"x-should-retry")
Reply = tuple[Answer, Mapping[bytes, bytes]]


def operation_of(url: str) -> str:
    """The operation that a row's URL asks for."""
    return OPERATIONS[url.encode()]


def caller_of(app: App, batch: Batch) -> tables.Caller:
    """Who answers for a batch's rows, with the rights that its role has now."""
    return tables.caller_for(app.tables, key_id=batch.key_id, tenant=batch.tenant, role=batch.role, expires_at=FOREVER)


async def ask(app: App, batch: Batch, row: Row) -> Reply:
    """What the row is answered, and the fields of the answer that say whether to ask again."""
    client = RowClient(app)
    request_id = row_request(batch.id, row.custom_id, app.new_request_id())
    admitted = Admitted(HEADS[row.url], operation_of(row.url), caller_of(app, batch), patient=True)
    try:
        found = enter(app, cast("ClientConnection", client), admitted, row.body, request_id)
    except Refused as refused:
        refusal = refused.refusal
        caller, operation = admitted.caller.key_id, admitted.operation
        app.accounting.refused(refusal.status, refusal.code, request_id.decode(), caller, operation)
        fields = {b"retry-after": b"%d" % refusal.retry_after_s} if refusal.retry_after_s else {}
        return Answer(row.custom_id, refusal.status, request_id.decode(), refusal.body()), fields | told(
            refused.headers
        )
    except UNREADABLE as error:
        return Answer(row.custom_id, code="invalid_request", message=str(error)[:300]), {}
    app.retry_budget = app.retry_budget.earn()
    client.begin(found)
    return answer_of(row, await client.whole, request_id.decode())


def answer_of(row: Row, answer: bytes, request_id: str) -> Reply:
    """An answer's bytes as the row's."""
    block, _, body = answer.partition(b"\r\n\r\n")
    head = parse_head(block)
    if head.length is None:
        body = Dechunker().feed(body)
    return Answer(row.custom_id, head.status, request_id, body), told(block)


def told(block: bytes) -> dict[bytes, bytes]:
    """The fields of TOLD in a block of header lines."""
    lines = (line.partition(b":") for line in block.split(b"\r\n"))
    return {name.lower(): value.strip() for name, _, value in lines if name.lower() in TOLD}


class RowClient:
    """What an exchange answers where a connection would be: it keeps the bytes."""

    speaks_11 = True

    def __init__(self, app: App) -> None:
        self._app = app
        self._sent: list[bytes] = []
        self._exchange: Exchange | Counting | None = None
        self.deadline = FOREVER
        self.whole: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.whole.add_done_callback(self._let_go)

    def begin(self, exchange: Exchange | Counting) -> None:
        """Start what will answer."""
        self.deadline, self._exchange = exchange.deadline, exchange
        self._app.connections.add(self)
        exchange.begin()

    def go_on(self, found: Exchange | Refused) -> None:
        """What could not be told at once: the request is refused, or here is its exchange."""
        if isinstance(found, Refused):
            refusal = found.refusal
            self.send(b"HTTP/1.1 %d \r\n%b\r\n%b" % (refusal.status, found.headers, refusal.body()))
            self.answered()
            return
        self._exchange = found
        found.begin()

    def must_close(self) -> bool:
        """There is no connection to close."""
        return False

    def send(self, data: bytes) -> None:
        """Keep it."""
        self._sent.append(data)

    def answered(self) -> None:
        """The answer is whole."""
        self._exchange = None
        if not self.whole.done():
            self.whole.set_result(b"".join(self._sent))

    def break_off(self, refusal: Refusal) -> None:
        """Rows are not streamed, so this ends no answer half way."""
        self._sent = [b"HTTP/1.1 %d \r\n\r\n%b" % (refusal.status, refusal.body())]
        self.answered()

    def outlived(self, exchange: Exchange) -> bool:
        """Nobody waits for the answer of a row whose batch is gone."""
        return False

    def on_deadline(self) -> None:
        """The time for the answer is over."""
        if self._exchange is not None:
            self._exchange.expire()

    def close_idle(self) -> None:
        """It is never idle."""

    def _let_go(self, whole: asyncio.Future[bytes]) -> None:
        """Answered; or the batch's task ended, and with it the engine's work for this row."""
        self._app.connections.discard(self)
        if whole.cancelled() and self._exchange is not None:
            self._exchange.abandon()
