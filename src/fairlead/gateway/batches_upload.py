"""POST /v1/files: the body goes to the store as it comes, and is never in memory as a whole.

While it comes the upload stands in for the connection's protocol; then the connection takes over again. The client is
read no faster than the store takes it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal
from fairlead.gateway.batches_form import FRAMING_BYTES, Form, refused_upload
from fairlead.gateway.head import Refused
from fairlead.store.batches import Incoming, new_id

if TYPE_CHECKING:
    from fairlead.gateway.admission import Admitted
    from fairlead.gateway.batches import Batches
    from fairlead.gateway.connection import ClientConnection

BUFFER_BYTES = 1024 * 1024  # in memory before the client has to wait for the store
SLOWEST_BYTES_PER_S = 64 * 1024  # an upload gets the time that its size takes at this rate, beside body_timeout
PURPOSE = "batch"
STORAGE_FULL = Refusal(413, "storage_quota_exceeded", "The tenant's files would be larger than its storage.")


class Upload(asyncio.Protocol):
    """One upload: to its client an exchange, to the transport a protocol."""

    def __init__(
        self, batches: Batches, client: ClientConnection, transport: asyncio.Transport, admitted: Admitted
    ) -> None:
        """Raises Refused before a byte of the body is read."""
        head, rules = admitted.head, batches.rules
        batches.check(admitted.caller)
        most = rules.max_file_bytes + FRAMING_BYTES
        if head.length > most:
            raise Refused(answers.BODY_TOO_LARGE)
        self._form = Form(head.fields.get(b"content-type", b""), rules.max_file_bytes)
        self._batches, self._client, self._transport = batches, client, transport
        self._admitted = admitted
        self._left = most if head.chunked else head.length  # bytes that may still come
        self._arrived: list[bytes] = []
        self._size = 0  # of what has arrived and is not taken yet
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._rest = b""
        self.deadline = batches.app.now() + batches.app.config.limits.body_timeout_s + most / SLOWEST_BYTES_PER_S
        if head.chunked:
            head.on_piece = self._take

    def begin(self, data: bytes) -> None:
        """Go on with what came behind the head."""
        self._transport.set_protocol(self)
        self._task = asyncio.get_running_loop().create_task(self._receive())
        self._task.add_done_callback(self._batches.ended)
        if data:
            self.data_received(data)

    # -- the loop's side ----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        head = self._admitted.head
        if head.chunked:
            try:
                head.feed(data)
            except Refused as refused:
                self._stop(refused.refusal)
                return
        else:
            body, self._rest = data[: self._left], self._rest + data[self._left :]
            self._take(body)
        self._news.set()
        if self._size > BUFFER_BYTES or self._whole:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._client.connection_lost(exc)

    def eof_received(self) -> bool:
        """Called by the loop. A client that stops sending has left."""
        return False

    # -- the client's side --------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """The client has left; what it sent is thrown away."""
        if self._task is not None:
            self._task.cancel()

    def expire(self) -> None:
        """The body took too long."""
        self._stop(answers.TIMEOUT_READING)

    def pause(self) -> None:
        """Nothing is written while the body comes."""

    def resume(self) -> None:
        """Nothing is written while the body comes."""

    # -- receiving ----------------------------------------------------------------------------------------------------

    @property
    def _whole(self) -> bool:
        head = self._admitted.head
        return head.ended if head.chunked else not self._left

    def _take(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise Refused(answers.BODY_TOO_LARGE)
        self._arrived.append(piece)
        self._size += len(piece)

    async def _receive(self) -> None:
        batches, caller = self._batches, self._admitted.caller
        file_id = new_id("file-")
        incoming = batches.store.receive(file_id)
        try:
            stored = await batches.do(batches.store.stored_bytes, caller.tenant)
            if not self._admitted.head.chunked and stored + self._left > batches.rules.storage_bytes + FRAMING_BYTES:
                raise Refused(STORAGE_FULL)
            if b"expect" in self._admitted.head.fields and not self._size:
                self._client.send(answers.CONTINUE)
            await self._pass_on(incoming)
            body = await self._finish(incoming, file_id)
        except Refused as refused:
            self._stop(refused.refusal)
        except OSError:
            batches.app.accounting.event("upload_failed", level="error")
            self._stop(batches.AWAY)
        else:
            self._hand_back()
            self._client.reply(body)
            self._client.data_received(self._rest)  # what came behind the body
        finally:
            batches.do_later(incoming.discard)  # not waited for: we may be cancelled a second time

    async def _pass_on(self, incoming: Incoming) -> None:
        """Write the file's bytes as they come. Raises Refused, OSError."""
        while True:
            arrived, self._arrived, self._size = self._arrived, [], 0
            for piece in arrived:
                for part in self._form.feed(piece):
                    await self._batches.do(incoming.write, part)
            if self._arrived:  # while the store was busy
                continue
            if self._whole:
                break
            self._news.clear()
            self._transport.resume_reading()
            await self._news.wait()
        self._form.end()

    async def _finish(self, incoming: Incoming, file_id: str) -> bytes:
        """Make the file's record; what is answered. Raises Refused."""
        form, batches, tenant = self._form, self._batches, self._admitted.caller.tenant
        if form.filename is None:
            raise Refused(refused_upload("There is no file in the form.", "file"))
        if form.fields.get("purpose") != PURPOSE:
            raise Refused(refused_upload("The only purpose served here is 'batch'.", "purpose"))
        file = batches.new_file(file_id, tenant, form.size, form.filename, PURPOSE)
        if not await batches.do(incoming.keep, file, batches.rules.storage_bytes):
            raise Refused(STORAGE_FULL)
        return msgspec.json.encode(file.shown())

    def _stop(self, refusal: Refusal) -> None:
        """Refuse; what still comes is dropped."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._hand_back()
        self._client.refuse(refusal, close=True)

    def _hand_back(self) -> None:
        """The connection is the client's again."""
        self._transport.set_protocol(self._client)
        self._transport.resume_reading()
