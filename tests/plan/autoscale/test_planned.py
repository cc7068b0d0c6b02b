"""A planned deployment and the engine that is simulated for it take the same time for the same iteration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fairlead.catalog.instances import instances
from fairlead.errors import UserError
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.fleet import Bounds, simulate
from fairlead.plan.autoscale.planned import cheapest, planned_engine
from fairlead.plan.autoscale.policies.static import static
from fairlead.plan.autoscale.promise import Lengths
from fairlead.plan.constants import shipped
from fairlead.plan.deployment import Deployment, deployment
from fairlead.plan.memory import memory
from fairlead.plan.roofline import factors
from fairlead.plan.schedule import Segment
from fairlead.plan.work import work

from .engines import ROOMY, steady

LENGTHS = Lengths(1000.0, 200.0, 220_000.0)


def engine(plan: Deployment) -> EngineModel:
    return planned_engine(plan, shipped(), LENGTHS, tpot_s=0.1, startup_s=60.0, price_per_hour=1.0)


def planned_s(plan: Deployment, decoding: int, context: float, prompt: int) -> float:
    """The roofline's seconds for one iteration."""
    segment = Segment(1, prompt, decoding, context, prompt * prompt / 2, decoding + (prompt > 0))
    return float((work(plan, [segment]) @ factors(plan, shipped().constants.of(plan), served=True))[0])


def simulated_s(made: EngineModel, decoding: int, context: float, prompt: int) -> float:
    """The engine's."""
    return made.filling_s(decoding, context, prompt, prompt * prompt / 2)


CASES = {
    "one sequence": (1, 500.0, 0),
    "many": (100, 120_000.0, 0),
    "a prompt among them": (50, 60_000.0, 1000),
    "a prompt alone": (0, 0.0, 1000),
    "a prompt four times as long as the mean": (0, 0.0, 4000),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize(("model", "gpu", "dtype", "tp"), [
    ("Llama-3.1-8B", "L4", "fp8", 1), ("Llama-3.1-70B", "H100-SXM", "fp8", 2), ("Mixtral-8x7B", "H100-SXM", "fp8", 2),
    ("DeepSeek-R1", "H200-SXM", "fp8", 8),
])  # fmt: skip
def test_iterations_take_what_the_plan_says(
    model: str, gpu: str, dtype: str, tp: int, case: tuple[int, float, int]
) -> None:
    plan = deployment(model, gpu, dtype=dtype, tp=tp)
    assert simulated_s(engine(plan), *case) == pytest.approx(planned_s(plan, *case), rel=0.01)


def test_limits_are_those_of_engine_memory_and_slo() -> None:
    plan = deployment("Llama-3.1-8B", "L4", dtype="fp8")
    made = engine(plan)
    room = memory(plan, context=1200)
    assert made.max_sequences == plan.seqs
    assert made.kv_tokens / 1200 == pytest.approx(room.kv_budget / room.kv_sequence, rel=0.001)
    assert made.batched_tokens < plan.tokens
    assert simulated_s(made, 0, 0.0, made.batched_tokens) <= 0.1


def test_what_does_not_fit_is_not_simulated() -> None:
    with pytest.raises(UserError, match="does not fit"):
        engine(deployment("Llama-3.1-70B", "L4"))


def test_the_price_is_the_lowest_of_all_accelerators_of_a_replica() -> None:
    plan = deployment("Llama-3.1-70B", "H100-SXM", dtype="fp8", tp=2)
    offers = [offer for offer in instances().values() if offer.gpu == "H100-SXM"]
    assert cheapest(plan, offers) == min(offer.usd_hour / offer.gpus for offer in offers) * 2
    with pytest.raises(UserError, match="no price"):
        cheapest(plan, [])


def test_the_time_outside_of_iterations_is_part_of_the_ttft() -> None:
    trace = steady(1.0, 60)
    with_it, without = (
        simulate(trace, made, static(1), Bounds(), np.random.default_rng(0))
        for made in (replace(ROOMY, request_s=0.15), ROOMY)
    )
    assert np.allclose(with_it.ttft_s - without.ttft_s, 0.15)
    assert np.array_equal(with_it.tpot_s, without.tpot_s)
