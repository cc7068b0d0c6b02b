"""Rows through a running gateway over HTTP: so many at once, each asked again while it may still be answered.

Every request says that it is in no hurry (`x-fairlead-priority: batch`): where the service shares full engines fairly,
it waits behind those that are.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fairlead.batch.engines import Deliver
from fairlead.batch.http_connection import Address, Connection, Reply
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.policy.again import wait_s
from fairlead.store.batch_rows import Answer, Row

UNUSABLE = frozenset((401,))  # every other row would be told the same
HEAD = (
    "POST {path}{url} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {key}\r\n"
    "content-type: application/json\r\nx-fairlead-priority: batch\r\ncontent-length: {length}\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class HttpEngine:
    """An Engine (see batch/engines.py): `concurrency` requests at once, each with `timeout_s` for an answer."""

    address: Address
    key: str
    concurrency: int = 64
    timeout_s: float = 600.0

    def __call__(self, rows: Iterable[Row], deliver: Deliver) -> None:
        """Answer all rows. Raises UserError when the gateway cannot be reached, or the key is refused."""
        with contextlib.suppress(ImportError):
            import uvloop

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._answer(rows, deliver))
            return
        asyncio.run(self._answer(rows, deliver))

    async def _answer(self, rows: Iterable[Row], deliver: Deliver) -> None:
        try:
            (await Connection.open(self.address)).close()
        except OSError as error:
            where = f"{self.address.host}:{self.address.port}"
            raise UserError(f"{where} does not answer: {error}", exit_code=EXIT_FAILED) from error
        queue = iter(rows)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self.concurrency):
                    tasks.create_task(self._work(queue, deliver))
        except* UserError as group:
            raise group.exceptions[0] from None

    async def _work(self, queue: Iterator[Row], deliver: Deliver) -> None:
        """One of those that ask at once, on a connection of its own."""
        connection: Connection | None = None
        try:
            for row in queue:
                connection, reply = await self._ask(connection, row)
                if reply.status in UNUSABLE:
                    raise UserError(f"the key is refused: {reply.body.decode(errors='replace')[:300]}")
                deliver(row, answer_of(row, reply))
        finally:
            if connection is not None:
                connection.close()

    async def _ask(self, connection: Connection | None, row: Row) -> tuple[Connection | None, Reply]:
        """The reply that counts, `status` 0 when none came; and the connection, if it is still good."""
        request = self._request(row)
        tries = 0
        while True:
            tries += 1
            reply = Reply()
            try:
                if connection is None or connection.closed:
                    connection = await Connection.open(self.address)
                reply = await connection.ask(request, self.timeout_s)
            except OSError as error:
                connection = None
                reply.body = str(error or "no answer in time").encode()
            again = wait_s(reply.status, reply.fields, tries, random.random())  # noqa: S311 - only spreads retries
            if again is None:
                return connection, reply
            await asyncio.sleep(again)

    def _request(self, row: Row) -> bytes:
        address = self.address
        head = HEAD.format(
            path=address.path, url=row.url, authority=address.authority, key=self.key, length=len(row.body)
        )
        return head.encode() + row.body


def answer_of(row: Row, reply: Reply) -> Answer:
    """A reply as the row's answer."""
    if not reply.status:
        return Answer(row.custom_id, code="no_answer", message=reply.body.decode(errors="replace")[:300])
    request_id = reply.fields.get(b"x-request-id", b"").decode("latin-1")
    return Answer(row.custom_id, reply.status, request_id, reply.body)
