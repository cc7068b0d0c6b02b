"""The worker's numbers under vLLM's names (0.32), so that one set of alert rules and dashboards serves both engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
FINISHED = ("stop", "length", "abort", "error")


class Load(Protocol):
    """What the gauges read at the moment of a scrape."""

    def running(self) -> int: ...
    def waiting(self) -> int: ...
    def kv_usage(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Times:
    """Monotonic seconds of one sequence's life; `first` and `last` are of its first and last token."""

    arrived: float
    started: float
    first: float
    last: float


class Metrics:
    """Counters and histograms of one model, and the gauges of a `Load`."""

    def __init__(self, model_name: str) -> None:
        self.registry = CollectorRegistry()
        self._name = model_name
        self._prompt_tokens = self._counter("prompt_tokens", "Prompt tokens processed.")
        self._generation_tokens = self._counter("generation_tokens", "Tokens generated.")
        self._success = Counter(
            "vllm:request_success", "Finished sequences.", ("model_name", "finished_reason"), registry=self.registry
        )
        for reason in FINISHED:
            self._success.labels(model_name, reason)
        self._preemptions = self._counter("num_preemptions", "Preempted sequences (admission reserves: none).")
        self._ttft = self._histogram("time_to_first_token_seconds", "Arrival to first token.")
        self._itl = self._histogram("inter_token_latency_seconds", "Between two tokens of a sequence.")
        self._tpot = self._histogram("request_time_per_output_token_seconds", "Mean time of a token after the first.")
        self._e2e = self._histogram("e2e_request_latency_seconds", "Arrival to last token.")
        self._queue = self._histogram("request_queue_time_seconds", "Arrival to admission.")
        self._prefill = self._histogram("request_prefill_time_seconds", "Admission to first token.")
        self._decode = self._histogram("request_decode_time_seconds", "First to last token.")

    def watch(self, load: Load) -> None:
        self.registry.register(_Gauges(load, self._name))

    def tokens(self, count: int, since_last_s: float | None) -> None:
        """`count` tokens came out of one step, `since_last_s` after the sequence's previous ones (None: the first)."""
        self._generation_tokens.inc(count)
        if since_last_s is not None:
            self._itl.observe(since_last_s / count)

    def started(self, prompt_tokens: int, queued_s: float) -> None:
        self._prompt_tokens.inc(prompt_tokens)
        self._queue.observe(queued_s)

    def first_token(self, times: Times) -> None:
        self._ttft.observe(times.first - times.arrived)
        self._prefill.observe(times.first - times.started)

    def finished(self, times: Times, tokens: int, reason: str) -> None:
        self._success.labels(self._name, reason).inc()
        if tokens == 0:
            return
        self._e2e.observe(times.last - times.arrived)
        self._decode.observe(times.last - times.first)
        if tokens > 1:
            self._tpot.observe((times.last - times.first) / (tokens - 1))

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, help: str) -> Counter:
        return Counter(f"vllm:{name}", help, ("model_name",), registry=self.registry).labels(self._name)

    def _histogram(self, name: str, help: str) -> Histogram:
        family = Histogram(f"vllm:{name}", help, ("model_name",), registry=self.registry, buckets=SECONDS)
        return family.labels(self._name)


class _Gauges(Collector):
    def __init__(self, load: Load, model_name: str) -> None:
        self._load = load
        self._name = model_name

    def collect(self) -> Iterator[Any]:
        yield self._gauge("num_requests_running", "Sequences in the batch.", self._load.running())
        yield self._gauge("num_requests_waiting", "Sequences in the queue.", self._load.waiting())
        yield self._gauge("kv_cache_usage_perc", "Used part of the KV cache, 0 to 1.", self._load.kv_usage())

    def _gauge(self, name: str, help: str, value: float) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"vllm:{name}", help, labels=("model_name",))
        family.add_metric((self._name,), value)
        return family
