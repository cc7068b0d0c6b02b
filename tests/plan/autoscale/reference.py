"""The engine's rules again, one iteration at a time and with lists instead of jumps: slow, and easy to check by eye."""

from __future__ import annotations

from collections.abc import Callable

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
    running: list[int] = []  # admitted, in this order; those with prompt tokens left are not decoding yet
    now = 0.0

    def length(request: int) -> int:
        return int(trace.prompt[request]) + written[request]

    while waiting or running:
        while sum(map(length, running)) > engine.kv_tokens and len(running) > 1:
            out = running.pop()
            waiting.insert(0, out)
            left[out] = length(out)
        admit(trace, engine, now, waiting, running, length)
        if not running:
            now = float(trace.arrival_s[waiting[0]])
            continue
        decoding = [request for request in running if not left[request]]
        read = sum(map(length, decoding))
        budget = max(1, engine.batched_tokens - len(decoding))
        computed, attended = 0, 0.0
        whole = []
        for request in running:
            chunk = min(left[request], budget - computed)
            if chunk:
                attended += chunk * (length(request) - left[request] + chunk / 2)
                left[request] -= chunk
                computed += chunk
                whole += [] if left[request] else [request]
        now += engine.iteration_s + engine.sequence_s * len(decoding)
        now += engine.context_token_s * read + engine.prompt_token_s * computed
        now += engine.experts_s * (1 - engine.expert_missed ** (len(decoding) + computed))
        now += engine.attended_s * (attended - engine.typical_prompt / 2 * computed)
        for request in [*decoding, *whole]:
            written[request] += 1
            first[request] = min(first[request], now)
            if written[request] == trace.output[request]:
                end[request] = now
                running.remove(request)
    return first, end


def admit(
    trace: Trace,
    engine: EngineModel,
    now: float,
    waiting: list[int],
    running: list[int],
    length: Callable[[int], int],
) -> None:
    """Take what has arrived and fits, first come first served."""
    while waiting and trace.arrival_s[waiting[0]] <= now and len(running) < engine.max_sequences:
        if running and sum(map(length, [*running, waiting[0]])) > engine.kv_tokens:
            return
        running.append(waiting.pop(0))
