"""Which of two set-ups gives more throughput per GPU: how often that is told right, and how often it could be.

Pairs are of the same source, model and workload. A perfect predictor would be wrong too where two measurements differ
by less than the same thing does when it is measured twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fairlead.plan.measurements import Measurement
from fairlead.plan.work import Array

SAME = 1e-9
CLEARLY = 1.1  # a pair is clear where one is at least so many times the other
QUARTILE = NormalDist().inv_cdf(0.75)  # the median of a normal distribution's absolute value


def ranking(measurements: Sequence[Measurement], throughput: Array, fitted: Array) -> Mapping[str, float]:
    """Shares that are told right, and numbers of pairs; a tie is half right.

    `throughput` is predicted without the source, `fitted` with constants that have seen all. "hardware" are the pairs
    that differ in more than the engine, "engine" the others. "repeats" is how far the same question to the same engine
    differs when it is measured again, "possible" what a perfect predictor would tell right.
    """
    pairs = np.array(list(comparable(measurements)))
    one, other = pairs[:, 0], pairs[:, 1]
    gpus = np.array([each.plan.tp * each.plan.pp * each.plan.replicas for each in measurements])
    measured = np.log(np.array([each.requests_per_s for each in measurements]) / gpus)
    true = measured[one] - measured[other]
    right, in_sample = (hits(true, np.log(each / gpus), pairs) for each in (throughput, fitted))
    clear = np.abs(true) >= np.log(CLEARLY)
    same = np.array([set_up(measurements[a]) == set_up(measurements[b]) for a, b in pairs])
    noise = repeats(measurements)
    return {
        "all": share(right),
        "clear": share(right[clear]),
        "hardware": share(right[~same]),
        "engine": share(right[same]),
        "fitted": share(in_sample),
        "possible": share(np.array([NormalDist(0, noise).cdf(each) for each in np.abs(true)])),
        "repeats": round(noise, 3),
        "pairs": len(pairs),
        "engine_pairs": int(same.sum()),
    }


def comparable(measurements: Sequence[Measurement]) -> Iterator[tuple[int, int]]:
    """Indices of two of the same source, model and workload."""
    yield from together(measurements, lambda each: (each.source, each.plan.model.name, each.load))


def set_up(each: Measurement) -> object:
    """What is compared, but for the engine."""
    plan = each.plan
    return plan.gpu.name, plan.tp, plan.pp, plan.replicas, plan.quantization.name


def hits(true: Array, told: Array, pairs: NDArray[np.int64]) -> Array:
    """1 where the better one is told, 1/2 where both are told to be equal, else 0."""
    difference = told[pairs[:, 0]] - told[pairs[:, 1]]
    found: Array = np.where(np.abs(difference) < SAME, 0.5, (true > 0) == (difference > 0))
    return found


def repeats(measurements: Sequence[Measurement]) -> float:
    """The standard deviation of the logarithm of two measurements' ratio, from its median: it has wide tails."""
    same = together(measurements, lambda each: (set_up(each), each.plan.engine.name, each.plan.model.name, each.load))
    apart = [abs(np.log(measurements[a].requests_per_s / measurements[b].requests_per_s)) for a, b in same]
    return float(np.median(apart)) / QUARTILE


def together(measurements: Sequence[Measurement], key: Callable[[Measurement], object]) -> Iterator[tuple[int, int]]:
    """Pairs of indices with the same key."""
    groups: dict[object, list[int]] = {}
    for index, each in enumerate(measurements):
        groups.setdefault(key(each), []).append(index)
    for group in groups.values():
        yield from itertools.combinations(group, 2)


def share(values: Array) -> float:
    """The mean, to a tenth of a percent."""
    return round(float(values.mean()), 3)
