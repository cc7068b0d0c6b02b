"""Three sizes of the same service: what just works, what the file asks for, and what outlives a zone and a peak."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fairlead.errors import UserError
from fairlead.plan.ask import Ask
from fairlead.plan.constants import Fit
from fairlead.plan.market import MONTH_H, usd_hour
from fairlead.plan.place import assembled
from fairlead.plan.placing import placing
from fairlead.plan.search import Simulated
from fairlead.plan.service import ServicePlan
from fairlead.spec.planning import Hardware, NodePool
from fairlead.spec.types import Spec

ZONES = 3  # a region of each of the three clouds has so many
PEAK = 0.5  # headroom for a day that nobody expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """`replicas` and `nodes` by model and by instance; `usd_month` is for all nodes. None where it cannot be had."""

    name: str
    means: str
    replicas: tuple[tuple[str, int], ...]
    nodes: tuple[tuple[str, int], ...]
    usd_month: float | None


def tiers(
    spec: Spec, hardware: Hardware, asked: Sequence[Ask], known: Fit, *, today: datetime.date, seen: Simulated
) -> Iterator[Tier]:
    """The three. The number of replicas that the file may say counts for the recommended one only."""
    free = [replace(each, replicas=None) if each.rate else each for each in asked]
    bare = hardware.model_copy(update={"headroom": 0.0, "spare": 0})
    safe = hardware.model_copy(
        update={"headroom": max(PEAK, hardware.headroom), "spare": max(1, hardware.spare), "spot": 0.0}
    )
    sized = (
        ("minimum", "the SLO at the stated rate; nothing may fail", bare, [replace(each, least=1) for each in free]),
        ("recommended", f"{hardware.headroom:.0%} headroom and {hardware.spare} spare", hardware, list(asked)),
        (
            "production",
            f"{safe.headroom:.0%} headroom, {safe.spare} spare, a replica in each of {ZONES} zones, no spot",
            safe,
            [replace(each, least=max(ZONES, each.least)) for each in free],
        ),
    )
    for name, means, with_hardware, with_asked in sized:
        pools = {key: unlimited(pool, name) for key, pool in hardware.pools.items()}
        unbound = with_hardware.model_copy(update={"pools": pools})
        try:
            work = placing([replace(each, bounds=None) for each in with_asked], unbound, known, seen)
            yield tier(name, means, assembled(spec, unbound, work, today))
        except UserError:
            yield Tier(name=name, means=means, replicas=(), nodes=(), usd_month=None)


def unlimited(pool: NodePool, tier_name: str) -> NodePool:
    """The pool with as many nodes as are wanted; on demand in production."""
    return pool.model_copy(update={"min": 0, "max": 100_000, "spot": pool.spot and tier_name != "production"})


def tier(name: str, means: str, plan: ServicePlan) -> Tier:
    """A plan in three figures."""
    return Tier(
        name=name,
        means=means,
        replicas=tuple((each.model, each.deployment.replicas) for each in plan.placements),
        nodes=tuple((pool.instance.name, pool.nodes) for pool in plan.pools if pool.nodes),
        usd_month=sum(pool.nodes * usd_hour(pool) for pool in plan.pools) * MONTH_H,
    )
