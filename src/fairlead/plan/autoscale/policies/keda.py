"""KEDA with a Prometheus trigger on the sum of ongoing requests.

Source: keda.sh/docs, "Scaling Deployments" and the ScaledObject specification. From one replica up, KEDA feeds an
external metric of type AverageValue to an HPA: desired = ceil(total / threshold), with HPA's tolerance, sync period
and stabilisation, and without its special care for pods that are not ready. Between zero and one, KEDA itself polls
every pollingInterval (30 s) and scales to zero after a cooldownPeriod of 300 s without activity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fairlead.plan.autoscale.metrics import Metrics, Policy
from fairlead.plan.autoscale.policies.hpa import SYNC_S, TOLERANCE, Wishes, stabilised

POLLING_S = 30.0
COOLDOWN_S = 300.0


@dataclass(frozen=True, slots=True)
class _State:
    wishes: Wishes = ()
    active_at: float = 0.0
    polled_at: float = -POLLING_S
    on: bool = True


def keda(threshold: float) -> Policy:
    """`threshold` is the trigger's: ongoing requests per replica."""

    def decide(state: _State, metrics: Metrics) -> tuple[_State, int]:
        active_at, polled_at, on = state.active_at, state.polled_at, state.on
        if metrics.now - polled_at >= POLLING_S:
            polled_at = metrics.now
            if metrics.ongoing:
                active_at = metrics.now
            on = metrics.now - active_at < COOLDOWN_S
        if not on or metrics.replicas == 0:
            return _State((), active_at, polled_at, on), int(on and metrics.ongoing > 0)
        wishes, wanted = stabilised(state.wishes, desired(metrics.ongoing, metrics.replicas, threshold), metrics)
        return _State(wishes, active_at, polled_at, on), max(1, wanted)

    return Policy("keda", SYNC_S, _State(), decide, f"threshold {threshold:.3g}")


def desired(total: float, current: int, threshold: float) -> int:
    """What an HPA makes of an external metric of type AverageValue."""
    ratio = total / (threshold * current)
    return current if abs(ratio - 1) <= TOLERANCE else math.ceil(total / threshold - 1e-9)
