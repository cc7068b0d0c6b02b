"""Kubernetes' HorizontalPodAutoscaler on a pods metric: ongoing requests per pod.

Source: the algorithm in Kubernetes' documentation (tasks/run-application/horizontal-pod-autoscale, "Algorithm details")
and `pkg/controller/podautoscaler/replica_calculator.go`: every 15 s, desired = ceil(pods * average / target); nothing
within a tolerance of 10 %; pods that are not ready count as idle when scaling up. Default behaviour of autoscaling/v2:
up by the larger of 100 % and 4 pods in 15 s, down by any amount to the largest wish of the last 300 s.
"""

from __future__ import annotations

import math

from fairlead.plan.autoscale.metrics import Metrics, Policy

SYNC_S = 15.0
TOLERANCE = 0.1
DOWN_WINDOW_S = 300.0
UP_PODS = 4
UP_SHARE = 1.0

Wishes = tuple[tuple[float, int], ...]


def hpa(target: float) -> Policy:
    """`target` is the AverageValue of ongoing requests per pod."""

    def decide(wishes: Wishes, metrics: Metrics) -> tuple[Wishes, int]:
        wanted = desired(metrics.ongoing, metrics.ready, metrics.starting, target)
        return stabilised(wishes, wanted, metrics)

    return Policy("hpa", SYNC_S, (), decide, f"{target:.3g} ongoing per pod")


def desired(total: float, ready: int, starting: int, target: float) -> int:
    """What the metric asks for, before any limit on the speed of change."""
    current = ready + starting
    if ready == 0:
        return current
    ratio = total / ready / target
    if starting == 0 or ratio <= 1:
        return current if abs(ratio - 1) <= TOLERANCE else math.ceil(ratio * ready - 1e-9)
    with_idle = total / current / target
    if with_idle <= 1 + TOLERANCE:
        return current
    return math.ceil(with_idle * current - 1e-9)


def stabilised(wishes: Wishes, wanted: int, metrics: Metrics) -> tuple[Wishes, int]:
    """Down only to the largest wish of the window; up no faster than the default policies allow."""
    since = metrics.now - DOWN_WINDOW_S
    wishes = (*(wish for wish in wishes if wish[0] >= since), (metrics.now, wanted))
    current = metrics.replicas
    if wanted < current:
        wanted = min(current, max(count for _, count in wishes))
    fastest = max(current + UP_PODS, math.ceil(current * (1 + UP_SHARE)))
    return wishes, min(wanted, fastest)
