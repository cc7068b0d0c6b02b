"""How much of a model's load one replica takes within its SLO: a bound for the search, a simulation for the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fairlead.errors import UserError
from fairlead.plan.ask import Ask
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.planned import planned_engine
from fairlead.plan.autoscale.promise import Lengths, Promise
from fairlead.plan.autoscale.thresholds import derive
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment
from fairlead.plan.memory import memory

ENGINE_START_S = 60.0  # imports, compilation and graph capture of vLLM
READ_BYTES_S = 0.25e9  # weights from a network disk or a bucket
LUCK = 1.2  # a simulated replica takes at most so many times the closed form: `derive` looks no further
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Of one replica: `rate` requests/s, and `ongoing` of them running and queued, at the most that keeps the SLO."""

    rate: float
    ongoing: float


def engine_of(ask: Ask, plan: Deployment, known: Fit) -> EngineModel:
    """One replica as few numbers, free of charge. A prompt's part in the prefix cache costs no time.

    `plan` must fit. Its sequences are those that are asked for, or as many as memory and the promised TPOT allow.
    """
    lengths = Lengths.of(ask.lengths)
    engine = planned_engine(plan, known, lengths, tpot_s=ask.slo.tpot_s, startup_s=startup_s(plan), price_per_hour=0.0)
    sequences = ask.seqs or min(plan.seqs, fitting(ask, plan), timely(engine, lengths, ask.slo.tpot_s))
    computed = max(1e-3, 1 - ask.prefix_share)
    return replace(engine, max_sequences=sequences, prompt_token_s=engine.prompt_token_s * computed)


def fitting(ask: Ask, plan: Deployment) -> int:
    """Sequences of the mean length that the KV cache holds at once; at least 1."""
    lengths = Lengths.of(ask.lengths)
    return max(1, memory(plan, context=math.ceil(lengths.prompt + lengths.output)).sequences)


def timely(engine: EngineModel, lengths: Lengths, tpot_s: float) -> int:
    """Sequences that an iteration of `tpot_s` without any prompt decodes; at least 1."""
    each = engine.sequence_s + engine.context_token_s * (lengths.prompt + lengths.output / 2)
    return max(1, math.floor((tpot_s - engine.fixed_s) / each))


def most(ask: Ask, engine: EngineModel) -> float:
    """Requests/s that no simulated replica exceeds. 0: an iteration alone is longer than the promised TPOT."""
    if engine.fixed_s >= ask.slo.tpot_s:
        return 0.0
    return LUCK * Promise(engine, ask.slo, Lengths.of(ask.lengths)).rate_per_replica()


def capacity(ask: Ask, engine: EngineModel) -> Capacity | None:
    """What a simulated replica takes; None where no load keeps the SLO."""
    try:
        found = derive(ask.lengths, engine, ask.slo, SEED)
    except UserError:
        return None
    return Capacity(rate=found.promise.rate_per_replica(), ongoing=found.ongoing)


def startup_s(plan: Deployment) -> float:
    """From a pod's start until it answers; the image is there already."""
    stored = plan.model.params * plan.quantization.weight_bytes
    return round(ENGINE_START_S + stored / READ_BYTES_S)
