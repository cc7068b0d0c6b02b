"""What would change the bill, each with its saving in money and its price in latency or risk."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from fairlead.catalog.instances import instances
from fairlead.plan.alternatives import Alternative, Standing, alternatives, at_load, lighter
from fairlead.plan.autoscale.fleet import Spot
from fairlead.plan.autoscale.traces import DEFAULT_DAY, rates_of
from fairlead.plan.capacity import steady_rate
from fairlead.plan.market import MONTH_H, offered
from fairlead.plan.options import Option, Site
from fairlead.plan.search import replicas

NIGHTS_OFF = 108 / 168  # of a week, all but 08:00 to 20:00 on five days
CACHED = 0.5  # the share of a prompt that a prefix cache is asked about


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """`saving` in USD a month, negative where it costs more; `tpot_ms` the mean before and after, None if it stays."""

    name: str
    change: str
    saving: float
    tpot_ms: tuple[float, float] | None
    price: str


def what_ifs(base: Standing) -> tuple[WhatIf, ...]:
    """Every question that makes sense for this choice, the largest saving first."""
    if not base.ask.rate:
        return ()
    found = [each for question in QUESTIONS for each in question(base)]
    return tuple(sorted(found, key=lambda each: -each.saving))


def compared(base: Standing, name: str, other: Alternative, price: str) -> WhatIf:
    """Another way beside the plan's."""
    return WhatIf(
        name=name,
        change=f"{other.option.plan.quantization.name} on {other.nodes} x {described(other.option)}",
        saving=base.own.usd_month - other.usd_month,
        tpot_ms=(base.own.pace.tpot_ms, other.pace.tpot_ms),
        price=price,
    )


def described(option: Option) -> str:
    """`g6.xlarge (1 x L4), tp 1`."""
    machine = option.site.instance
    return f"{machine.name} ({machine.gpus} x {machine.gpu}), tp {option.plan.tp}"


def quantise(base: Standing) -> Iterator[WhatIf]:
    """Fewer bits a weight, on the same nodes."""
    names = lighter(base.choice.option.plan.quantization.name)
    found = alternatives(base, [base.choice.option.site], names=names) if names else []
    for each in found:
        yield compared(base, "quantise", each, "answers may change: measure their quality before")


def larger_gpu(base: Standing) -> Iterator[WhatIf]:
    """The cheapest accelerator with more memory and bandwidth."""
    mine = base.choice.option.plan.gpu
    found = alternatives(base, [Site(pool="", instance=each, spot=False) for each in offered(base.hardware)])
    larger = [
        each
        for each in found
        if each.option.plan.gpu.memory_gb > mine.memory_gb and each.option.plan.gpu.bandwidth_gb_s > mine.bandwidth_gb_s
    ]
    for each in larger[:1]:
        yield compared(base, "larger GPU", each, "fewer, larger nodes: one that is lost weighs more")


def spot(base: Standing) -> Iterator[WhatIf]:
    """The same nodes on spot."""
    site = base.choice.option.site
    if site.spot or not site.instance.usd_hour_spot:
        return
    saving = base.own.nodes * (site.usd_hour - site.instance.usd_hour_spot) * MONTH_H
    again = f"a replica is taken away {Spot().per_hour:g} times an hour, with {Spot().notice_s:g} s notice"
    price = f"{again}, and back after {base.choice.option.engine.startup_s:g} s and a node's start"
    yield WhatIf(
        name="spot", change=f"{base.own.nodes} x {site.instance.name} on spot", saving=saving, tpot_ms=None, price=price
    )


def follow_the_day(base: Standing) -> Iterator[WhatIf]:
    """As many replicas as a day's load wants, instead of those of its busiest moment."""
    rates, _ = rates_of(DEFAULT_DAY)
    least = base.ask.bounds[0] if base.ask.bounds else 1
    wanted = [
        max(least, replicas(replace(base.ask, rate=max(1e-9, rate), replicas=None), base.hardware, base.own.rate))
        for rate in (rates / rates.max() * base.ask.rate).tolist()
    ]
    share = sum(wanted) / len(wanted) / base.own.replicas
    if share < 1:
        yield WhatIf(
            name="autoscaling",
            change=f"{min(wanted)} to {max(wanted)} replicas over a day as {DEFAULT_DAY}",
            saving=base.own.usd_month * (1 - share),
            tpot_ms=None,
            price=f"a burst waits up to {base.choice.option.engine.startup_s:g} s and a node's start for capacity",
        )


def schedule(base: Standing) -> Iterator[WhatIf]:
    """Half of the replicas at night and on weekends."""
    fewer = math.ceil(base.own.replicas / 2)
    if fewer < base.own.replicas:
        saving = base.own.usd_month * (1 - fewer / base.own.replicas) * NIGHTS_OFF
        price = f"outside 08:00-20:00 on workdays {fewer * base.own.rate:.3g} requests/s and no more"
        yield WhatIf(name="schedule", change=f"{fewer} replicas at night", saving=saving, tpot_ms=None, price=price)


def scale_to_zero(base: Standing) -> Iterator[WhatIf]:
    """Nothing at night and on weekends."""
    start = base.choice.option.engine.startup_s
    yield WhatIf(
        name="scale to zero",
        change="no replicas outside 08:00-20:00 on workdays",
        saving=base.own.usd_month * NIGHTS_OFF,
        tpot_ms=None,
        price=f"the first request then waits {start:g} s and a node's start",
    )


def prefix_cache(base: Standing) -> Iterator[WhatIf]:
    """A part of each prompt that is shared, where none is stated."""
    if base.ask.prefix_share:
        return
    option = base.choice.option
    engine = replace(option.engine, prompt_token_s=option.engine.prompt_token_s * (1 - CACHED))
    cached = replace(option, engine=engine, rate=steady_rate(option.ask, engine))
    yield compared(base, "prefix cache", at_load(base, cached), f"holds if {CACHED:.0%} of each prompt are shared")


def region(base: Standing) -> Iterator[WhatIf]:
    """The same accelerators where they are cheapest."""
    mine = base.choice.option.site
    same = [each for each in instances().values() if each.gpu == mine.instance.gpu and each.gpus == mine.instance.gpus]
    for each in sorted(same, key=lambda other: (other.usd_hour, other.name))[:1]:
        if each.usd_hour < mine.usd_hour and each.cloud.lower() != base.hardware.cloud:
            yield WhatIf(
                name="region",
                change=f"{base.own.nodes} x {each.name} at {each.cloud}, {each.region}",
                saving=base.own.nodes * (mine.usd_hour - each.usd_hour) * MONTH_H,
                tpot_ms=None,
                price="the network's round trip; another contract",
            )


QUESTIONS: tuple[Callable[[Standing], Iterator[WhatIf]], ...] = (
    quantise,
    larger_gpu,
    spot,
    follow_the_day,
    schedule,
    scale_to_zero,
    prefix_cache,
    region,
)
