"""How requests come, and the schedule that an engine makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fairlead.plan.deployment import Deployment
from fairlead.plan.memory import memory
from fairlead.plan.schedule import Limits, Schedule, burst, closed_loop

# How many requests NVIDIA's offline throughput benchmarks queue at once, by tokens a request: TensorRT-LLM,
# docs/source/performance/perf-overview.md, "Preparing a Dataset" (v0.14 to v0.20).
OFFLINE_REQUESTS = ((256, 30_000), (2_500, 3_000), (10_000, 1_500))
OFFLINE_REQUESTS_LONG = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Requests of `prompt` and `output` tokens, from `clients` that each wait for an answer before they send the next.

    `clients` None: as many as an offline benchmark queues at once. `static`: `clients` requests, all at once, offline.
    """

    prompt: int
    output: int
    clients: int | None
    static: bool = False

    @property
    def served(self) -> bool:
        """Over HTTP, as a stream."""
        return self.clients is not None and not self.static

    @property
    def requests(self) -> int:
        """Requests that are under way or queued at once."""
        if self.clients is not None:
            return self.clients
        size = self.prompt + self.output
        return next((count for most, count in OFFLINE_REQUESTS if size <= most), OFFLINE_REQUESTS_LONG)


def running_limit(plan: Deployment, load: Workload) -> int:
    """Sequences that run at once: as the engine is told, and as the KV cache holds. 0 where not one fits."""
    return min(plan.seqs, memory(plan, context=load.prompt + load.output).sequences)


def copies(plan: Deployment) -> int:
    """Parts that work independently: replicas, and the micro-batches that fill a pipeline's stages.

    With p stages, p micro-batches of a p-th of the sequences are under way, and each passes all layers.
    """
    return plan.replicas * plan.pp


def schedule(plan: Deployment, load: Workload) -> tuple[Schedule, Workload]:
    """The schedule of one of the `copies`, and its share of the load. The load must fit (`running_limit` >= 1)."""
    share = replace(load, clients=max(1, load.requests // copies(plan)), static=not load.served)
    limits = Limits(tokens=plan.tokens, running=max(1, running_limit(plan, load) // plan.pp))
    count = share.requests
    if load.served:
        return closed_loop(clients=count, prompt=load.prompt, output=load.output, limits=limits), share
    return burst(requests=count, prompt=load.prompt, output=load.output, limits=limits), share
