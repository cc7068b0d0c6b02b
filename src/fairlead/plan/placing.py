"""Every model on its cheapest site, beside the others; what cannot be placed is refused with the sum and a way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fairlead.errors import Problem, UserError
from fairlead.plan.ask import Ask
from fairlead.plan.constants import Fit
from fairlead.plan.market import MONTH_H, offered
from fairlead.plan.options import Option, Refusal, Site, options
from fairlead.plan.pools import nodes_for, spec_pools
from fairlead.plan.search import Choice, Simulated, cheapest
from fairlead.plan.service import Pool
from fairlead.plan.suggest import suggestions
from fairlead.spec.planning import Hardware

ROUNDS = 2  # each model is placed again beside the others


@dataclass(slots=True)
class Placing:
    """The work: every model's options, and the choices so far."""

    hardware: Hardware
    pools: Mapping[str, Pool]
    options: Mapping[str, Sequence[Option]]
    chosen: dict[str, Choice] = field(default_factory=dict)
    seen: Simulated = field(default_factory=dict)

    def cost(self, option: Option, count: int) -> float:
        """What `count` replicas of an option add to a month's bill, beside the other models chosen so far."""
        site, gpus = option.site, option.site.instance.gpus
        beside = [
            (each.replicas, each.option.plan.tp)
            for name, each in self.chosen.items()
            if each.option.site == site and name != option.ask.name
        ]
        added = nodes_for([*beside, (count, option.plan.tp)], gpus) - nodes_for(beside, gpus)
        return added * site.usd_hour * MONTH_H


def placing(asked: Sequence[Ask], hardware: Hardware, known: Fit, seen: Simulated | None = None) -> Placing:
    """Every model on its cheapest site; `seen` keeps what was simulated. Raises UserError with all that have none."""
    pools = {pool.name: pool for pool in spec_pools(hardware)}
    found: dict[str, Sequence[Option]] = {}
    problems: list[Problem] = []
    for ask in asked:
        found[ask.name], refused = options(ask, sites(ask, hardware, pools), known)
        if not found[ask.name]:
            problems += unplaceable(ask, refused, hardware, known)
    if problems:
        raise UserError(problems=problems)
    work = Placing(hardware=hardware, pools=pools, options=found, seen={} if seen is None else seen)
    for _ in range(ROUNDS if len(asked) > 1 else 1):
        for ask in asked:
            place(work, ask, problems)
        if problems:
            raise UserError(problems=problems)
    move_to_spot(work)
    return work


def place(work: Placing, ask: Ask, problems: list[Problem]) -> None:
    """Choose for one model beside the others; on spot nodes only where its own pool has them."""
    mine = [each for each in work.options[ask.name] if not each.site.spot or ask.pool]
    best = cheapest(mine, work.hardware, work.cost, work.seen) if mine else None
    if best is None:
        problems.append(too_slow(ask, mine or work.options[ask.name]))
    else:
        work.chosen[ask.name] = best


def move_to_spot(work: Placing) -> None:
    """Whole models onto spot nodes, those first that save most, while the share of replicas stays within the spec's."""
    if not work.hardware.spot:
        return
    savings: list[tuple[float, str, Choice]] = []
    for name, choice in work.chosen.items():
        spots = [each for each in work.options[name] if each.site.spot]
        best = cheapest(spots, work.hardware, work.cost, work.seen) if not choice.option.site.spot else None
        if best and best.usd_month < choice.usd_month:
            savings.append((choice.usd_month - best.usd_month, name, best))
    for _, name, best in sorted(savings, key=lambda each: (-each[0], each[1])):
        beside = {**work.chosen, name: best}
        on_spot = sum(each.replicas for each in beside.values() if each.option.site.spot)
        if on_spot <= work.hardware.spot * sum(each.replicas for each in beside.values()):
            work.chosen[name] = best


def sites(ask: Ask, hardware: Hardware, pools: Mapping[str, Pool]) -> list[Site]:
    """The pool that is named; else all pools with accelerators; without any, every instance on offer, spot too."""
    named = [pools[ask.pool]] if ask.pool else [pool for pool in pools.values() if pool.instance.gpus]
    if named:
        return [Site(pool=each.name, instance=each.instance, spot=each.spot) for each in named]
    found = offered(hardware)
    spot = [each for each in found if each.usd_hour_spot and hardware.spot]
    return [Site(pool="", instance=each, spot=False) for each in found] + [
        Site(pool="", instance=each, spot=True) for each in spot
    ]


def unplaceable(ask: Ask, refused: Sequence[Refusal], hardware: Hardware, known: Fit) -> list[Problem]:
    """Why nothing holds the model: every reason of the nearest miss, and what would do."""
    subject = f"models.{ask.name}"
    if not refused:
        hint = "hardware.instances, or a pool with accelerators"
        return [Problem("there is no accelerator to put it on", subject=subject, hint=hint)]
    plan, problems = max(refused, key=lambda pair: pair[0].tp * pair[0].gpu.usable_gib)
    ways = [f"fits: {', '.join(works)}" for works in [suggestions(plan, context=ask.context)] if works]
    ways += [f"cheapest here: {way}" for way in [cheapest_machine(ask, hardware, known)] if way]
    last = problems[-1]
    hints = [*(part for part in [last.hint] if part), *ways]
    found = [*problems[:-1], Problem(last.message, hint="; ".join(hints))]
    return [Problem(each.message, subject=subject, hint=each.hint) for each in found]


def cheapest_machine(ask: Ask, hardware: Hardware, known: Fit) -> str:
    """The instance on offer with the lowest price that holds a replica in some way; empty where none does."""
    free = replace(ask, tp=None, auto_dtype=True)
    fitting = [
        site
        for site in (Site(pool="", instance=each, spot=False) for each in offered(hardware))
        if options(free, [site], known)[0]
    ]
    best = min(fitting, key=lambda site: (site.usd_hour, site.instance.name), default=None)
    if best is None:
        return ""
    return f"{best.instance.name} ({best.instance.gpus} x {best.instance.gpu}), {best.usd_hour:.2f} USD/h"


def too_slow(ask: Ask, found: Sequence[Option]) -> Problem:
    """No option keeps the SLO at any load: what the fastest one does."""
    fastest = min(found, key=lambda each: each.engine.fixed_s)
    promised = f"TTFT p95 {ask.slo.ttft_s:g} s and TPOT p95 {ask.slo.tpot_s * 1e3:g} ms"
    message = (
        f"nothing on offer keeps {promised} at any load: the fastest, {fastest.plan.title}, takes"
        f" {fastest.engine.fixed_s * 1e3:.0f} ms an iteration for a single short request"
    )
    return Problem(message, subject=f"models.{ask.name}.slo", hint="promise more time, or offer faster accelerators")
