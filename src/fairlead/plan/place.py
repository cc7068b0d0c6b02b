"""Spec to plan: which model stands on which pool, with how many replicas, and on how many nodes."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fairlead.errors import Problem, UserError
from fairlead.plan.apart import weighed
from fairlead.plan.ask import Ask, asks
from fairlead.plan.constants import Fit
from fairlead.plan.market import price_warnings
from fairlead.plan.options import Site
from fairlead.plan.placing import Placing, placing
from fairlead.plan.pools import sized, with_general
from fairlead.plan.search import Choice, Simulated
from fairlead.plan.service import Placement, Pool, ServicePlan
from fairlead.spec.planning import Hardware
from fairlead.spec.types import Spec


def service_plan(spec: Spec, known: Fit, today: datetime.date, *, folder: Path = Path()) -> ServicePlan:
    """The plan that `spec` asks for. Paths in it start in `folder`. Raises UserError with all problems."""
    hardware, _, work = work_of(spec, known, folder, {})
    plan = assembled(spec, hardware, work, today)
    return replace(plan, placements=tuple(with_apart(each, work, known) for each in plan.placements))


def with_apart(placement: Placement, work: Placing, known: Fit) -> Placement:
    """A placement that says how many replicas only read prompts, where that needs fewer."""
    found = weighed(work.chosen[placement.model], work.hardware, known)
    return replace(placement, apart=found.apart) if found.pays else placement


def work_of(spec: Spec, known: Fit, folder: Path, seen: Simulated) -> tuple[Hardware, tuple[Ask, ...], Placing]:
    """Where, what, and which choices. `seen` keeps what was simulated. Raises UserError with all problems."""
    hardware = spec.hardware
    asked = asks(spec, folder)
    if hardware is None or not asked:
        missing = "hardware" if hardware is None else "model with engine: vllm on GPUs"
        raise UserError(f"there is nothing to place: the file has no {missing}", hint="see docs/planning.md")
    return hardware, asked, placing(asked, hardware, known, seen)


def assembled(spec: Spec, hardware: Hardware, work: Placing, today: datetime.date) -> ServicePlan:
    """Choices as pools and placements."""
    names = dict(pool_names(work))
    placements = [placement(each, names[each.option.site]) for each in work.chosen.values()]
    pools = list(work.pools.values())
    pools += [
        Pool(name=name, instance=site.instance, spot=site.spot, minimum=0, nodes=0, maximum=0)
        for site, name in names.items()
        if not site.pool
    ]
    made = [sized(pool, placements, fixed=pool.name in hardware.pools) for pool in pools]
    made = with_general(made, hardware, spec.gateway.replicas)
    return ServicePlan(
        cloud=hardware.cloud,
        region=hardware.region,
        pools=tuple(made),
        placements=tuple(placements),
        warnings=(*price_warnings(hardware, tuple(made), today), *shortfalls(work)),
    )


def pool_names(work: Placing) -> Iterator[tuple[Site, str]]:
    """A name for each site in use: the spec's, or one made of the accelerator, `l4` or `h100-sxm-8`."""
    taken = set(work.pools)
    for site in dict.fromkeys(each.option.site for each in work.chosen.values()):
        if site.pool:
            yield site, site.pool
            continue
        many = f"-{site.instance.gpus}" if site.instance.gpus > 1 else ""
        base = f"{site.instance.gpu.lower()}{many}{'-spot' if site.spot else ''}"
        name = next(each for each in (base, *(f"{base}-{k}" for k in range(2, 100))) if each not in taken)
        taken.add(name)
        yield site, name


def placement(choice: Choice, pool: str) -> Placement:
    """A choice as the renderers take it."""
    option, ask = choice.option, choice.option.ask
    minimum, maximum = ask.bounds or (choice.replicas, choice.replicas)
    return Placement(
        model=ask.name,
        pool=pool,
        deployment=replace(option.plan, replicas=choice.replicas),
        max_model_len=ask.context,
        max_num_seqs=option.plan.seqs,
        minimum=minimum,
        maximum=max(minimum, maximum),
        ongoing=round(choice.capacity.ongoing, 1),
        startup_s=option.engine.startup_s,
    )


def shortfalls(work: Placing) -> Iterator[Problem]:
    """Models that cannot take their load, or not with the headroom, with what the spec allows; loads nobody stated."""
    for name, choice in work.chosen.items():
        ask, subject = choice.option.ask, f"models.{name}"
        takes = choice.replicas * choice.capacity.rate
        if not ask.rate:
            hint = f"workload: {{rate: 5/s, prompt: 1200, output: 250}} below {subject}"
            yield Problem("no workload is stated: replicas are as written", subject=subject, hint=hint)
        elif takes < ask.rate * (1 + work.hardware.headroom):
            message = f"{choice.replicas} replicas take {takes:.2g} requests/s, of {ask.rate:.2g} asked for with"
            hint = "more replicas, or a larger autoscaling.max"
            yield Problem(f"{message} {work.hardware.headroom:.0%} headroom", subject=subject, hint=hint)
