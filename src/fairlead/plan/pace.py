"""How fast a replica is at a load: means in closed form to compare with, percentiles by simulation to promise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fairlead.plan.ask import Ask
from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.fleet import Bounds, simulate
from fairlead.plan.autoscale.policies.static import static
from fairlead.plan.autoscale.promise import Lengths

REQUESTS = 2000
POOL = 4  # replicas that are simulated together, at most
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Means in ms of a steady load; infinite where the replica cannot keep up."""

    ttft_ms: float
    tpot_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """In ms, of a simulated steady load."""

    ttft_p50_ms: float
    ttft_p95_ms: float
    tpot_p50_ms: float
    tpot_p95_ms: float


def pace(engine: EngineModel, lengths: Lengths, rate: float) -> Pace:
    """One replica under `rate` requests/s. The requests' work takes a share of the time; the rest is iterations.

    tpot = fixed part of an iteration / (1 - rate x work of a request); a prompt is computed in what is left over.
    """
    idle = 1 - rate * engine.work_s(lengths.prompt, lengths.output, lengths.context)
    if idle <= 0:
        return Pace(ttft_ms=math.inf, tpot_ms=math.inf)
    tpot_s = engine.fixed_s / idle
    ttft_s = engine.request_s + tpot_s / 2 + engine.prompt_token_s * lengths.prompt / idle
    return Pace(ttft_ms=ttft_s * 1e3, tpot_ms=tpot_s * 1e3)


def percentiles(ask: Ask, engine: EngineModel, replicas: int) -> Percentiles:
    """The load of `ask` on so many replicas, simulated for REQUESTS requests."""
    pool = min(POOL, replicas)
    rng = np.random.default_rng(SEED)
    gaps = rng.exponential(replicas / (ask.rate * pool), REQUESTS)
    drawn = rng.integers(len(ask.lengths.prompt), size=REQUESTS)
    load = Trace("planned", np.cumsum(gaps), ask.lengths.prompt[drawn], ask.lengths.output[drawn])
    outcome = simulate(load, engine, static(pool), Bounds(initial=pool), rng)
    ttft, tpot = (np.percentile(each, [50, 95]) * 1e3 for each in (outcome.ttft_s, outcome.tpot_s))
    return Percentiles(
        ttft_p50_ms=float(ttft[0]),
        ttft_p95_ms=float(ttft[1]),
        tpot_p50_ms=float(tpot[0]),
        tpot_p95_ms=float(tpot[1]),
    )
