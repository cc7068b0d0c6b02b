"""The thresholds that the policies need, derived from engine, SLO and lengths by simulating a steady load.

The load of a small pool is raised until the SLO is no longer attained. The highest load that still attains it says how
much of the closed form's capacity is usable, and how many requests a replica then has ongoing: the target for Ray Serve
(`target_ongoing_requests`), HPA (AverageValue), KEDA (`threshold`) and Knative (`autoscaling.knative.dev/target`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fairlead.errors import UserError
from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import EngineModel, Slo
from fairlead.plan.autoscale.fleet import Bounds, Outcome, simulate
from fairlead.plan.autoscale.policies.static import static
from fairlead.plan.autoscale.promise import Lengths, Promise

POOL = 4  # replicas of the steady load; with 2 or 20 a replica takes some percent less or more
REQUESTS = 8_000
HALVINGS = 8
HEAVIEST = 1.2  # of the closed form's capacity: nobody looks beyond
LIGHTEST = 0.05  # of the closed form's capacity: where even this misses the SLO, no number of replicas helps


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`ongoing`: requests that a replica has, running and queued, at the highest load that attains the SLO."""

    promise: Promise
    ongoing: float


def attained(outcome: Outcome, slo: Slo) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each request, whether both of its promises held; shape (n,)."""
    return np.asarray((outcome.ttft_s <= slo.ttft_s) & (outcome.tpot_s <= slo.tpot_s))


def derive(trace: Trace, engine: EngineModel, slo: Slo, seed: int) -> Thresholds:
    """Thresholds for requests as long as those of `trace`. Raises UserError where no load attains the SLO."""
    if engine.fixed_s >= slo.tpot_s:
        raise UserError(
            f"an iteration of {engine.name} takes {engine.fixed_s * 1000:.1f} ms even without requests: "
            f"more than the TPOT of {slo.tpot_s * 1000:.1f} ms",
            hint="promise a longer TPOT, or use a faster engine",
        )
    promise = Promise(engine, slo, Lengths.of(trace))
    share, ongoing = _steady(trace, promise, LIGHTEST, seed)
    if share < slo.attainment:
        raise UserError(
            f"{engine.name} attains the SLO for {share:.1%} of the requests even at {LIGHTEST:.0%} of its capacity",
            hint=f"wanted are {slo.attainment:.1%}: promise a longer TTFT or TPOT, or use a faster engine",
        )
    bracket = Bracket(ongoing=ongoing)
    while bracket.halvings < HALVINGS:
        bracket = halved(trace, promise, bracket, seed)
    return Thresholds(replace(promise, usable=bracket.low), bracket.ongoing)


@dataclass(frozen=True, slots=True)
class Bracket:
    """Shares of the closed form's capacity: the SLO is attained at `low`, with `ongoing` requests, and not at `high`.

    At first neither has been looked at.
    """

    low: float = LIGHTEST
    high: float = HEAVIEST
    ongoing: float = 0.0
    halvings: int = 0


def halved(trace: Trace, promise: Promise, bracket: Bracket, seed: int) -> Bracket:
    """The half of the bracket that a simulated load in its middle leaves."""
    middle = (bracket.low + bracket.high) / 2
    share, ongoing = _steady(trace, promise, middle, seed)
    steps = bracket.halvings + 1
    if share >= promise.slo.attainment:
        return Bracket(middle, bracket.high, ongoing, steps)
    return Bracket(bracket.low, middle, bracket.ongoing, steps)


def _steady(trace: Trace, promise: Promise, load: float, seed: int) -> tuple[float, float]:
    """Attainment and mean ongoing requests per replica at `load` times the closed form's capacity."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1 / (load * promise.rate_per_replica() * POOL), REQUESTS)
    drawn = rng.integers(len(trace.prompt), size=REQUESTS)
    steady = Trace("steady", np.cumsum(gaps), trace.prompt[drawn], trace.output[drawn])
    outcome = simulate(steady, promise.engine, static(POOL), Bounds(initial=POOL), rng)
    stay_s = outcome.ttft_s + outcome.tpot_s * (steady.output - 1)
    return float(np.mean(attained(outcome, promise.slo))), float(np.sum(stay_s) / steady.duration_s / POOL)
