"""Knative's pod autoscaler (KPA) on concurrency, with its stable and its panic mode.

Source: knative.dev/docs/serving/autoscaling/kpa-specific and `pkg/autoscaler/scaling/autoscaler.go` of knative/serving.
Every 2 s, desired = ceil(average concurrency / target), averaged over 60 s (stable) and over a tenth of it (panic).
When the panic wish is at least twice the ready pods, panic begins: the larger wish counts and nothing scales down until
60 s have passed without such a wish. The target is 70 % of what a pod can take. At most 1,000 times up, 2 times down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fairlead.plan.autoscale.metrics import Metrics, Policy
from fairlead.plan.autoscale.policies.windows import Looks, mean_ongoing, remembered

TICK_S = 2.0
STABLE_S = 60.0
PANIC_S = 6.0
PANIC_THRESHOLD = 2.0
TARGET_SHARE = 0.7
UP_RATE = 1000.0
DOWN_RATE = 2.0


@dataclass(frozen=True, slots=True)
class _State:
    looks: Looks = ()
    panic_at: float | None = None
    panic_most: int = 0


def knative(concurrency: float) -> Policy:
    """`concurrency` is the annotation autoscaling.knative.dev/target: what a pod can take."""
    target = concurrency * TARGET_SHARE

    def decide(state: _State, metrics: Metrics) -> tuple[_State, int]:
        looks = remembered(state.looks, metrics, STABLE_S)
        ready = max(1, metrics.ready)
        most, least = math.ceil(UP_RATE * ready), math.floor(ready / DOWN_RATE)
        stable, panic = (
            min(most, max(least, math.ceil(mean_ongoing(looks, window) / target - 1e-9)))
            for window in (STABLE_S, PANIC_S)
        )
        panic_at, panic_most = state.panic_at, state.panic_most
        if panic / ready >= PANIC_THRESHOLD:
            panic_at = metrics.now
        elif panic_at is not None and metrics.now - panic_at >= STABLE_S:
            panic_at, panic_most = None, 0
        if panic_at is None:
            return _State(looks), stable
        panic_most = max(panic_most, panic, stable)
        return _State(looks, panic_at, panic_most), panic_most

    return Policy("knative", TICK_S, _State(), decide, f"target {concurrency:.3g}, 70 % of it used")
