"""A planned deployment as an `EngineModel`: the roofline's seconds, linear in what an iteration has to do.

For dense models the roofline is linear in sequences, context and prompt tokens. This is exact but for the attention of
prompts, which is taken at the mean prompt. For mixtures of experts the number of experts touched is not linear: it is
taken around AROUND sequences.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from fairlead.catalog.instances import Instance
from fairlead.errors import UserError
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.promise import Lengths
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment
from fairlead.plan.memory import memory, refusals
from fairlead.plan.roofline import factors
from fairlead.plan.schedule import Segment
from fairlead.plan.work import work

AROUND = 32  # sequences around which a mixture of experts is made linear
CHUNK_STEP = 64


def planned_engine(
    plan: Deployment, known: Fit, lengths: Lengths, *, tpot_s: float, startup_s: float, price_per_hour: float
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
    each = factors(plan, constants, served=True)

    def seconds(decoding: int, context: float, computed: int) -> float:
        segment = Segment(1, computed, decoding, context, computed * computed / 2, decoding + (computed > 0))
        return float((work(plan, [segment]) @ each)[0])

    read = AROUND * (prompt + output / 2)
    base = seconds(AROUND, read, 0)
    sequence_s = seconds(AROUND + 1, read, 0) - base
    context_token_s = (seconds(AROUND, 2 * read, 0) - base) / read
    prompt_token_s = (seconds(AROUND, read, prompt) - base) / prompt
    iteration_s = base - AROUND * sequence_s - read * context_token_s
    room = memory(plan, context=prompt + output)
    fitting = int((tpot_s - iteration_s) / prompt_token_s / CHUNK_STEP) * CHUNK_STEP
    return EngineModel(
        name=plan.title,
        iteration_s=iteration_s,
        sequence_s=sequence_s,
        context_token_s=context_token_s,
        prompt_token_s=prompt_token_s,
        max_sequences=plan.seqs,
        kv_tokens=int(room.kv_budget / room.kv_sequence * room.context),
        batched_tokens=min(plan.tokens, max(CHUNK_STEP, fitting)),
        startup_s=startup_s,
        price_per_hour=price_per_hour,
        gpus=plan.tp * plan.pp,
        request_s=constants["request_ms"] * 1e-3,
    )


def cheapest(plan: Deployment, offers: Iterable[Instance]) -> float:
    """The lowest price on demand of one replica's accelerators, in USD/h. Raises UserError where nobody offers them."""
    prices = [offer.usd_hour / offer.gpus for offer in offers if offer.gpu == plan.gpu.name]
    if not prices:
        raise UserError(f"no price of {plan.gpu.name} is known", hint="give --price, in USD for a replica's hour")
    return min(prices) * plan.tp * plan.pp
