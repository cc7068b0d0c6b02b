"""The fitted constants with their error, as `make fit` or `fairlead plan calibrate` wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fairlead.catalog.accelerators import accelerator
from fairlead.errors import UserError
from fairlead.plan.deployment import Deployment
from fairlead.plan.roofline import LOCAL, SHARED, Constants

FARTHEST = 2.0
CALIBRATED, GENERATION_FIT, EXTRAPOLATED = "calibrated", "generation-fit", "extrapolated"


@dataclass(frozen=True, slots=True)
class Fit:
    """Constants, and how far off they were where they had not seen the measurements.

    `spread` maps a class of deployments to the 10th and 90th percentile of log(measured / predicted) throughput.
    `calibrated` names the accelerators that the user has measured, `measured` those of the published tables.
    """

    constants: Constants
    spread: Mapping[str, tuple[float, float]]
    calibrated: frozenset[str]
    measured: frozenset[str]
    accuracy: Mapping[str, Any]

    def confidence(self, plan: Deployment) -> str:
        """How far the measurements reach to `plan`.

        One of the same generation counts if its memory is at most FARTHEST times faster or slower: an L4 is no L40S.
        """
        if plan.gpu.name in self.calibrated:
            return CALIBRATED
        reached = any(
            other.generation == plan.gpu.generation
            and 1 / FARTHEST <= plan.gpu.bandwidth_gb_s / other.bandwidth_gb_s <= FARTHEST
            for other in map(accelerator, self.measured)
        )
        return GENERATION_FIT if reached else EXTRAPOLATED

    def interval(self, plan: Deployment) -> tuple[float, float]:
        """Factors on the predicted throughput between which 80 % of measurements should lie."""
        confidence = self.confidence(plan)
        kind = "moe" if plan.model.is_moe else "dense"
        low, high = self.spread[f"{confidence}-{kind}"]
        return low, high


@cache
def shipped() -> Fit:
    """The fit that comes with the package."""
    return parse(files("fairlead.plan").joinpath("data", "constants.json").read_text(encoding="utf-8"))


def parse(text: str) -> Fit:
    """Read what `as_json` wrote. Raises UserError."""
    try:
        read = json.loads(text)
        local = {name: {key: float(row[key]) for key in LOCAL} for name, row in read["local"].items()}
        shared = {key: float(read["shared"][key]) for key in SHARED}
        spread = {name: (float(low), float(high)) for name, (low, high) in read["spread"].items()}
        return Fit(
            Constants(local, shared),
            spread,
            frozenset(read["calibrated"]),
            frozenset(read["measured"]),
            read["accuracy"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "such a file is written by `fairlead plan calibrate`"
        raise UserError(f"no constants of the planner: {error!r}", hint=hint) from error


def as_json(fit: Fit) -> str:
    """The fit as text that `parse` reads back; figures to four digits."""
    document = {
        "local": {name: rounded(row) for name, row in sorted(fit.constants.local.items())},
        "shared": rounded(fit.constants.shared),
        "spread": {name: [rounded_number(each) for each in pair] for name, pair in sorted(fit.spread.items())},
        "calibrated": sorted(fit.calibrated),
        "measured": sorted(fit.measured),
        "accuracy": fit.accuracy,
    }
    return json.dumps(document, indent=2) + "\n"


def rounded(row: Mapping[str, float]) -> dict[str, float]:
    """To four significant digits."""
    return {name: rounded_number(value) for name, value in row.items()}


def rounded_number(value: float) -> float:
    """To four significant digits."""
    return float(f"{value:.4g}")
