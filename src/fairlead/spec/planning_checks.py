"""What no field of hardware, workload and autoscaling can see alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.spec.planning import Hardware, Planned
from fairlead.spec.problems import Finding, nearest

WIDEST = 3.8  # a log-normal distribution's 95th percentile is at most exp(1.645^2 / 2) = 3.87 times its mean


def findings(hardware: Hardware | None, models: Mapping[str, Planned]) -> Iterator[Finding]:
    """Every contradiction between models and hardware."""
    for name, model in models.items():
        yield from _pool(name, model, hardware)
        yield from _lengths(name, model)
        if model.autoscaling and model.autoscaling.min > model.autoscaling.max:
            yield Finding(("models", name, "autoscaling", "min"), f"is more than max ({model.autoscaling.max})")
    for name, pool in hardware.pools.items() if hardware else ():
        if pool.min > pool.max:
            yield Finding(("hardware", "pools", name, "min"), f"is more than max ({pool.max})")


def _pool(name: str, model: Planned, hardware: Hardware | None) -> Iterator[Finding]:
    pools = hardware.pools if hardware else {}
    if model.pool is not None and model.pool not in pools:
        hint = nearest(model.pool, pools, otherwise="pools") or "write it below hardware.pools"
        yield Finding(("models", name, "pool"), f"there is no pool {model.pool!r}", hint)


def _lengths(name: str, model: Planned) -> Iterator[Finding]:
    asked = model.workload
    for field in ("prompt", "output") if asked else ():
        most, mean = getattr(asked, f"{field}_p95"), getattr(asked, field)
        if most is not None and most < mean:
            path = ("models", name, "workload", f"{field}_p95")
            yield Finding(path, f"is less than the mean ({mean})", f"95 % of the {field}s stay below it")
        elif most is not None and most > WIDEST * mean:
            path = ("models", name, "workload", f"{field}_p95")
            hint = "lengths are planned as log-normal, and none has such a tail; split the model in two"
            yield Finding(path, f"is more than {WIDEST} times the mean ({mean})", hint)
