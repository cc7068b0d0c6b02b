"""What is recommended fits: checked by a sum that shares no code with the planner."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest

import fairlead.catalog
from fairlead.errors import UserError
from fairlead.plan.deployment import Deployment, deployment
from fairlead.plan.memory import memory, refusals
from fairlead.plan.suggest import suggestions
from fairlead.plan.workload import Workload, running_limit

SHAPES = tomllib.loads((Path(fairlead.catalog.__file__).parent / "data" / "models.toml").read_text())
BITS = {"bf16": 16, "fp16": 16, "fp8": 8, "awq": 4}
MODELS = ("Llama-3.1-8B", "Llama-3.3-70B", "Mixtral-8x7B", "gpt-oss-120b", "DeepSeek-V3")
GPUS = ("T4", "L4", "A100-SXM-80", "H100-SXM", "MI300X")
GRID = list(itertools.product(MODELS, GPUS, BITS, (2048, 16384), ((1, 1), (2, 1), (4, 2))))


def least_gb(plan: Deployment, context: int, running: int) -> float:
    """Published parameters by their bits, and every running sequence's keys and values, on one GPU; nothing else."""
    row = SHAPES[plan.model.name]
    weights = row["params_b"] * BITS[plan.quantization.name] / 8 * 0.99
    if "latent_kv" in row:
        cached = row["latent_kv"] + row["rope_dim"]
        shards = 1
    else:
        size = row.get("head_dim") or row["hidden"] / row["heads"]
        cached = 2 * row["kv_heads"] * size
        shards = min(plan.tp, row["kv_heads"])
    full = row["layers"] - row.get("windowed_layers", 0)
    tokens = full * context + row.get("windowed_layers", 0) * min(context, row.get("window", 0))
    cache = running * tokens * cached * 2 / shards / plan.pp
    return float(weights / plan.tp / plan.pp + cache / 1e9)


def test_nothing_recommended_exceeds_the_memory() -> None:
    """600 combinations; those that pass hold their weights and caches, and both outcomes occur often."""
    assert len(GRID) >= 500
    accepted = 0
    for model, gpu, dtype, context, (tp, pp) in GRID:
        plan = deployment(model, gpu, dtype=dtype, tp=tp, pp=pp)
        load = Workload(prompt=context - 256, output=256, clients=None)
        if any(refusals(plan, context=context)):
            continue
        accepted += 1
        running = running_limit(plan, load)
        assert running >= 1
        assert least_gb(plan, context, running) <= plan.gpu.memory_gb * 1.0738, plan.title
    assert 100 < accepted < len(GRID) - 100


def test_no_suggestion_exceeds_the_memory() -> None:
    made = 0
    for model, gpu, dtype, context, (tp, pp) in GRID[::7]:
        plan = deployment(model, gpu, dtype=dtype, tp=tp, pp=pp)
        if any(refusals(plan, context=context)):
            made += len(suggestions(plan, context=context))
    assert made > 20


def test_the_documents_own_example_is_refused_with_the_sum() -> None:
    """Llama-3.1-8B, 16k context, bf16, on a g4dn.xlarge: no bf16, and 18 GiB do not go into 13."""
    plan = deployment("Llama-3.1-8B", "T4", dtype="bf16")
    texts = [problem.message for problem in refusals(plan, context=16384)]
    assert texts[0] == "T4 has no bf16"
    assert "15.0 GiB weights" in texts[1]
    assert "2.0 GiB KV cache of one 16384-token sequence" in texts[1]
    assert "> 13.4 GiB" in texts[1]
    proposed = suggestions(plan, context=16384)
    assert "Llama-3.1-8B fp16 on 2 x T4 (tp 2)" in proposed
    assert "Llama-3.1-8B bf16 on 1 x L4 (tp 1)" in proposed


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "a context beyond the model's": ({"model_name": "Llama-2-7B", "gpu": "H100-SXM"}, 8192, "context of 4096"),
    "heads that tp does not divide": ({"model_name": "Qwen2.5-7B", "gpu": "H100-SXM", "tp": 8}, 1024, "28 attention"),
    "671 billion parameters on one GPU": ({"model_name": "DeepSeek-R1", "gpu": "H200-SXM"}, 1024, "does not fit"),
    "fp8 on Turing": ({"model_name": "Llama-3.1-8B", "gpu": "T4", "dtype": "fp8"}, 1024, "T4 has no fp8"),
    "more stages than layers": ({"model_name": "Llama-3.2-1B", "gpu": "L4", "pp": 17}, 1024, "pipeline stages"),
}


@pytest.mark.parametrize(("asked", "context", "why"), REFUSED.values(), ids=REFUSED)
def test_refused(asked: dict[str, Any], context: int, why: str) -> None:
    plan = deployment(**asked)
    assert any(why in problem.message for problem in refusals(plan, context=context))


def test_all_unknown_names_are_told_at_once() -> None:
    with pytest.raises(UserError) as refused:
        deployment("nothing", "nobody", engine_name="none")
    assert len(refused.value.problems) == 3


def test_parallelism_divides_and_copies() -> None:
    """Weights are cut by tp x pp; KV heads by tp until there is one a GPU; MLA's latent is copied."""
    one, two, sixteen = (memory(deployment("Llama-3.1-8B", "H100-SXM", tp=tp), context=1000) for tp in (1, 2, 16))
    assert two.weights == pytest.approx(one.weights / 2)
    assert sixteen.kv_sequence == pytest.approx(one.kv_sequence / 8)
    latent = [memory(deployment("DeepSeek-V3", "H200-SXM", tp=tp), context=1000).kv_sequence for tp in (1, 8)]
    assert latent[0] == latent[1]
    staged = memory(deployment("Llama-3.1-8B", "H100-SXM", pp=2), context=1000)
    assert staged.kv_sequence == pytest.approx(one.kv_sequence / 2)


def test_the_kv_cache_is_of_a_known_type() -> None:
    auto, eight = (memory(deployment("Llama-3.1-8B", "L4", kv_dtype=kv), context=1000) for kv in ("auto", "fp8"))
    assert eight.kv_sequence == pytest.approx(auto.kv_sequence / 2)
    with pytest.raises(UserError, match="cannot be int3"):
        deployment("Llama-3.1-8B", "L4", kv_dtype="int3")


def test_gpus_must_be_a_multiple_of_the_parallelism() -> None:
    assert deployment("Llama-3.1-8B", "L4", n_gpus=4, tp=2).replicas == 2
    with pytest.raises(UserError, match="3 GPUs"):
        deployment("Llama-3.1-8B", "L4", n_gpus=3, tp=2)
