"""What a deployment gives under a workload: does it fit, how fast is it, how sure is that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fairlead.errors import Problem
from fairlead.plan.benchmark import Benchmark, benchmark
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment
from fairlead.plan.memory import Memory, memory, refusals
from fairlead.plan.roofline import factors
from fairlead.plan.work import PARTS, Array
from fairlead.plan.workload import Workload, running_limit

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Of the whole deployment. Latencies in ms: `mean`, `p50`, `p95`, `p99`.

    `low` and `high` bound output tokens/s: 80 % of measurements should lie between them. `parts` says where the time of
    an answer goes (under traffic: the time of the engines); the shares sum to 1.
    """

    requests_per_s: float
    output_tokens_per_s: float
    low: float
    high: float
    ttft_ms: Mapping[str, float]
    tpot_ms: Mapping[str, float]
    e2e_ms: Mapping[str, float]
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What only simulated traffic says. `keeps_up`: the queue does not grow without end.

    `offered_per_s` requests come, `sustained_per_s` is the most that the deployment can answer for long. `ongoing`
    requests are running or queued in the mean. `preempted`: times that a request lost its place in the KV cache, in the
    mean. `refused`: the share of requests too long for context or cache. `prefix_share`: of the prompt tokens in the
    prefix cache. `requests` were simulated. `slow`: the 95th percentiles of TTFT and TPOT in ms were the engines as
    slow as the 80 % interval allows, and whether they would then keep up; of clients that wait nothing.
    """

    offered_per_s: float
    sustained_per_s: float
    keeps_up: bool
    ongoing: float
    preempted: float
    refused: float
    prefix_share: float
    requests: int
    slow: Mapping[str, float]
    slow_keeps_up: bool

    def slow_text(self) -> str:
        """The latencies at the slow end, in a sentence."""
        if not self.slow_keeps_up:
            return "At the slow end of the 80 % interval it would not keep up."
        told = ", ".join(f"{name} p95 {value:,.1f} ms" for name, value in self.slow.items())
        return f"At the slow end of the 80 % interval: {told}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The answer. `speed` is None where `problems` refuse the deployment; `running` sequences run at once.

    Of traffic (`served`) `load` is the mean request, and there is a `queue`.
    """

    plan: Deployment
    load: Workload
    memory: Memory
    problems: tuple[Problem, ...]
    running: int
    confidence: str
    speed: Speed | None
    queue: Queue | None = None

    @property
    def fits(self) -> bool:
        """Whether the deployment can serve the workload at all."""
        return not self.problems


def estimate(plan: Deployment, load: Workload, known: Fit) -> Estimate:
    """Estimate `plan` under `load`."""
    context = load.prompt + load.output
    problems = tuple(refusals(plan, context=context))
    return Estimate(
        plan=plan,
        load=load,
        memory=memory(plan, context=context),
        problems=problems,
        running=running_limit(plan, load),
        confidence=known.confidence(plan),
        speed=None if problems else speed(benchmark(plan, load), known),
    )


def speed(made: Benchmark, known: Fit) -> Speed:
    """The benchmark in seconds."""
    plan, load = made.plan, made.load
    constants = known.constants.of(plan)
    each = factors(plan, constants, served=load.served)
    wait = constants["request_ms"] * 1e-3 if load.served else 0.0
    requests_per_s = made.copies * made.requests / (float(made.throughput_work @ each) + wait)
    ttft = made.ttft @ each + wait
    decode = made.decode @ each
    low, high = known.interval(plan)
    tokens_per_s = requests_per_s * load.output
    return Speed(
        requests_per_s=requests_per_s,
        output_tokens_per_s=tokens_per_s,
        low=tokens_per_s * low,
        high=tokens_per_s * high,
        ttft_ms=summary(ttft, made.counts),
        tpot_ms=summary(decode / max(load.output - 1, 1), made.counts),
        e2e_ms=summary(ttft + decode, made.counts),
        parts=shares(made.throughput_work * each, wait),
    )


def summary(seconds: Array, counts: Array) -> dict[str, float]:
    """Mean and percentiles over requests, in ms; `counts` requests have the same figure."""
    order = np.argsort(seconds)
    below = np.cumsum(counts[order])
    places = np.searchsorted(below, np.array(PERCENTILES) / 100 * below[-1])
    picked = seconds[order][np.minimum(places, len(order) - 1)]
    mean = {"mean": float(counts @ seconds / below[-1] * 1e3)}
    return mean | {f"p{name}": float(value * 1e3) for name, value in zip(PERCENTILES, picked, strict=True)}


def shares(seconds: Array, wait: float) -> dict[str, float]:
    """Which share of the time goes where."""
    parts = dict(zip(PARTS, seconds.tolist(), strict=True)) | {"request": wait}
    whole = sum(parts.values())
    return {name: value / whole for name, value in parts.items() if value > 0}
