"""A TCP proxy that misbehaves on demand: late, sliced, mute, reset or gone; a test switches it while bytes flow.

It runs an event loop on a thread of its own, so that synchronous and asynchronous tests use it alike. `cut_when`
ends a connection at a chosen byte string, for faults between two given steps of a protocol.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Cut:
    """Reset the connection when `needle` passes: towards the server (`to_server`) or back from it."""

    needle: bytes
    to_server: bool = True
    forward_first: bool = False  # True: the needle still gets through, and its answer does not


@dataclass(frozen=True, slots=True)
class Fault:
    """How the proxy behaves now. The default passes everything on at once."""

    latency_s: float = 0.0  # before each piece, in each direction
    slice_bytes: int = 0  # pieces of at most this size; 0: as they come
    mute: bool = False  # a black hole: connections open, bytes vanish
    cut: Cut | None = None


@dataclass(slots=True)
class FaultProxy:
    """A proxy in front of one server on loopback."""

    target_port: int
    port: int = 0
    fault: Fault = Fault()
    cuts: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def down(self) -> None:
        """Refuse new connections and reset those that are open."""
        self._run(self._down())

    def up(self) -> None:
        """Listen (again) on the same port."""
        self._run(self._up())

    def reset(self) -> None:
        """Reset every open connection; new ones are taken."""
        self._run(self._reset())

    # -- on the loop's own thread -----------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _down(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._reset()

    async def _reset(self) -> None:
        for writer in tuple(self._writers):
            abort(writer)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await self._join(reader, writer)
        self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions, until either ends."""
        pair = {writer}
        self._writers |= pair
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
            pair.add(back)
            self._writers.add(back)
            ways = [self._relay(reader, back, to_server=True), self._relay(there, writer, to_server=False)]
            directions = {asyncio.create_task(way) for way in ways}
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
        finally:
            self._writers -= pair
            for one in pair:
                abort(one)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_server: bool) -> None:
        while piece := await reader.read(PIECE_BYTES):
            fault = self.fault
            if fault.mute:
                continue
            cut = fault.cut
            if cut is not None and cut.to_server == to_server and cut.needle in piece:
                self.cuts += 1
                if cut.forward_first:
                    writer.write(piece)
                    await writer.drain()
                    await self._swallow_answer()
                return
            await deliver(piece, writer, fault)

    async def _swallow_answer(self) -> None:
        """Give the server the time to act on what it got, while its answer is lost."""
        self.fault = Fault(mute=True)
        await asyncio.sleep(0.2)
        self.fault = Fault()


async def deliver(piece: bytes, writer: asyncio.StreamWriter, fault: Fault) -> None:
    """One piece, late and in slices where the fault says so."""
    size = fault.slice_bytes or len(piece)
    for start in range(0, len(piece), size):
        if fault.latency_s:
            await asyncio.sleep(fault.latency_s)
        writer.write(piece[start : start + size])
        await writer.drain()


def abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an orderly end."""
    underlying = writer.get_extra_info("socket")
    if underlying is not None:
        with suppress(OSError):
            underlying.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def fault_proxy(target_port: int) -> Iterator[FaultProxy]:
    """A proxy that listens; its thread ends with the block."""
    proxy = FaultProxy(target_port)
    thread = threading.Thread(target=proxy._loop.run_forever, name="fault-proxy")
    thread.start()
    try:
        proxy.up()
        yield proxy
    finally:
        proxy.down()
        proxy._loop.call_soon_threadsafe(proxy._loop.stop)
        thread.join()
        proxy._loop.close()
