"""The sections of a whole plan: the bill, its sizes, and for each model memory, frontier, options and a day."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fairlead.plan.answer import Answer, ModelAnswer
from fairlead.plan.constants import Fit
from fairlead.plan.estimate import estimate
from fairlead.plan.report import answered, plots
from fairlead.plan.report.day import day_section
from fairlead.plan.report.estimated import frontier, memory_section
from fairlead.plan.report.page import Section
from fairlead.plan.traffic import Traffic
from fairlead.plan.workload import Workload


def sections(made: Answer, known: Fit) -> Iterator[Section]:
    """All sections."""
    yield Section(title="Nodes", text=f"{answered.bill(made)}.", plot=bill_plot(made), table=answered.pools(made))
    text = "TTFT and TPOT are simulated at the stated rate. 'takes/s' is the most that keeps the SLO, of what comes."
    yield Section(title="Models", text=text, table=answered.models(made))
    yield Section(title="Minimum, recommended, production", table=answered.tiers(made))
    for each in made.models:
        yield from model_sections(each, known)
    notes = "; ".join(f"{problem.subject}: {problem.message}" for problem in made.plan.warnings)
    if notes:
        yield Section(title="To be looked at", text=f"{notes}.")


def bill_plot(made: Answer) -> str:
    """Where the money goes."""
    paid = {each.placement.model: each.usd_month for each in made.models}
    rest = made.usd_month - sum(paid.values())
    return plots.bars("USD a month", {**paid, "without GPUs": rest}, x="USD a month")


def model_sections(each: ModelAnswer, known: Fit) -> Iterator[Section]:
    """One model's."""
    name, plan = each.placement.model, replace(each.placement.deployment, replicas=1)
    prompt, output = (math.ceil(float(np.mean(side))) for side in (each.ask.lengths.prompt, each.ask.lengths.output))
    clients = max(1, round(each.placement.ongoing))
    one = estimate(plan, Workload(prompt=prompt, output=output, clients=clients), known)
    yield named(name, memory_section(one))
    yield named(name, frontier(one, known))
    if not each.ask.rate:
        return
    yield options(each)
    yield Section(title=f"{name}: what if", table=answered.what_if(each))
    yield named(name, day_section(each.engine, traffic(each), each.ask.slo))


def options(each: ModelAnswer) -> Section:
    """Cost by option; the plan's own stands out, where it is one of them."""
    names = [f"{answered.place(other)}, tp {other.option.plan.tp}" for other in each.alternatives]
    own = (each.instance.name, each.placement.deployment.tp)
    options = [(other.option.site.instance.name, other.option.plan.tp) for other in each.alternatives]
    chosen = options.index(own) if own in options else None
    title = f"{each.placement.model}: cost by option"
    costs = {name: other.usd_month for name, other in zip(names, each.alternatives, strict=True)}
    return Section(
        title=title,
        text="The cheapest way on each instance for the same load; not simulated, but for the plan's own choice.",
        plot=plots.bars(title, costs, x="USD a month", chosen="" if chosen is None else names[chosen]),
        table=replace(answered.elsewhere(each), chosen=chosen),
    )


def traffic(each: ModelAnswer) -> Traffic:
    """The stated load. What the prefix cache saves is in the engine already."""
    lengths = np.stack([each.ask.lengths.prompt, each.ask.lengths.output], axis=1)
    return Traffic(lengths=lengths, rate=each.ask.rate)


def named(model: str, section: Section) -> Section:
    """The section under the model's name."""
    return replace(section, title=f"{model}: {section.title[0].lower()}{section.title[1:]}")
