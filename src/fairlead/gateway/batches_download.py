"""GET /v1/files/ID/content: a file goes out piece by piece, no faster than the client reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fairlead.gateway import answers
from fairlead.store.batches import File, Piece

if TYPE_CHECKING:
    from fairlead.gateway.batches import Batches
    from fairlead.gateway.connection import ClientConnection

SLOWEST_BYTES_PER_S = 64 * 1024  # a client that reads slower than this is cut off
LINES = b"application/jsonl"


class Download:
    """To its client an exchange."""

    def __init__(self, batches: Batches, client: ClientConnection, file: File, first: Piece) -> None:
        """`first`: what is sent at once."""
        self._batches, self._client, self._file, self._first = batches, client, file, first
        app = batches.app
        self.deadline = app.now() + app.config.limits.body_timeout_s + file.bytes / SLOWEST_BYTES_PER_S
        self._task: asyncio.Task[None] | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()

    def begin(self) -> None:
        """Start."""
        self._client.deadline = self.deadline
        self._task = asyncio.get_running_loop().create_task(self._send())
        self._task.add_done_callback(self._batches.ended)

    async def _send(self) -> None:
        client, batches = self._client, self._batches
        request_id = batches.app.new_request_id()
        left, piece = self._file.bytes, self._first
        client.send(answers.head(200, LINES, request_id, left, close=client.must_close()))
        try:
            while True:
                await self._flowing.wait()
                client.send(piece.content[:left])
                left -= len(piece.content[:left])
                if not left or piece.following is None:
                    break
                piece = await batches.do(batches.store.read, self._file.id, piece.following)
        except OSError:
            left = -1
        if left:  # deleted meanwhile, or the store fails: what was announced does not come
            client.close()
        else:
            client.answered()

    def abandon(self) -> None:
        """The client has left."""
        if self._task is not None:
            self._task.cancel()

    def expire(self) -> None:
        """The client is too slow."""
        self.abandon()
        self._client.close()

    def pause(self) -> None:
        """The client reads slower than the disk."""
        self._flowing.clear()

    def resume(self) -> None:
        """The client has caught up."""
        self._flowing.set()
