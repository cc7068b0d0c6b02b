"""Our own rule: measured work against what a replica can do within the SLO. No forecast, nothing to tune per trace.

Everything is read from counters that a gateway has: requests that arrived, tokens of those that finished.

- Work: requests/s times the replica seconds that a mean request takes (`EngineModel.work_s`), and the sequences and
  KV tokens that it holds meanwhile. The scarcest of the three counts (`Promise.replicas`).
- Chance: a replica is filled only to the part of the most at which a simulated steady load of the planned lengths still
  attains the SLO (`Promise.usable`): that part covers bursts, chunks of long prompts, and imperfect routing.
- Start-up: a replica asked for now helps `startup_s` from now. The growth between the last two stretches of that length
  is taken to go on for another one, less its own standard error, so that noise alone asks for nothing.
- Backlog: what waits is to be worked off within one start-up.
- Down: to give up a replica and miss it costs one start-up of another; keep it idle for as long as that and no longer
  (the break-even rule of ski rental: at most twice the cost of knowing the future).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fairlead.plan.autoscale.metrics import Metrics, Policy
from fairlead.plan.autoscale.policies.windows import Looks, back, remembered
from fairlead.plan.autoscale.promise import Lengths, Promise

PERIOD_S = 10.0
SHORTEST_WINDOW_S = 60.0
LENGTHS_WINDOW_S = 900.0
PLANNED_WEIGHT = 100  # the planned lengths count as much as so many measured requests


@dataclass(frozen=True, slots=True)
class _State:
    looks: Looks = ()
    wishes: tuple[tuple[float, int], ...] = ()


def capacity(promise: Promise) -> Policy:
    """`promise` is what one replica can do within the SLO, and the lengths to expect before any are measured."""
    startup_s = promise.engine.startup_s

    def decide(state: _State, metrics: Metrics) -> tuple[_State, int]:
        window_s = max(SHORTEST_WINDOW_S, startup_s)
        looks = remembered(state.looks, metrics, max(LENGTHS_WINDOW_S, 2 * window_s))
        wanted = needed(looks, window_s, promise)
        if metrics.now < SHORTEST_WINDOW_S:  # too early to judge: keep at least what is there
            wanted = max(wanted, metrics.replicas)
        since = metrics.now - startup_s
        wishes = (*(wish for wish in state.wishes if wish[0] >= since), (metrics.now, wanted))
        return _State(looks, wishes), max(count for _, count in wishes)

    return Policy(
        "capacity", PERIOD_S, _State(), decide, f"{promise.rate_per_replica():.3g} requests/s per replica at the SLO"
    )


def needed(looks: Looks, window_s: float, promise: Promise) -> int:
    """Replicas for the demand one start-up from now."""
    now = looks[-1]
    rate = coming_rate(looks, window_s, promise.engine.startup_s)
    waiting = max(0.0, now.queued - rate * promise.slo.ttft_s)  # more than arrive within a promised TTFT
    rate += waiting / max(promise.engine.startup_s, SHORTEST_WINDOW_S)
    return max(1, math.ceil(promise.replicas(rate, measured(looks, promise.lengths)) - 1e-9))


def measured(looks: Looks, planned: Lengths) -> Lengths:
    """Mean lengths of the requests that finished lately, on top of the planned ones."""
    now, then = looks[-1], back(looks, LENGTHS_WINDOW_S)
    count = now.finished - then.finished + PLANNED_WEIGHT
    return Lengths(
        prompt=(now.prompt_tokens - then.prompt_tokens + PLANNED_WEIGHT * planned.prompt) / count,
        output=(now.output_tokens - then.output_tokens + PLANNED_WEIGHT * planned.output) / count,
        context=(now.context_tokens - then.context_tokens + PLANNED_WEIGHT * planned.context) / count,
    )


def coming_rate(looks: Looks, window_s: float, ahead_s: float) -> float:
    """Requests/s to expect `ahead_s` from now: the rate of the last window, and its growth if it is no chance."""
    now, middle, old = looks[-1], back(looks, window_s), back(looks, 2 * window_s)
    if now.now == middle.now:
        return 0.0
    length = now.now - middle.now
    rate = (now.arrived - middle.arrived) / length
    if middle.now == old.now:
        return rate
    before = (middle.arrived - old.arrived) / (middle.now - old.now)
    error = math.sqrt(rate / length + before / (middle.now - old.now))
    growth = max(0.0, rate - before - error) / ((now.now - old.now) / 2)
    return rate + growth * (length / 2 + ahead_s)
