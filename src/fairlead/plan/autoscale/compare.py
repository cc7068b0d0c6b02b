"""The same requests under every policy: attainment, GPU-hours, money, and regret against the clairvoyant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.fleet import Bounds, Outcome, simulate
from fairlead.plan.autoscale.metrics import Policy
from fairlead.plan.autoscale.policies.capacity import capacity
from fairlead.plan.autoscale.policies.hpa import hpa
from fairlead.plan.autoscale.policies.keda import keda
from fairlead.plan.autoscale.policies.knative import knative
from fairlead.plan.autoscale.policies.oracle import needs, oracle
from fairlead.plan.autoscale.policies.ray_serve import ray_serve
from fairlead.plan.autoscale.policies.static import static
from fairlead.plan.autoscale.thresholds import Thresholds, attained

WORST_S = 600.0
RAY_DEFAULT = 2.0
SEARCH_STEPS = 5


@dataclass(frozen=True, slots=True)
class Result:
    """One policy's day. `worst` is the attainment of the worst ten minutes; costs are in the engine's currency."""

    policy: str
    settings: str
    attainment: float
    worst: float
    ttft_p95_s: float
    tpot_p95_s: float
    gpu_hours: float
    cost: float
    most_replicas: int
    reclaims: int


POLICIES: Mapping[str, Callable[[Trace, Thresholds], Policy]] = {
    "static": lambda trace, derived: static(peak_replicas(trace, derived)),
    "ray-default": lambda _, derived: ray_serve(RAY_DEFAULT, name="ray serve, default"),
    "ray": lambda _, derived: ray_serve(max(1, math.floor(derived.ongoing)), name="ray serve, derived"),
    "hpa": lambda _, derived: hpa(derived.ongoing),
    "keda": lambda _, derived: keda(derived.ongoing),
    "knative": lambda _, derived: knative(derived.ongoing),
    "capacity": lambda _, derived: capacity(derived.promise),
}


def compare(trace: Trace, derived: Thresholds, bounds: Bounds, names: Sequence[str], seed: int) -> Iterator[Result]:
    """One result for each of `names`, in that order, as it is ready; "oracle" is searched for."""
    for name in names:
        if name == "oracle":
            yield best_oracle(trace, derived, bounds, seed)
        else:
            yield run(trace, derived, POLICIES[name](trace, derived), bounds, seed)


def run(trace: Trace, derived: Thresholds, policy: Policy, bounds: Bounds, seed: int) -> Result:
    """One policy's result. The same arguments give the same result."""
    outcome = simulate(trace, derived.promise.engine, policy, bounds, np.random.default_rng(seed))
    return result_of(trace, derived, policy, bounds, outcome)


def result_of(trace: Trace, derived: Thresholds, policy: Policy, bounds: Bounds, outcome: Outcome) -> Result:
    """What one simulation came to."""
    engine, slo = derived.promise.engine, derived.promise.slo
    good = attained(outcome, slo)
    window = (trace.arrival_s / WORST_S).astype(np.int64)
    count = np.bincount(window)
    share = np.bincount(window, good)[count > 0] / count[count > 0]
    return Result(
        policy=policy.name,
        settings=policy.settings,
        attainment=float(good.mean()),
        worst=float(share.min()),
        ttft_p95_s=float(np.percentile(outcome.ttft_s, 95)),
        tpot_p95_s=float(np.percentile(outcome.tpot_s, 95)),
        gpu_hours=outcome.paid_hours * engine.gpus,
        cost=cost(outcome, engine, bounds),
        most_replicas=max(billed for _, _, billed in outcome.replicas),
        reclaims=outcome.reclaims,
    )


def best_oracle(trace: Trace, derived: Thresholds, bounds: Bounds, seed: int) -> Result:
    """The clairvoyant whose replicas are as full as the SLO allows over the whole trace, to 2 %."""
    promise = derived.promise
    low, high = 0.7, 1.4  # times the usable part: a steady load at 1.0 just attains the SLO
    best = None
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        tried = replace(promise, usable=promise.usable * middle)
        result = run(trace, derived, oracle(trace, tried), bounds, seed)
        if result.attainment >= promise.slo.attainment:
            low, best = middle, result
        else:
            high = middle
    return best or run(trace, derived, oracle(trace, replace(promise, usable=promise.usable * low)), bounds, seed)


def cost(outcome: Outcome, engine: EngineModel, bounds: Bounds) -> float:
    """What the replicas cost, spot ones at the spot price."""
    full = outcome.paid_hours - outcome.paid_spot_hours
    return (full + outcome.paid_spot_hours * bounds.spot.price) * engine.price_per_hour


def peak_replicas(trace: Trace, derived: Thresholds) -> int:
    """Replicas for the busiest ten minutes of the trace."""
    rates = np.bincount((trace.arrival_s / WORST_S).astype(np.int64)) / WORST_S
    return max(1, math.ceil(derived.promise.replicas(float(rates.max()), derived.promise.lengths) - 1e-9))


def first_replicas(trace: Trace, derived: Thresholds) -> int:
    """Replicas for the first ten minutes: every policy begins with them."""
    return int(needs(trace.part(0.0, WORST_S), derived.promise).max())
