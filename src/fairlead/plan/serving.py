"""Traffic on equal engines, simulated request by request: those of `autoscale`, with their routing and preemption."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from heapq import heappop, heappush

import numpy as np

from fairlead.plan.autoscale.demand import Floats, Records, Trace
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.fleet import Bounds, simulate
from fairlead.plan.autoscale.policies.static import static
from fairlead.plan.autoscale.promise import Lengths
from fairlead.plan.autoscale.replica import Replica
from fairlead.plan.traffic import Traffic

LEAST, MOST = 2_000, 30_000  # requests that are simulated
TURNS = 10  # times the requests under way: the fleet's state is then nearly that of long


@dataclass(frozen=True, slots=True)
class Run:
    """What was simulated: each request's figures, shape (n,), `end_s` by the clock of `trace`."""

    trace: Trace
    ttft_s: Floats
    tpot_s: Floats
    end_s: Floats
    iterations: int
    preemptions: int


def mean_lengths(traffic: Traffic) -> Lengths:
    """The means that decide what an engine's work is."""
    prompt, output = traffic.lengths[:, 0], traffic.lengths[:, 1]
    return Lengths(float(prompt.mean()), float(output.mean()), float((output * (prompt + output / 2)).mean()))


def capacity(engine: EngineModel, traffic: Traffic, running: float = math.inf) -> float:
    """The rate in requests/s that one engine sustains with `running` requests, or with as many as it has places for.

    Each of n running requests needs as many iterations as it has output tokens, and its own work once:
    rate = n / (output x fixed + n x work). n is bounded by places and by the KV cache, half of the output in it.
    """
    mean = mean_lengths(traffic)
    n = min(running, engine.max_sequences, engine.kv_tokens / (mean.prompt + mean.output / 2))
    work_s = engine.work_s(mean.prompt * (1 - traffic.prefix_share), mean.output, mean.context)
    touched: float = 1 - engine.expert_missed**n
    return n / (mean.output * (engine.iteration_s + engine.experts_s * touched) + n * work_s)


def simulated(engine: EngineModel, traffic: Traffic, engines: int) -> Run:
    """The traffic on `engines` equal engines: requests are routed, waiting clients spread evenly over them."""
    if traffic.clients is not None:
        return waiting_clients(engine, traffic, max(1, traffic.clients // engines))
    trace = traffic.drawn(requests_needed(engine, traffic, engines))
    policy = replace(static(engines), period_s=trace.duration_s + 1e6)  # nothing to decide on the way
    rng = np.random.default_rng(traffic.seed)
    outcome = simulate(trace, engine, policy, Bounds(initial=engines, most=engines), rng)
    stay_s = outcome.ttft_s + outcome.tpot_s * np.maximum(1, trace.output - 1)
    return Run(trace, outcome.ttft_s, outcome.tpot_s, trace.arrival_s + stay_s, outcome.iterations, outcome.preemptions)


def requests_needed(engine: EngineModel, traffic: Traffic, engines: int) -> int:
    """So many that each engine is filled TURNS times, by Little's law and the length of an iteration under the load."""
    mean, rate = mean_lengths(traffic), (traffic.rate or 0.0) / engines
    idle = 1 - rate * engine.work_s(mean.prompt, mean.output, mean.context)
    iteration_s = (engine.iteration_s + engine.experts_s) / max(idle, 0.01)
    under_way = min(rate * mean.output * iteration_s, engine.max_sequences)
    return min(MOST, max(LEAST, round(TURNS * under_way * engines)))


def waiting_clients(engine: EngineModel, traffic: Traffic, clients: int) -> Run:
    """A closed loop on one engine: a client sends its next request when it has the answer, which takes `request_s`.

    They begin one after the other, spread over the time of one answer.
    """
    trace = traffic.drawn(min(MOST, max(LEAST, TURNS * clients)))
    records = Records(trace)
    count = len(records.arrival)
    replica = Replica(engine, records, 0.0)
    sends = (np.arange(clients) / capacity(engine, traffic, clients)).tolist()
    sent = answered = 0
    while records.finished < count:
        due = sends[0] if sends and sent < count else math.inf
        if due <= replica.clock:
            records.arrival[sent] = heappop(sends)
            replica.submit(sent)
            sent += 1
            continue
        replica.step(due)
        for _ in range(records.finished - answered):
            heappush(sends, replica.clock + engine.request_s)
        answered = records.finished
    arrival, first, end = (np.asarray(each) for each in (records.arrival, records.first_token, records.end))
    return Run(
        trace=replace(trace, arrival_s=arrival),
        ttft_s=first - arrival + engine.request_s,
        tpot_s=(end - first) / np.maximum(1, trace.output - 1),
        end_s=end + engine.request_s,
        iterations=replica.steps,
        preemptions=replica.preemptions,
    )
