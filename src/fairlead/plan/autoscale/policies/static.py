"""As many replicas all day: what a team without autoscaling pays for."""

from __future__ import annotations

from fairlead.plan.autoscale.metrics import Metrics, Policy


def static(replicas: int) -> Policy:
    """Always `replicas`."""

    def decide(state: None, metrics: Metrics) -> tuple[None, int]:
        return state, replicas

    return Policy("static peak", 60.0, None, decide, f"{replicas} replicas")
