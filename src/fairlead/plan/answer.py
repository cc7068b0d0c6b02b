"""What `fairlead plan` answers: the plan, what it costs, how sure that is, and what would change it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fairlead.catalog.instances import Instance
from fairlead.plan.alternatives import Alternative, alternatives, standing
from fairlead.plan.ask import Ask
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.capacity import NODE_START_S
from fairlead.plan.constants import Fit
from fairlead.plan.explain import Asked, Number, explained
from fairlead.plan.market import MONTH_H, offered, usd_hour
from fairlead.plan.options import Site
from fairlead.plan.pace import Percentiles, percentiles
from fairlead.plan.place import assembled, work_of
from fairlead.plan.placing import Placing
from fairlead.plan.search import Choice, Simulated, replicas
from fairlead.plan.service import Placement, ServicePlan
from fairlead.plan.tiers import Tier, tiers
from fairlead.plan.whatif import WhatIf, what_ifs
from fairlead.spec.planning import Hardware
from fairlead.spec.types import Spec

MONTH_S = MONTH_H * 3600
MOST_ALTERNATIVES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """One model; `engine` is a replica as simulations know it.

    `usd_month` is its part of its pool's nodes, `usd_million` that for a million tokens at the rate. `between`:
    replicas, were every replica as fast and as slow as the measurements' 80 % interval. Without a stated load there
    is no `speed`, no `usd_million` and nothing to compare.
    """

    placement: Placement
    ask: Ask
    instance: Instance
    engine: EngineModel
    takes: float
    speed: Percentiles | None
    confidence: str
    between: tuple[int, int]
    usd_month: float
    usd_million: float | None
    alternatives: tuple[Alternative, ...]
    what_ifs: tuple[WhatIf, ...]
    explained: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The whole. `usd_month` is for all wanted nodes, the general ones too, day and night."""

    plan: ServicePlan
    models: tuple[ModelAnswer, ...]
    usd_month: float
    tiers: tuple[Tier, ...]


def answer(spec: Spec, known: Fit, today: datetime.date, *, folder: Path = Path()) -> Answer:
    """Plan `spec`, and say what can be said about the plan. Raises UserError with all problems."""
    seen: Simulated = {}
    hardware, asked, work = work_of(spec, known, folder, seen)
    plan = assembled(spec, hardware, work, today)
    models = [model_answer(placement, plan, work, known, today) for placement in plan.placements]
    return Answer(
        plan=plan,
        models=tuple(models),
        usd_month=sum(pool.nodes * usd_hour(pool) for pool in plan.pools) * MONTH_H,
        tiers=tuple(tiers(spec, hardware, asked, known, today=today, seen=seen)),
    )


def model_answer(
    placement: Placement, plan: ServicePlan, work: Placing, known: Fit, today: datetime.date
) -> ModelAnswer:
    """What is said about one model."""
    choice, hardware, pool = work.chosen[placement.model], work.hardware, plan.pool_of(placement)
    ask, share = choice.option.ask, part(placement, plan)
    paid = pool.nodes * usd_hour(pool) * MONTH_H * share
    tokens = (ask.lengths.prompt + ask.lengths.output).mean() * ask.rate * MONTH_S
    base = standing(choice, hardware, known) if ask.rate else None
    speed = percentiles(ask, choice.option.engine, choice.replicas) if ask.rate else None
    return ModelAnswer(
        placement=placement,
        ask=ask,
        instance=choice.option.site.instance,
        engine=billed(choice),
        takes=choice.capacity.rate,
        speed=speed,
        confidence=known.confidence(choice.option.plan),
        between=between(choice, hardware, known),
        usd_month=paid,
        usd_million=float(paid / tokens * 1e6) if ask.rate else None,
        alternatives=tuple(alternatives(base, everywhere(hardware))[:MOST_ALTERNATIVES]) if base else (),
        what_ifs=what_ifs(base) if base else (),
        explained=explained(
            Asked(choice=choice, hardware=hardware, known=known, today=today, pool=pool, part=share, speed=speed)
        ),
    )


def billed(choice: Choice) -> EngineModel:
    """A replica with its price, which starts when a node has started for it."""
    option = choice.option
    return replace(
        option.engine,
        startup_s=option.engine.startup_s + NODE_START_S,
        price_per_hour=option.site.instance.usd_hour * option.plan.tp / option.site.instance.gpus,
    )


def everywhere(hardware: Hardware) -> Sequence[Site]:
    """Every instance on offer, on demand."""
    return [Site(pool="", instance=each, spot=False) for each in offered(hardware)]


def part(placement: Placement, plan: ServicePlan) -> float:
    """A model's part of its pool, by the accelerators that its replicas have of all that are in use."""
    used = {each.model: each.deployment.replicas * each.gpus for each in plan.placements if each.pool == placement.pool}
    return used[placement.model] / sum(used.values())


def between(choice: Choice, hardware: Hardware, known: Fit) -> tuple[int, int]:
    """The fewest and most replicas within the interval that 80 % of measurements lie in."""
    low, high = known.interval(choice.option.plan)
    fewest, most = (
        replicas(choice.option.ask, hardware, choice.capacity.rate * factor)
        if choice.capacity.rate
        else choice.replicas
        for factor in (high, low)
    )
    return fewest, most
