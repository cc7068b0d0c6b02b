"""How good the planner is where it has not looked: cross-validation by source and by generation.

Each source (a table of one publisher and version) is predicted from constants fitted on the others. From the same
predictions come the intervals; their coverage is counted on a source with the interval of the others.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fairlead.plan.fit import Mask, Names, Observations, fit, predict
from fairlead.plan.measurements import Measurement
from fairlead.plan.ranking import ranking
from fairlead.plan.work import Array

TPOT_SLOS_MS = (20, 30, 50)
KINDS = {"dense": False, "moe": True}
FEWEST = 20  # measurements for an interval of its own
TAILS = (0.08, 0.92)  # of a handful of sources; the 10th and 90th percentile covered 74 % of a source left out, not 80
UNMEASURED_POWER = 1.5  # the generations that were left out are of one vendor; a new one may differ more


def held_out(seen: Observations, group: Sequence[str]) -> tuple[Array, Array]:
    """(requests/s, TTFT in s) of every observation, from constants that were fitted without its group."""
    names = np.array(group)
    throughput, ttft = np.zeros(len(seen)), np.zeros(len(seen))
    for name in sorted(set(names.tolist())):
        out: Mask = names == name
        known = fit(seen, ~out, names=sorted(set(seen.generation[~out].tolist())))
        throughput[out], ttft[out] = (each[out] for each in predict(seen, known))
    return throughput, ttft


def spreads(seen: Observations, by_source: Array, by_generation: Array) -> dict[str, tuple[float, float]]:
    """The 80 % interval of measured / predicted throughput, for each confidence and kind of model."""
    found = {}
    for confidence, throughput in (("generation-fit", by_source), ("extrapolated", by_generation)):
        ratio = seen.throughput / throughput
        for kind, moe in KINDS.items():
            rows = seen.moe == moe
            found[f"{confidence}-{kind}"] = interval(ratio, seen.source, rows if rows.sum() >= FEWEST else None)
    for kind in KINDS:
        measured, other = found[f"generation-fit-{kind}"], found[f"extrapolated-{kind}"]
        low, high = min(measured[0], other[0]), max(measured[1], other[1])
        found[f"extrapolated-{kind}"] = (low**UNMEASURED_POWER, high**UNMEASURED_POWER)
    return found


def interval(ratio: Array, source: Names, rows: Mask | None = None) -> tuple[float, float]:
    """The TAILS of `ratio` over `rows`. Every source counts the same: the next one will be another."""
    picked = np.ones(len(ratio), dtype=bool) if rows is None else rows
    values, names = ratio[picked], source[picked]
    counts = Counter(names.tolist())
    weight = np.array([1 / max(counts[name], FEWEST) for name in names.tolist()])
    order = np.argsort(values)
    place = (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    low, high = np.interp(TAILS, place, values[order])
    return float(low), float(high)


def report(
    measurements: Sequence[Measurement], seen: Observations, throughput: Array, ttft: Array, fitted: Array
) -> dict[str, Any]:
    """Errors by source, and what people decide by: coverage, ranking, SLO. `fitted` has seen all."""
    error = np.abs(throughput / seen.throughput - 1)
    rows: list[dict[str, Any]] = []
    for source in [*sorted(set(seen.source.tolist())), "all"]:
        for kind, moe in KINDS.items():
            picked = (seen.moe == moe) & ((seen.source == source) | (source == "all"))
            if picked.any():
                rows.append({"source": source, "kind": kind} | errors(error[picked]))
    ranked = ranking(measurements, throughput, fitted)
    return {
        "by_source": rows,
        "coverage": round(coverage(seen, throughput), 3),
        "ranking": ranked,
        "tpot_slo": round(tpot_slo(measurements, seen, throughput, ttft), 3),
    }


def errors(error: Array) -> dict[str, float]:
    """Rows, median, mean, and the share within 15 %."""
    return {
        "rows": len(error),
        "median": round(float(np.median(error)), 3),
        "mape": round(float(error.mean()), 3),
        "within_15": round(float((error <= 0.15).mean()), 3),
    }


def coverage(seen: Observations, throughput: Array) -> float:
    """The share of measurements in the interval that the other sources give."""
    ratio = seen.throughput / throughput
    inside = np.zeros(len(seen), dtype=bool)
    for source, moe in itertools.product(set(seen.source.tolist()), KINDS.values()):
        rows = (seen.source == source) & (seen.moe == moe)
        others = (seen.source != source) & (seen.moe == moe)
        low, high = interval(ratio, seen.source, others if others.sum() >= FEWEST else seen.source != source)
        inside |= rows & (ratio >= low) & (ratio <= high)
    return float(inside.mean())


def tpot_slo(measurements: Sequence[Measurement], seen: Observations, throughput: Array, ttft: Array) -> float:
    """How often it is told right whether the mean TPOT keeps an objective."""
    rows = [index for index, each in enumerate(measurements) if each.tpot_s > 0]
    right = 0
    for index in rows:
        each = measurements[index]
        told = (seen.requests[index] / throughput[index] - ttft[index]) / max(each.load.output - 1, 1)
        right += sum((told * 1e3 <= slo) == (each.tpot_s * 1e3 <= slo) for slo in TPOT_SLOS_MS)
    return right / max(len(rows) * len(TPOT_SLOS_MS), 1)
