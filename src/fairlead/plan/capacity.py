"""How much of a model's load one replica takes within its SLO: a bound for the search, a simulation for the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fairlead.plan.ask import Ask
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.planned import planned_engine
from fairlead.plan.autoscale.promise import Lengths, Promise
from fairlead.plan.autoscale.thresholds import Bracket, halved
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment
from fairlead.plan.memory import memory

ENGINE_START_S = 60.0  # imports, compilation and graph capture of vLLM
NODE_START_S = 120.0  # from asking a cloud for a GPU node until it takes pods, image included
READ_BYTES_S = 0.25e9  # weights from a network disk or a bucket
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


def steady_rate(ask: Ask, engine: EngineModel) -> float:
    """Requests/s of a replica if chance never bunched them. 0: an iteration alone is longer than the promised TPOT."""
    return 0.0 if engine.fixed_s >= ask.slo.tpot_s else promise_of(ask, engine).rate_per_replica()


def promise_of(ask: Ask, engine: EngineModel) -> Promise:
    """Engine, SLO and lengths."""
    return Promise(engine, ask.slo, Lengths.of(ask.lengths))


def narrowed(ask: Ask, engine: EngineModel, bracket: Bracket) -> Bracket:
    """What one more simulated load says about a replica's usable share."""
    return halved(ask.lengths, promise_of(ask, engine), bracket, SEED)


def startup_s(plan: Deployment) -> float:
    """From a pod's start until it answers; the image is there already."""
    stored = plan.model.params * plan.quantization.weight_bytes
    return round(ENGINE_START_S + stored / READ_BYTES_S)
