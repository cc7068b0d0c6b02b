"""The engine's rules again, one iteration at a time and with lists instead of jumps: slow, and easy to check by eye."""

from __future__ import annotations

import numpy as np

from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import EngineModel


def one_replica(trace: Trace, engine: EngineModel) -> tuple[list[float], list[float]]:
    """First token and end of each request of a trace that one replica serves alone."""
    requests = range(len(trace.prompt))
    left = [int(tokens) for tokens in trace.prompt]
    written = [0 for _ in requests]
    first, end = [float(np.inf)] * len(left), [float(np.inf)] * len(left)
    waiting = list(requests)
    running: list[int] = []
    now = 0.0
    while waiting or running:
        admit(trace, engine, now, waiting, running)
        if not running:
            now = float(trace.arrival_s[waiting[0]])
            continue
        decoding = [request for request in running if not left[request]]
        read = sum(int(trace.prompt[request]) + written[request] for request in decoding)
        budget = max(1, engine.batched_tokens - len(decoding))
        computed = 0
        whole = []
        for request in running:
            chunk = min(left[request], budget - computed)
            if chunk:
                left[request] -= chunk
                computed += chunk
                whole += [] if left[request] else [request]
        now += engine.iteration_s + engine.sequence_s * len(decoding)
        now += engine.context_token_s * read + engine.prompt_token_s * computed
        for request in [*decoding, *whole]:
            written[request] += 1
            first[request] = min(first[request], now)
            if written[request] == trace.output[request]:
                end[request] = now
                running.remove(request)
    return first, end


def admit(trace: Trace, engine: EngineModel, now: float, waiting: list[int], running: list[int]) -> None:
    """Take what has arrived and fits, first come first served."""

    def length(request: int) -> int:
        return min(engine.kv_tokens, int(trace.prompt[request] + trace.output[request]))

    while waiting and trace.arrival_s[waiting[0]] <= now and len(running) < engine.max_sequences:
        if length(waiting[0]) + sum(map(length, running)) > engine.kv_tokens:
            return
        running.append(waiting.pop(0))
