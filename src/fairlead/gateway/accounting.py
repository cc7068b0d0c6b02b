"""One record a request: to the journal before the last byte of the answer, to the counters, and to the log."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import defaultdict

import msgspec

from fairlead.signals import DURATION, TTFT
from fairlead.store.journal import SYNC_EVERY_S, Journal
from fairlead.store.usage import Usage, encode

MAX_LOG_LINES = 200_000  # waiting for a stalled sink; then lines are dropped and counted


class Histogram:
    """Counts by bucket; the last bucket is +Inf."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Counters:
    """The numbers behind /metrics. Plain dicts: one thread writes, and a scrape reads."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self.refused: defaultdict[tuple[int, str], int] = defaultdict(int)
        self.tokens: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.ttft: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(TTFT.buckets))
        self.duration: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(DURATION.buckets))
        self.retries: defaultdict[str, int] = defaultdict(int)
        self.reloads: defaultdict[str, int] = defaultdict(int)
        self.cost_nano: defaultdict[tuple[str, str], int] = defaultdict(int)  # by tenant and model
        self.idempotent: defaultdict[str, int] = defaultdict(int)  # by what was done with a request
        self.budget_warnings: defaultdict[str, int] = defaultdict(int)
        self.webhooks: defaultdict[str, int] = defaultdict(int)  # by result
        self.log_dropped = 0

    def promise(self, model: str, ttft_s: float) -> None:
        """Let a bucket of a model's TTFT end at what is promised, so that the share beyond it is exact."""
        bounds = tuple(sorted({*TTFT.buckets, ttft_s})) if ttft_s else TTFT.buckets
        if self.ttft[model].bounds != bounds:
            self.ttft[model] = Histogram(bounds)


class Accounting:
    """The books of one gateway process. `record` raises OSError when the journal cannot be written: fail closed."""

    def __init__(self, journal: Journal, log_fd: int) -> None:
        self.counters = Counters()
        self._journal = journal
        self._log_fd = log_fd
        self._lines: list[bytes] = []
        self._stop = threading.Event()
        self._flusher = threading.Thread(target=self._flush_forever, name="flusher", daemon=True)
        self._flusher.start()

    def record(self, usage: Usage) -> None:
        """Keep the record of an answered request."""
        line = encode(usage) + b"\n"
        self._journal.append(line)
        self.log(line)
        counters = self.counters
        counters.requests[usage.route, usage.operation, usage.status] += 1
        tokens = counters.tokens[usage.tenant, usage.model]
        tokens[0] += usage.prompt_tokens
        tokens[1] += usage.cached_tokens
        tokens[2] += usage.completion_tokens
        if usage.cost_nano:
            counters.cost_nano[usage.tenant, usage.model] += usage.cost_nano
        counters.duration[usage.model].observe(usage.duration_ms / 1e3)
        if usage.ttft_ms is not None:
            counters.ttft[usage.model].observe(usage.ttft_ms / 1e3)

    def try_journal(self) -> bool:
        """Whether the journal takes records again."""
        try:
            self._journal.check()
        except OSError:
            return False
        return True

    def refused(self, status: int, reason: str, request_id: str, key_id: str, operation: str) -> None:
        """Log and count a request that never reached a model."""
        self.counters.refused[status, reason] += 1
        self.event(
            *("refused", "warning"),
            request_id=request_id,
            status=status,
            code=reason,
            key_id=key_id,
            operation=operation,
        )

    def event(self, event: str, level: str = "info", **fields: str | float | None) -> None:
        """Log anything else, as one JSON line."""
        line = msgspec.json.encode({"level": level, "event": event, "at": time.time(), **fields})
        self.log(line + b"\n")

    def log(self, line: bytes) -> None:
        """Queue a line for the log."""
        if len(self._lines) < MAX_LOG_LINES:
            self._lines.append(line)
        else:
            self.counters.log_dropped += 1

    def close(self) -> None:
        """Flush everything and stop the flusher."""
        self._stop.set()
        self._flusher.join()
        self._journal.close()

    def _flush_forever(self) -> None:
        """The flusher's thread: disk and log waits must not stop the loop."""
        while not self._stop.wait(SYNC_EVERY_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        self._journal.sync()
        lines, self._lines = self._lines, []
        rest = memoryview(b"".join(lines))
        try:
            while rest:
                rest = rest[os.write(self._log_fd, rest) :]
        except OSError:  # the reader of our log is gone; serving goes on, and the loss is counted
            self.counters.log_dropped += len(lines)
