"""Fitting the roofline's constants: damped Gauss-Newton on log throughput, robust, with a prior.

- Errors are of log(predicted / measured), so that 2 x too much and 2 x too little weigh the same; beyond DELTA they
  count linearly (Huber), because published tables hold a few rows of other set-ups.
- Every source counts the same, however many rows it has.
- Constants have a log-normal prior around textbook values. It decides where the measurements do not, and keeps the
  constants of a generation with few rows near the others'.
- TTFT is fitted with little weight: between two measurements of the same thing it differs by 40 %.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fairlead.plan.benchmark import benchmark
from fairlead.plan.deployment import Deployment
from fairlead.plan.measurements import Measurement
from fairlead.plan.roofline import LOCAL, SHARED, Constants, factors
from fairlead.plan.work import Array

DELTA = 0.05
NOISE = 0.15  # the spread of log throughput that a perfect model would leave
TTFT_WEIGHT = 0.15
ROUNDS, STEP, SETTLED = 15, 0.01, 1e-3

# name -> (centre, spread of the logarithm). Shares of peak rates: 0.6 of the operations and 0.9 of the bandwidth are
# what large matrix products and copies reach; prompts' attention has softmax between its products; a ring all-reduce
# reaches 0.6 of a link, its latency is some microseconds a call on NVLink and tens over PCIe or between nodes. Engines
# are within some tenths of each other.
PRIOR: Mapping[str, tuple[float, float]] = {
    "compute": (0.6, 0.1),
    "memory": (0.9, 0.1),
    "overhead_ms": (3.5, 0.3),
    "experts": (0.8, 0.5),
    "cache": (1.0, 0.3),
    "attention": (1.0, 0.3),
    "link": (0.6, 0.5),
    "link_pcie": (0.6, 0.5),
    "link_node": (0.4, 0.5),
    "reduce_us": (5.0, 0.5),
    "reduce_pcie_us": (20.0, 0.7),
    "reduce_node_us": (20.0, 0.5),
    "step_ms": (1.0, 0.7),
    "router_us": (20.0, 1.0),
    "sequence_us": (10.0, 0.7),
    "sequence_served_us": (40.0, 0.7),
    "request_ms": (30.0, 0.7),
    "engine_sglang": (1.0, 0.1),
    "engine_trtllm": (1.0, 0.1),
}


Indices: TypeAlias = NDArray[np.int64]
Names: TypeAlias = NDArray[np.str_]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Observations:
    """Measurements as arrays, one row each, and the distinct sorts of factors that they need (`sort` is an index)."""

    plans: Sequence[Deployment]
    served: Sequence[bool]
    sort: Indices
    work: Array
    ttft_work: Array
    requests: Array
    is_served: Array
    throughput: Array
    ttft: Array
    source: Names
    moe: Mask
    generation: Names

    def __len__(self) -> int:
        return len(self.throughput)


def observe(measurements: Sequence[Measurement]) -> Observations:
    """Run every measurement's schedule."""
    made = [benchmark(each.plan, each.load) for each in measurements]
    sorts: dict[tuple[object, ...], int] = {}
    index = []
    for each in measurements:
        plan = each.plan
        key = (plan.gpu.name, plan.engine.name, plan.tp > 8, each.load.served)
        index.append(sorts.setdefault(key, len(sorts)))
    firsts = [index.index(number) for number in range(len(sorts))]
    return Observations(
        plans=[measurements[first].plan for first in firsts],
        served=[measurements[first].load.served for first in firsts],
        sort=np.array(index, dtype=np.int64),
        work=np.array([each.throughput_work for each in made]),
        ttft_work=np.array([each.mean_ttft for each in made]),
        requests=np.array([each.requests * each.copies for each in made], dtype=np.float64),
        is_served=np.array([each.load.served for each in measurements], dtype=np.float64),
        throughput=np.array([each.requests_per_s for each in measurements]),
        ttft=np.array([each.ttft_s for each in measurements]),
        source=np.array([each.source for each in measurements]),
        moe=np.array([each.plan.model.is_moe for each in measurements]),
        generation=np.array([each.plan.gpu.generation for each in measurements]),
    )


