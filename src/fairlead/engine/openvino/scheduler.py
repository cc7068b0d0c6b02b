"""Admission: a sequence starts only when a seat and all the KV blocks that it may need are free, so none is preempted.

Everything here runs in the event loop; only `Stepper` has a thread of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from fairlead.engine.openvino.api_error import engine_failed, invalid, overloaded
from fairlead.engine.openvino.metrics import Metrics, Times
from fairlead.engine.openvino.stepper import Add, Cancel, Stop, Update

DRAIN_WINDOW = 32  # the last finished sequences, from which the drain rate is taken
MAX_RETRY_AFTER_S = 60
REASON = {"stop": "stop", "length": "length", "cancelled": "abort", "error": "error"}


@dataclass(frozen=True, slots=True)
class Limits:
    max_num_seqs: int
    max_queue: int
    kv_blocks: int
    block_tokens: int


@dataclass(frozen=True, slots=True)
class Job:
    """One sequence to generate."""

    prompt: Sequence[int]
    max_tokens: int
    config: Any


@dataclass(slots=True, eq=False)
class Seat:
    """A job on its way. `events` is shared by all choices of one request; `index` says which this is."""

    id: int
    index: int
    job: Job
    blocks: int
    events: asyncio.Queue[tuple[int, Update]]
    arrived: float
    started: float = 0.0
    first: float = 0.0
    last: float = 0.0
    tokens: int = 0


@dataclass(slots=True, eq=False)
class Batch:
    """The sequences of one request, and the queue of what they produce."""

    sequences: list[Seat]
    events: asyncio.Queue[tuple[int, Update]] = field(default_factory=asyncio.Queue)


def blocks_needed(prompt_tokens: int, max_tokens: int, block_tokens: int) -> int:
    """KV blocks that a sequence can come to fill; one more, because a prefix may be shared and then copied."""
    return math.ceil((prompt_tokens + max_tokens) / block_tokens) + 1


def retry_after_s(ahead: int, finished_at: Sequence[float], now: float) -> int:
    """Whole seconds until `ahead` sequences have finished at the present rate, between 1 and a minute."""
    if len(finished_at) < 2 or now <= finished_at[0]:
        return 1
    rate = len(finished_at) / (now - finished_at[0])
    return max(1, min(MAX_RETRY_AFTER_S, math.ceil(ahead / rate)))


class Scheduler:
    """Takes requests in order of arrival. `send` passes commands to the stepping thread."""

    def __init__(
        self, limits: Limits, send: Callable[[Add | Cancel | Stop], None], metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self._limits = limits
        self._send = send
        self._metrics = metrics
        self._clock = clock
        self._ids = count(1)
        self._waiting: deque[Seat] = deque()
        self._running: dict[int, Seat] = {}
        self._free_blocks = limits.kv_blocks
        self._kv_usage = 0.0
        self._finished_at: deque[float] = deque(maxlen=DRAIN_WINDOW)
        self._broken = ""

    def submit(self, jobs: Sequence[Job]) -> Batch:
        """Take the jobs, all or none. Raises ApiError 429 at once when there is no room for them."""
        if self._broken:
            raise engine_failed(self._broken)
        capacity = self._limits.max_num_seqs + self._limits.max_queue
        if len(jobs) > capacity:  # not a matter of waiting
            raise invalid(f"{len(jobs)} choices are asked for; this engine holds {capacity} at most", "n")
        room = capacity - len(self._running) - len(self._waiting)
        if len(jobs) > room:
            raise overloaded(retry_after_s(len(self._waiting) + len(jobs), self._finished_at, self._clock()))
        batch = Batch([])
        now = self._clock()
        for index, job in enumerate(jobs):
            blocks = blocks_needed(len(job.prompt), job.max_tokens, self._limits.block_tokens)
            batch.sequences.append(Seat(next(self._ids), index, job, blocks, batch.events, now))
        self._waiting.extend(batch.sequences)
        self._admit()
        return batch

    def cancel(self, batch: Batch, index: int | None = None) -> None:
        """Give up the batch, or its choice `index`. Waiting ones go at once, running ones with the next step."""
        for sequence in batch.sequences:
            if index not in (None, sequence.index):
                continue
            if sequence.id in self._running:
                self._send(Cancel(sequence.id))
            elif sequence in self._waiting:
                self._waiting.remove(sequence)
                self._record_end(sequence, "abort")

    def receive(self, updates: Sequence[Update], kv_usage: float) -> None:
        """Results of one step, from the stepping thread by way of the event loop."""
        if kv_usage >= 0.0:
            self._kv_usage = kv_usage
        for update in updates:
            sequence = self._running.get(update.id)
            if sequence is not None:
                self._advance(sequence, update)
        self._admit()

    def fail(self, message: str) -> None:
        """The pipeline is lost: tell everybody, take nobody any more."""
        self._broken = message
        for sequence in (*self._running.values(), *self._waiting):
            sequence.events.put_nowait((sequence.index, Update(sequence.id, (), (), "error", message)))
        self._running.clear()
        self._waiting.clear()

    def running(self) -> int:
        return len(self._running)

    def waiting(self) -> int:
        return len(self._waiting)

    def kv_usage(self) -> float:
        return self._kv_usage if self._running else 0.0

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._limits.max_num_seqs:
            sequence = self._waiting[0]
            if sequence.blocks > self._free_blocks:
                return
            self._waiting.popleft()
            self._free_blocks -= sequence.blocks
            sequence.started = self._clock()
            self._running[sequence.id] = sequence
            self._metrics.started(len(sequence.job.prompt), sequence.started - sequence.arrived)
            self._send(Add(sequence.id, sequence.job.prompt, sequence.job.config))

    def _advance(self, sequence: Seat, update: Update) -> None:
        if update.tokens:
            self._count_tokens(sequence, len(update.tokens))
        sequence.events.put_nowait((sequence.index, update))
        if update.finish:
            del self._running[sequence.id]
            self._free_blocks += sequence.blocks
            self._record_end(sequence, REASON[update.finish])

    def _count_tokens(self, sequence: Seat, tokens: int) -> None:
        now = self._clock()
        self._metrics.tokens(tokens, now - sequence.last if sequence.tokens else None)
        sequence.last = now
        if not sequence.tokens:
            sequence.first = now
            self._metrics.first_token(_times(sequence))
        sequence.tokens += tokens

    def _record_end(self, sequence: Seat, reason: str) -> None:
        self._finished_at.append(self._clock())
        self._metrics.finished(_times(sequence), sequence.tokens, reason)


def _times(sequence: Seat) -> Times:
    return Times(sequence.arrived, sequence.started, sequence.first, sequence.last)
