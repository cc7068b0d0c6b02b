"""The user's own measurements: they outweigh the published ones for the accelerators that they cover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from fairlead.errors import Problem, UserError
from fairlead.plan.constants import CALIBRATED, GENERATION_FIT, Fit
from fairlead.plan.fit import fit, observe, predict
from fairlead.plan.measurements import Row, read

FEWEST = 3  # runs, for three constants
OWN_INTERVAL = 10  # runs, from which on the interval is that of the user's own residuals
TRUST = 4.0  # how much wider the prior is than for published tables: the user's set-up is what counts


@dataclass(frozen=True, slots=True)
class Calibration:
    """`errors`: accelerator, runs, median error with the constants before and after; `problems`: rows not used."""

    fit: Fit
    errors: tuple[tuple[str, int, float, float], ...]
    problems: tuple[Problem, ...]


def calibrated(rows: Iterable[Row], known: Fit) -> Calibration:
    """`known` with new constants for every measured accelerator. Raises UserError where nothing is usable.

    The prior is centred on the constants known before, so few runs move them less.
    """
    measurements, problems = read(rows)
    by_gpu = sorted({each.plan.gpu.name for each in measurements})
    counts = {name: sum(each.plan.gpu.name == name for each in measurements) for name in by_gpu}
    names = [name for name in by_gpu if counts[name] >= FEWEST]
    if not names:
        few = Problem(f"no accelerator has {FEWEST} usable runs", hint="measure several batch sizes and lengths")
        raise UserError(problems=[*problems, few])
    seen = observe([each for each in measurements if each.plan.gpu.name in names])
    gpu = np.array([each.plan.gpu.name for each in measurements if each.plan.gpu.name in names])
    before, _ = predict(seen, known.constants)
    constants = fit(seen, np.ones(len(seen), dtype=bool), names=names, start=known.constants, widen=TRUST)
    after, _ = predict(seen, constants)
    ratio = seen.throughput / after
    spread = dict(known.spread)
    for kind in ("dense", "moe"):
        low, high = known.spread[f"{GENERATION_FIT}-{kind}"]
        if len(seen) >= OWN_INTERVAL:
            low, high = (float(each) for each in np.percentile(ratio, [10, 90]))
        spread[f"{CALIBRATED}-{kind}"] = (low, high)
    errors = tuple(
        (
            name,
            counts[name],
            float(np.median(np.abs(before / seen.throughput - 1)[gpu == name])),
            float(np.median(np.abs(after / seen.throughput - 1)[gpu == name])),
        )
        for name in names
    )
    found = replace(known, constants=constants, spread=spread, calibrated=known.calibrated | set(names))
    return Calibration(found, errors, tuple(problems))
