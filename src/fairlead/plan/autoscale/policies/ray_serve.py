"""Ray Serve's autoscaler: ongoing requests per replica, with delays.

Source: Ray 2.x, `python/ray/serve/autoscaling_policy.py` (`_calculate_desired_num_replicas` and
`replica_queue_length_autoscaling_policy`) and the defaults of `AutoscalingConfig` in `python/ray/serve/config.py`:
target_ongoing_requests 2, metrics_interval_s 10, look_back_period_s 30, upscale_delay_s 30, downscale_delay_s 600,
factors 1. Serve counts turns of its 0.1 s control loop to measure the delays; here they are measured in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fairlead.plan.autoscale.metrics import Metrics, Policy
from fairlead.plan.autoscale.policies.windows import Looks, mean_ongoing, remembered

METRICS_INTERVAL_S = 10.0
LOOK_BACK_S = 30.0
UPSCALE_DELAY_S = 30.0
DOWNSCALE_DELAY_S = 600.0


@dataclass(frozen=True, slots=True)
class _State:
    looks: Looks = ()
    wish: int = 0  # 1: more, -1: fewer, 0: neither
    since: float = 0.0


def ray_serve(target_ongoing: float, *, name: str = "ray serve") -> Policy:
    """`target_ongoing` is `target_ongoing_requests` of the deployment's autoscaling_config."""

    def decide(state: _State, metrics: Metrics) -> tuple[_State, int]:
        looks = remembered(state.looks, metrics, LOOK_BACK_S)
        current = metrics.replicas
        state = replace(state, looks=looks)
        if metrics.ready == 0:
            return state, max(1, current) if metrics.ongoing else current
        wanted = desired(mean_ongoing(looks, LOOK_BACK_S), metrics.ready, target_ongoing)
        wish = (wanted > current) - (wanted < current)
        if wish != state.wish:
            state = replace(state, wish=wish, since=metrics.now)
        delay = UPSCALE_DELAY_S if wish > 0 else DOWNSCALE_DELAY_S
        if wish == 0 or metrics.now - state.since < delay:
            return state, current
        return replace(state, wish=0, since=metrics.now), wanted

    return Policy(name, METRICS_INTERVAL_S, _State(), decide, f"target_ongoing_requests {target_ongoing:g}")


def desired(total: float, running: int, target: float) -> int:
    """Replicas for `total` ongoing requests; one fewer when there is nothing to do and rounding would keep them."""
    wanted = math.ceil(running * (total / running / target) - 1e-9)
    return running - 1 if total == 0 and wanted == running else wanted
