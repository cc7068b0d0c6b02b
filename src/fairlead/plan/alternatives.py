"""The same model elsewhere: for each instance the cheapest way, at the share of its capacity that the plan's own has.

The plan's choice was simulated; these are not. What chance takes from a replica's closed form is taken to be the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fairlead.catalog.quantizations import quantizations
from fairlead.plan.ask import Ask
from fairlead.plan.autoscale.promise import Lengths
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment
from fairlead.plan.market import MONTH_H
from fairlead.plan.options import Option, Site, options
from fairlead.plan.pace import Pace, pace
from fairlead.plan.pools import nodes_for
from fairlead.plan.search import Choice, replicas
from fairlead.spec.planning import Hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Another way to serve a model's load: `nodes` of a site for `replicas`, at `usd_month`; `pace` at that load."""

    option: Option
    rate: float
    replicas: int
    nodes: int
    usd_month: float
    pace: Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What alternatives are compared with: the plan's choice, as an alternative to itself."""

    ask: Ask
    hardware: Hardware
    known: Fit
    choice: Choice
    own: Alternative

    @property
    def usable(self) -> float:
        """The part of the closed form's capacity that the simulation left of the choice."""
        return self.choice.capacity.rate / self.choice.option.rate


def standing(choice: Choice, hardware: Hardware, known: Fit) -> Standing:
    """The choice, alone on its nodes."""
    own = costed(choice.option, choice.capacity.rate, choice.replicas)
    return Standing(ask=choice.option.ask, hardware=hardware, known=known, choice=choice, own=own)


def costed(option: Option, rate: float, count: int) -> Alternative:
    """`count` replicas of an option on nodes of their own."""
    gpus = option.site.instance.gpus
    nodes = nodes_for([(count, option.plan.tp)], gpus)
    return Alternative(
        option=option,
        rate=rate,
        replicas=count,
        nodes=nodes,
        usd_month=nodes * option.site.usd_hour * MONTH_H,
        pace=pace(option.engine, Lengths.of(option.ask.lengths), option.ask.rate / count),
    )


def alternatives(base: Standing, sites: Sequence[Site], *, names: Sequence[str] = ()) -> list[Alternative]:
    """The cheapest on each of `sites`, the cheapest first, in the plan's quantisation or in `names`."""
    wanted = names or (base.choice.option.plan.quantization.name,)
    free = replace(base.ask, tp=None, replicas=None, quantizations=tuple(wanted))
    made = [each for site in sites if (each := best(base, options(free, [site], base.known)[0])) is not None]
    return sorted(made, key=lambda each: (each.usd_month, each.option.plan.tp, each.option.site.instance.name))


def best(base: Standing, found: Iterable[Option]) -> Alternative | None:
    """The cheapest of some options; None where none keeps the SLO."""
    made = [at_load(base, each) for each in found if each.rate > 0]
    return min(made, key=lambda each: (each.usd_month, each.option.plan.tp), default=None)


def at_load(base: Standing, option: Option) -> Alternative:
    """An option with as many replicas as the load wants, if chance takes of it what it takes of the plan's own."""
    rate = option.rate * base.usable
    return costed(option, rate, replicas(option.ask, base.hardware, rate))


def lighter(name: str) -> tuple[str, ...]:
    """Quantisations with fewer bits than `name`."""
    bits = quantizations()[name].weight_bits
    return tuple(each.name for each in quantizations().values() if each.weight_bits < bits)


def scaling(own: Deployment, other: Deployment) -> str:
    """How a replica of `other` differs in size: vertical is larger ones, horizontal more of smaller ones."""
    sizes = [plan.gpu.usable_gib * plan.tp for plan in (own, other)]
    if sizes[1] == sizes[0]:
        return "the same size"
    return "vertical" if sizes[1] > sizes[0] else "horizontal"
