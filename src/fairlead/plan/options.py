"""All that a model could be put on: instances x tensor parallel sizes x quantisations, and why others cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fairlead.catalog.instances import Instance
from fairlead.catalog.quantizations import quantization
from fairlead.errors import Problem
from fairlead.plan.ask import Ask
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.capacity import engine_of, steady_rate
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment, deployment, sixteen_bits
from fairlead.plan.memory import refusals

Refusal = tuple[Deployment, tuple[Problem, ...]]
TP_SIZES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a model could stand: a pool of the spec, by its name, or an instance of which a pool would be made."""

    pool: str
    instance: Instance
    spot: bool

    @property
    def usd_hour(self) -> float:
        """What an hour of a node costs; on spot the full price where no other is known."""
        return (self.spot and self.instance.usd_hour_spot) or self.instance.usd_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One replica of a model on a site; it fits. `rate`: requests/s that it takes if chance never bunches them.

    0: no load keeps the SLO.
    """

    ask: Ask
    site: Site
    plan: Deployment
    engine: EngineModel
    rate: float


def options(ask: Ask, sites: Sequence[Site], known: Fit) -> tuple[list[Option], list[Refusal]]:
    """What fits, and for everything else why it does not."""
    found: list[Option] = []
    refused: list[Refusal] = []
    for site in sites:
        for plan in deployments(ask, site):
            problems = tuple(refusals(plan, context=ask.context))
            if problems:
                refused.append((plan, problems))
                continue
            engine = engine_of(ask, plan, known)
            told = replace(plan, seqs=engine.max_sequences, tokens=max(engine.batched_tokens, engine.max_sequences))
            found.append(Option(ask=ask, site=site, plan=told, engine=engine, rate=steady_rate(ask, engine)))
    return found, refused


def deployments(ask: Ask, site: Site) -> Iterator[Deployment]:
    """One replica in each way that the spec leaves open. Tensor parallelism stays on one node."""
    gpus = site.instance.gpus
    for name in ask.quantizations:
        for tp in (ask.tp,) if ask.tp else (size for size in TP_SIZES if size <= gpus):
            if tp > gpus:
                continue
            plan = deployment(ask.shape, site.instance.gpu, tp=tp, utilization=ask.utilization, seqs=ask.seqs)
            yield replace(plan, quantization=quantization(runnable(name, plan) if ask.auto_dtype else name))


def runnable(name: str, plan: Deployment) -> str:
    """The name of the quantisation; fp16 for bf16 where the accelerator has no other, as vLLM's dtype `auto` does."""
    return "fp16" if name == "bf16" and sixteen_bits(plan.gpu) == "fp16" else name
