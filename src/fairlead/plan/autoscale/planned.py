"""A planned deployment as an `EngineModel`: the roofline's seconds, by what an iteration has to do.

The roofline is linear in sequences, context, prompt tokens and pairs that attend to each other; the experts that some
token chose are a part of their own. Only a sliding window bends it: it is taken at the mean lengths.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from fairlead.catalog.instances import Instance
from fairlead.errors import UserError
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.promise import Lengths
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment
from fairlead.plan.memory import memory, refusals
from fairlead.plan.roofline import factors
from fairlead.plan.schedule import Segment
from fairlead.plan.work import PARTS, Array, work

AROUND = 32  # sequences at which the engine is compared with itself
CHUNK_STEP = 64
EXPERTS = PARTS.index("experts")


def planned_engine(
    plan: Deployment,
    known: Fit,
    lengths: Lengths,
    *,
    tpot_s: float | None = None,
    startup_s: float = 0.0,
    price_per_hour: float = 0.0,
) -> EngineModel:
    """One replica of `plan` for requests of these mean lengths. Raises UserError where it does not fit.

    `batched_tokens` is the engine's own limit or what fits into one iteration of `tpot_s`, whichever is less: a larger
    chunk of a prompt would delay the tokens of everybody else.
    """
    prompt, output = math.ceil(lengths.prompt), math.ceil(lengths.output)
    problems = list(refusals(plan, context=prompt + output))
    if problems:
        raise UserError(problems=problems)
    constants = known.constants.of(plan)
    parts = part_seconds(plan, lengths)
    iteration_s, sequence_s, context_token_s, prompt_token_s, experts_s, attended_s = (
        parts @ factors(plan, constants, served=True)
    ).tolist()
    room = memory(plan, context=prompt + output)
    batched = plan.tokens
    if tpot_s is not None:
        fitting = int((tpot_s - iteration_s - experts_s) / prompt_token_s / CHUNK_STEP) * CHUNK_STEP
        batched = min(batched, max(CHUNK_STEP, fitting))
    return EngineModel(
        name=plan.title,
        iteration_s=iteration_s,
        sequence_s=sequence_s,
        context_token_s=context_token_s,
        prompt_token_s=prompt_token_s,
        max_sequences=plan.seqs,
        kv_tokens=int(room.kv_budget / room.kv_sequence * room.context),
        batched_tokens=batched,
        startup_s=startup_s,
        price_per_hour=price_per_hour,
        gpus=plan.tp * plan.pp,
        request_s=constants["request_ms"] * 1e-3,
        experts_s=experts_s,
        expert_missed=missed(plan) if plan.model.is_moe else 0.0,
        attended_s=attended_s,
        typical_prompt=lengths.prompt,
    )


def part_seconds(plan: Deployment, lengths: Lengths) -> Array:
    """(6 x PARTS): the ideal work of each term of an engine's iteration.

    In this order: whatever is in it; one sequence; one token of context; one prompt token with its attention; all
    experts; one pair that attends.
    """
    prompt, output = math.ceil(lengths.prompt), math.ceil(lengths.output)
    read = AROUND * (prompt + output / 2)

    def iteration(decoding: int, context: float, computed: int, attended: float) -> Array:
        segment = Segment(1, computed, decoding, context, attended, decoding + (computed > 0))
        made: Array = work(plan, [segment])[0]
        made[EXPERTS] = 0.0
        return made

    base = iteration(AROUND, read, 0, 0.0)
    sequence = iteration(AROUND + 1, read, 0, 0.0) - base
    context_token = (iteration(AROUND, 2 * read, 0, 0.0) - base) / read
    pairs = prompt * prompt / 2
    prompt_token = (iteration(AROUND, read, prompt, pairs) - base) / prompt
    attended = (iteration(AROUND, read, prompt, 2 * pairs) - iteration(AROUND, read, prompt, pairs)) / pairs
    experts = np.zeros_like(base)
    if plan.model.is_moe:
        touched = work(plan, [Segment(1, 0, 1, 0.0, 0.0, 1)])[0][EXPERTS]
        experts[EXPERTS] = touched / (1 - missed(plan))
    fixed = base - AROUND * sequence - read * context_token
    return np.stack([fixed, sequence, context_token, prompt_token, experts, attended])


def missed(plan: Deployment) -> float:
    """The probability that a token does not choose a certain expert."""
    return 1 - plan.model.experts_per_token / plan.model.experts


def cheapest(plan: Deployment, offers: Iterable[Instance]) -> float:
    """The lowest price on demand of one replica's accelerators, in USD/h. Raises UserError where nobody offers them."""
    prices = [offer.usd_hour / offer.gpus for offer in offers if offer.gpu == plan.gpu.name]
    if not prices:
        raise UserError(f"no price of {plan.gpu.name} is known", hint="give --price, in USD for a replica's hour")
    return min(prices) * plan.tp * plan.pp
