"""A plan as tables of text: the command prints them, the report shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fairlead.plan.alternatives import Alternative, scaling
from fairlead.plan.answer import Answer, ModelAnswer
from fairlead.plan.market import MONTH_H, usd_hour
from fairlead.plan.report.page import Table
from fairlead.plan.service import Pool
from fairlead.plan.tiers import Tier
from fairlead.plan.whatif import WhatIf

POOLS = ("pool", "instance", "GPUs", "nodes", "min", "max", "USD/h", "price of", "USD/month")
MODELS = ("model", "pool", "as", "tp", "replicas", "takes/s", "TTFT p95", "TPOT p95", "USD/month", "USD/M tokens")
TIERS = ("tier", "means", "replicas", "nodes", "USD/month")
ELSEWHERE = ("scaling", "on", "tp", "replicas", "nodes", "USD/month", "TTFT mean", "TPOT mean")
WHAT_IF = ("what if", "then", "saves USD/month", "TPOT mean", "its price")


def bill(made: Answer) -> str:
    """The sum."""
    plan = made.plan
    return f"{plan.cloud}, {plan.region}: {made.usd_month:,.0f} USD a month for all nodes, day and night"


def pools(made: Answer) -> Table:
    """Nodes."""
    return table(POOLS, [pool_row(pool) for pool in made.plan.pools], (*POOLS[3:7], POOLS[8]))


def pool_row(pool: Pool) -> tuple[str, ...]:
    """One pool."""
    machine, price = pool.instance, usd_hour(pool)
    return (
        pool.name,
        f"{machine.name}{', spot' if pool.spot else ''}",
        f"{machine.gpus} x {machine.gpu}" if machine.gpus else "-",
        *(str(count) for count in (pool.nodes, pool.minimum, pool.maximum)),
        f"{price:.2f}",
        "your file" if machine.source == "hardware.prices" else str(machine.date),
        f"{pool.nodes * price * MONTH_H:,.0f}",
    )


def models(made: Answer) -> Table:
    """Models."""
    return table((*MODELS, "how sure"), [model_row(each) for each in made.models], MODELS[3:])


def model_row(each: ModelAnswer) -> tuple[str, ...]:
    """One model; without a stated load there are no speeds."""
    placement, speed = each.placement, each.speed
    fewest, most = each.between
    count = placement.deployment.replicas
    return (
        placement.model,
        placement.pool,
        f"{placement.deployment.model.name} {placement.deployment.quantization.name}",
        str(placement.deployment.tp),
        f"{count} (80 %: {fewest} to {most})" if fewest < most else str(count),
        f"{each.takes * count:.3g} of {each.ask.rate:.3g}" if speed else "",
        f"{speed.ttft_p95_ms:,.0f} ms" if speed else "",
        f"{speed.tpot_p95_ms:.0f} ms" if speed else "",
        f"{each.usd_month:,.0f}",
        f"{each.usd_million:.3g}" if each.usd_million else "",
        each.confidence,
    )


def tiers(made: Answer) -> Table:
    """Three sizes."""
    return table(TIERS, [tier_row(each) for each in made.tiers], TIERS[4:])


def tier_row(each: Tier) -> tuple[str, ...]:
    """One size."""
    return (
        each.name,
        each.means,
        ", ".join(f"{name} {count}" for name, count in each.replicas),
        ", ".join(f"{count} x {name}" for name, count in each.nodes),
        f"{each.usd_month:,.0f}" if each.usd_month is not None else "nothing on offer does it",
    )


def elsewhere(each: ModelAnswer) -> Table:
    """Other instances."""
    return table(ELSEWHERE, [alternative_row(each, other) for other in each.alternatives], ELSEWHERE[2:])


def alternative_row(each: ModelAnswer, other: Alternative) -> tuple[str, ...]:
    """One of them."""
    return (
        scaling(each.placement.deployment, other.option.plan),
        place(other),
        *(str(value) for value in (other.option.plan.tp, other.replicas, other.nodes)),
        f"{other.usd_month:,.0f}",
        *(f"{value:,.0f} ms" for value in (other.pace.ttft_ms, other.pace.tpot_ms)),
    )


def place(other: Alternative) -> str:
    """`g6.xlarge (1 x L4)`."""
    machine = other.option.site.instance
    return f"{machine.name} ({machine.gpus} x {machine.gpu})"


def what_if(each: ModelAnswer) -> Table:
    """What would change the bill."""
    return table(WHAT_IF, [what_row(what) for what in each.what_ifs], WHAT_IF[2:4])


def what_row(what: WhatIf) -> tuple[str, ...]:
    """One of them."""
    tpot = f"{what.tpot_ms[0]:.0f} -> {what.tpot_ms[1]:.0f} ms" if what.tpot_ms else "stays"
    return (what.name, what.change, f"{what.saving:,.0f}", tpot, what.price)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Iterable[str]) -> Table:
    """A table whose `numbers` stand to the right."""
    return Table(columns=columns, rows=rows, numbers=frozenset(numbers))