def predict(seen: Observations, constants: Constants) -> tuple[Array, Array]:
    """(requests/s, TTFT in s) of every observation."""
    table = np.array(
        [factors(plan, constants.of(plan), served=served) for plan, served in zip(seen.plans, seen.served, strict=True)]
    )[seen.sort]
    wait = constants.shared["request_ms"] * 1e-3 * seen.is_served
    throughput: Array = seen.requests / ((seen.work * table).sum(axis=1) + wait)
    ttft: Array = (seen.ttft_work * table).sum(axis=1) + wait
    return throughput, ttft


def fit(
    seen: Observations,
    rows: Mask,
    *,
    names: Sequence[str],
    start: Constants | None = None,
    widen: float = 1.0,
) -> Constants:
    """Constants from the `rows` of `seen` that are true; `names` are the accelerators or generations to be fitted.

    `start`: constants known before; they become the centre of the prior, and only the `names` are fitted.
    `widen` > 1 lets the measurements weigh more against the prior.
    """
    fields = [(name, key) for name in names for key in LOCAL]
    fields += [] if start else [("", key) for key in SHARED]
    centre: Array = np.log(np.array([start_value(start, seen, name, key) for name, key in fields]))
    spread = np.array([PRIOR[key][1] * widen for _, key in fields])
    weight = source_weights(seen, rows)

    def constants(values: Array) -> Constants:
        return assembled(fields, np.exp(values), start)

    def errors(values: Array) -> Array:
        throughput, ttft = predict(seen, constants(values))
        timed = seen.ttft > 0
        late = np.log(np.where(timed, ttft, 1.0) / np.where(timed, seen.ttft, 1.0)) * TTFT_WEIGHT * (seen.is_served > 0)
        both: Array = np.concatenate([np.log(throughput / seen.throughput) * weight, late * weight])
        return both

    values = centre.copy()
    for _ in range(ROUNDS):
        now = errors(values)
        slope = np.stack([(errors(values + bump) - now) / STEP for bump in np.eye(len(values)) * STEP], axis=1)
        step = newton_step(now, slope, values - centre, spread)
        values = np.asarray(values + np.clip(step, -0.5, 0.5), dtype=np.float64)
        if np.abs(step).max() < SETTLED:
            break
    return constants(values)


def newton_step(now: Array, slope: Array, away: Array, spread: Array) -> Array:
    """One damped step of iteratively re-weighted least squares."""
    robust = np.minimum(1.0, DELTA / np.maximum(np.abs(now), 1e-12)) / NOISE**2
    curvature = slope.T @ (slope * robust[:, None]) + np.diag(spread**-2)
    downhill = slope.T @ (now * robust) + away * spread**-2
    return np.asarray(-np.linalg.solve(curvature + 0.01 * np.diag(np.diag(curvature)), downhill), dtype=np.float64)


def source_weights(seen: Observations, rows: Mask) -> Array:
    """0 for rows left out; else such that all sources weigh the same, and the mean is 1."""
    counts = Counter(seen.source[rows].tolist())
    weight = np.array([counts[source] ** -0.5 if use else 0.0 for source, use in zip(seen.source, rows, strict=True)])
    scaled: Array = weight / weight[rows].mean()
    return scaled


def start_value(start: Constants | None, seen: Observations, name: str, key: str) -> float:
    """Where the prior of one constant is centred."""
    if start is None:
        return PRIOR[key][0]
    plan = next(plan for plan in seen.plans if name in {plan.gpu.name, plan.gpu.generation})
    return start.of(plan)[key]


def assembled(fields: Sequence[tuple[str, str]], values: Array, start: Constants | None) -> Constants:
    """Constants from a flat list; those of unmeasured accelerators are the geometric mean of the measured ones."""
    local: dict[str, dict[str, float]] = {}
    shared: dict[str, float] = dict(start.shared) if start else {}
    for (name, key), value in zip(fields, values, strict=True):
        (local.setdefault(name, {}) if name else shared)[key] = float(value)
    if start:
        return Constants({**start.local, **local}, shared)
    mean = {key: float(np.exp(np.mean([np.log(row[key]) for row in local.values()]))) for key in LOCAL}
    return Constants({**local, "unmeasured": mean}, shared)
