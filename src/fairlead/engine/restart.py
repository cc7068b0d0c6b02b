"""When a worker is started again: pure decisions; time and chance come in as arguments.

starting -> ready -> (exited | unhealthy) -> backing-off -> starting -> ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["starting", "ready", "backing-off", "stopping", "stopped"]
Event = Literal["healthy", "exited", "timed-out", "unhealthy", "due", "stop", "gone"]

# A missing key is an error: the event makes no sense in that state.
NEXT: Mapping[tuple[State, Event], State] = {
    ("starting", "healthy"): "ready",
    ("starting", "exited"): "backing-off",
    ("starting", "timed-out"): "backing-off",
    ("ready", "exited"): "backing-off",
    ("ready", "unhealthy"): "backing-off",
    ("backing-off", "due"): "starting",
    ("starting", "stop"): "stopping",
    ("ready", "stop"): "stopping",
    ("backing-off", "stop"): "stopping",
    ("starting", "gone"): "stopped",
    ("ready", "gone"): "stopped",
    ("backing-off", "gone"): "stopped",
    ("stopping", "gone"): "stopped",
}


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Waits double from `first_wait_s` to `longest_wait_s`; a worker that was ready for `stable_s` starts afresh."""

    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    stable_s: float = 60.0
    poll_s: float = 0.1  # between health checks while it starts
    health_interval_s: float = 1.0  # between health checks while it serves
    health_timeout_s: float = 5.0
    health_failures: int = 3  # in a row, until it counts as hung
    kill_after_s: float = 5.0  # from SIGTERM to SIGKILL for a worker that hangs


def failures_after(failures: int, ready_for_s: float, policy: RestartPolicy) -> int:
    """Failures in a row, this one counted; a stable time in between forgives the earlier ones."""
    return 1 if ready_for_s >= policy.stable_s else failures + 1


def wait_s(failures: int, chance: float, policy: RestartPolicy) -> float:
    """Seconds until the next start after `failures` >= 1 in a row; `chance` in [0, 1) spreads it over the upper half.

    The spread keeps replicas that died together from loading their weights together.
    """
    doubled = policy.first_wait_s * 2.0 ** min(failures - 1, 30)  # 30: far above any limit, far below overflow
    return min(policy.longest_wait_s, doubled) * (0.5 + 0.5 * chance)
