"""The guide's table is compared with the arithmetic, and each disagreement is one that arithmetic shows."""

from __future__ import annotations

import pytest

from fairlead.plan.constants import shipped
from fairlead.plan.crosscheck import Disagreement, disagreements, guide
from fairlead.plan.deployment import deployment
from fairlead.plan.estimate import estimate
from fairlead.plan.workload import Workload


def found(model: str, gpu: str, *, prompt: int = 1000, **more: object) -> dict[str, Disagreement]:
    plan = deployment(model, gpu, **more)  # type: ignore[arg-type]
    made = estimate(plan, Workload(prompt=prompt, output=100, clients=4), shipped())
    return {each.setting: each for each in disagreements(made)}


CASES = {
    "an 8B model needs no second GPU": (("Llama-3.1-8B", "L4"), "tensor_parallel_size", "2", "1"),
    "a large chunk takes memory": (("Llama-3.1-8B", "L4"), "max_num_batched_tokens", "32768", "2048"),
    "more requests are let in than run": (("Llama-3.1-8B", "L4"), "target_ongoing_requests", "50", "at most 31"),
    "a small model is starved": (("Llama-3.2-1B", "L4"), "gpu_memory_utilization", "0.5 to 0.7", "0.92"),
    "a large one batches too little": (("Llama-3.1-8B", "H100-SXM"), "max_num_seqs", "24", "415"),
}


@pytest.mark.parametrize(("asked", "setting", "says", "plan"), CASES.values(), ids=CASES)
def test_disagreements(asked: tuple[str, str], setting: str, says: str, plan: str) -> None:
    each = found(*asked)[setting]
    assert (each.guide, each.plan) == (says, plan)
    assert each.why


def test_a_table_that_cannot_be_followed_says_so() -> None:
    """0.85 of a T4 does not hold the weights and 55,000 tokens."""
    tight = found("Llama-3.2-3B", "T4", dtype="fp16", prompt=55_000)["gpu_memory_utilization"]
    assert tight.why.startswith("at 0.85 it does not fit")


def test_where_both_agree_nothing_is_said() -> None:
    agreed = found("Qwen2.5-32B", "A100-SXM-80", tp=4, utilization=0.92, tokens=16384, seqs=16)
    assert set(agreed) == {"target_ongoing_requests"}


def test_what_does_not_fit_is_refused_and_not_compared() -> None:
    assert found("Llama-3.1-70B", "L4") == {}


def test_every_size_has_a_row() -> None:
    for name in ("gpu_memory_utilization", "tensor_parallel_size", "batch"):
        most = [row["most"] for row in guide()[name]]
        assert most == sorted(most)
        assert most[-1] == float("inf")
    assert guide()["date"]
    assert guide()["source"]
