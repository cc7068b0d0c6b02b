"""The plan does what the file says: each field of workload, SLO, hardware and model moves what it should."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fairlead.catalog.instances import instances
from fairlead.errors import UserError
from fairlead.plan.constants import shipped
from fairlead.plan.memory import memory
from fairlead.plan.place import service_plan
from fairlead.plan.service import Placement, ServicePlan
from fairlead.spec.load import load
from fairlead.spec.types import Spec

TODAY = datetime.date(2026, 11, 21)
EXAMPLES = Path(__file__).parents[2] / "examples"
LLAMA: Mapping[str, Any] = {
    "engine": "vllm",
    "source": "hf://meta-llama/Llama-3.1-8B-Instruct@main",
    "max_model_len": 8192,
    "workload": {"rate": "1/s", "prompt": 800, "output": 150},
    "slo": {"ttft_p95": "3s", "tpot_p95": "120ms"},
}
AWS: Mapping[str, Any] = {
    "cloud": "aws",
    "region": "us-east-1",
    "pools": {"l4": {"instance": "g6.xlarge", "max": 99}, "h100": {"instance": "p5.48xlarge", "max": 9}},
}


def planned(hardware: Mapping[str, Any] | None = None, **model: Any) -> ServicePlan:
    """The plan of one model, `llama`, on the pool `l4`; a field of None is left out."""
    fields = {"pool": "l4", **LLAMA, **model}
    spec = {
        "apiVersion": "fairlead/v1",
        "name": "test",
        "models": {"llama": {name: value for name, value in fields.items() if value is not None}},
        "access": {"roles": {"user": {"models": ["*"]}}},
        "hardware": {**AWS, **(hardware or {})},
    }
    return service_plan(Spec.model_validate(spec), shipped(), TODAY)


def only(plan: ServicePlan) -> Placement:
    (placement,) = plan.placements
    return placement


def replicas(plan: ServicePlan) -> int:
    return only(plan).deployment.replicas


def problem(hardware: Mapping[str, Any] | None = None, **model: Any) -> tuple[str, str]:
    with pytest.raises(UserError) as refused:
        planned(hardware, **model)
    (told,) = refused.value.problems
    return told.subject, f"{told.message}; {told.hint}"


@pytest.mark.parametrize("name", ["production", "tiers", "large"])
def test_an_example_has_a_plan_that_fits(name: str) -> None:
    plan = service_plan(load(EXAMPLES / name / "fairlead.yaml"), shipped(), TODAY)
    assert any(not pool.instance.gpus for pool in plan.pools)
    for placement in plan.placements:
        pool = plan.pool_of(placement)
        assert placement.deployment.gpu.name == pool.instance.gpu
        assert placement.gpus <= pool.instance.gpus
        assert memory(placement.deployment, context=placement.max_model_len).sequences >= 1
        assert placement.minimum <= placement.deployment.replicas <= placement.maximum
        assert plan.share_of(placement).cores >= 2
    for pool in plan.pools:
        used = sum(each.deployment.replicas * each.gpus for each in plan.placements if each.pool == pool.name)
        assert used <= pool.nodes * pool.instance.gpus
        assert pool.minimum <= pool.nodes <= pool.maximum


def test_load_headroom_and_spare_make_replicas() -> None:
    base = replicas(planned({"headroom": 0.0, "spare": 0}))
    assert replicas(planned({"headroom": 0.0, "spare": 2})) == base + 2
    busy = {"workload": {**LLAMA["workload"], "rate": "6/s"}}
    assert replicas(planned({"headroom": 0.0, "spare": 0}, **busy)) > base
    assert replicas(planned({"headroom": 1.0, "spare": 0}, **busy)) > replicas(
        planned({"headroom": 0.0, "spare": 0}, **busy)
    )


def test_longer_requests_and_a_tighter_slo_take_more_replicas() -> None:
    bare: dict[str, Any] = {"headroom": 0.0, "spare": 0}
    busy = {**LLAMA["workload"], "rate": "4/s"}
    base = replicas(planned(bare, workload=busy))
    long_prompt = replicas(planned(bare, workload={**busy, "prompt": 3200}))
    assert long_prompt > base
    assert replicas(planned(bare, workload={**busy, "output": 600})) > base
    assert replicas(planned(bare, workload={**busy, "prompt": 3200, "prefix_share": 0.95})) < long_prompt
    fast = {**busy, "rate": "12/s"}
    tight = {"tpot_p95": "90ms", "ttft_p95": "3s"}
    assert replicas(planned(bare, workload=fast, slo=tight)) > replicas(planned(bare, workload=fast))


def test_a_tail_of_lengths_takes_capacity() -> None:
    even = only(planned())
    spread = only(planned(workload={**LLAMA["workload"], "prompt_p95": 2900, "output_p95": 500}))
    assert spread.ongoing != even.ongoing


def test_an_availability_asks_for_two() -> None:
    bare: dict[str, Any] = {"headroom": 0.0, "spare": 0}
    light = {**LLAMA["workload"], "rate": "1/min"}
    assert replicas(planned(bare, workload=light)) == 1
    assert replicas(planned(bare, workload=light, slo={**LLAMA["slo"], "availability": 0.999})) == 2


def test_what_is_written_wins() -> None:
    made = only(planned(replicas=7, max_num_seqs=17, tensor_parallel_size=8, pool="h100", dtype="bfloat16"))
    assert (made.deployment.replicas, made.max_num_seqs, made.deployment.tp) == (7, 17, 8)
    assert made.deployment.quantization.name == "bf16"
    assert only(planned(gpu_memory_utilization=0.8)).deployment.utilization == 0.8


def test_bounds_are_those_of_autoscaling() -> None:
    made = only(planned(autoscaling={"min": 1, "max": 9}))
    assert (made.minimum, made.maximum) == (1, 9)
    fixed = only(planned())
    assert fixed.minimum == fixed.maximum == fixed.deployment.replicas


def test_a_quantisation_is_chosen_only_where_it_may_be() -> None:
    busy = {**LLAMA["workload"], "rate": "6/s"}
    assert only(planned(workload=busy)).deployment.quantization.name == "bf16"
    assert only(planned(workload=busy, may_quantize=["fp8"])).deployment.quantization.name == "fp8"
    assert only(planned(quantization="awq")).deployment.quantization.name == "awq"


def test_a_pool_too_small_is_refused() -> None:
    small = {"pools": {"l4": {"instance": "g6.xlarge", "max": 1}}}
    subject, text = problem(small)
    assert subject == "hardware.pools.l4.max"
    assert "at most 1 are allowed" in text


def test_a_shape_is_named_or_read(tmp_path: Path) -> None:
    assert only(planned(source="s3://bucket/tuned", shape="Llama-3.2-3B")).deployment.model.name == "Llama-3.2-3B"
    subject, text = problem(source="s3://bucket/tuned")
    assert subject == "models.llama.source"
    assert "write `shape`" in text
    config = {"num_hidden_layers": 2, "hidden_size": 256, "num_attention_heads": 4, "vocab_size": 100}
    (tmp_path / "config.json").write_text(str(config).replace("'", '"'))
    assert only(planned(shape=str(tmp_path / "config.json"), max_model_len=512)).deployment.model.layers == 2
    assert problem(shape="nowhere/config.json")[0] == "models.llama.shape"


def test_the_documents_own_example_is_refused_with_the_sum_and_a_way_out() -> None:
    """Llama-3.1-8B in bf16 with 16k tokens on g4dn.xlarge: one T4 of 16 GB, that has no bf16 either."""
    t4 = {"pools": {"t4": {"instance": "g4dn.xlarge"}}}
    with pytest.raises(UserError) as refused:
        planned(t4, pool="t4", max_model_len=16384, dtype="bfloat16")
    no_bf16, too_large = refused.value.problems
    assert {no_bf16.subject, too_large.subject} == {"models.llama"}
    assert no_bf16.message == "T4 has no bf16"
    assert "15.0 GiB weights" in too_large.message
    assert "= 18.1 GiB > 13.1 GiB (90% of 14.6 GiB) a GPU" in too_large.message
    assert "Llama-3.1-8B bf16 on 1 x L4 (tp 1)" in too_large.hint
    assert "cheapest here: g6.xlarge (1 x L4), 0.80 USD/h" in too_large.hint


def test_16_bits_are_fp16_where_there_is_no_bf16_and_none_is_asked_for() -> None:
    t4 = {"pools": {"t4": {"instance": "g4dn.12xlarge"}}}
    made = only(planned(t4, pool="t4", max_model_len=4096, slo=None, workload=None, replicas=1))
    assert made.deployment.quantization.name == "fp16"


def test_an_slo_that_nothing_keeps_is_refused() -> None:
    subject, text = problem(slo={"tpot_p95": "20ms"})
    assert subject == "models.llama.slo"
    assert "ms an iteration" in text


def test_without_pools_the_cheapest_of_the_cloud_is_chosen() -> None:
    plan = planned({"pools": {}}, pool=None)
    chosen = plan.pool_of(only(plan))
    assert chosen.name == chosen.instance.gpu.lower()
    limited = planned({"pools": {}, "instances": ["p5.48xlarge"]}, pool=None)
    assert limited.pool_of(only(limited)).instance.name == "p5.48xlarge"


def test_a_price_of_ones_own_decides() -> None:
    free: dict[str, Any] = {"pools": {}, "instances": ["g6.xlarge", "g6e.xlarge"]}
    dear = {**free, "prices": {"g6.xlarge": {"on_demand": "90 USD"}}}
    cheap, changed = planned(free, pool=None), planned(dear, pool=None)
    assert cheap.pool_of(only(cheap)).instance.name == "g6.xlarge"
    assert changed.pool_of(only(changed)).instance.name == "g6e.xlarge"


def test_spot_is_used_up_to_its_share() -> None:
    free: dict[str, Any] = {"pools": {}, "instances": ["g6.xlarge"]}
    assert not planned(free, pool=None).pools[0].spot
    most = planned({**free, "spot": 1.0}, pool=None)
    assert most.pools[0].spot
    assert most.pools[0].name == "l4-spot"
    assert not planned({**free, "spot": 0.5}, pool=None).pools[0].spot
    own = {"pools": {"l4": {"instance": "g6.xlarge", "spot": True}}}
    assert planned(own).pools[0].spot


def test_old_prices_and_those_of_elsewhere_are_told() -> None:
    told = {each.subject: each.message for each in planned().warnings}
    assert "days old" in told["price of g6.xlarge"]
    own = {"prices": {"g6.xlarge": {"on_demand": "0.8 USD"}}}
    assert "price of g6.xlarge" not in {each.subject for each in planned(own).warnings}
    assert any("is that of us-east-1" in each.message for each in planned({"region": "eu-west-1"}).warnings)


def test_an_instance_of_another_cloud_is_refused() -> None:
    subject, text = problem({"pools": {"l4": {"instance": "g2-standard-4"}}})
    assert subject == "hardware.pools.l4.instance"
    assert "an instance of GCP" in text
    assert "g2-standard-4" in instances()


def test_replicas_stay_within_their_bounds_and_a_shortfall_is_told() -> None:
    made = planned(autoscaling={"min": 1, "max": 2}, workload={**LLAMA["workload"], "rate": "9/s"})
    assert replicas(made) == only(made).maximum == 2
    (told,) = (each.message for each in made.warnings if each.subject == "models.llama")
    assert told.startswith("2 replicas take")
    assert "of 9 asked for with 20% headroom" in told
    assert replicas(planned(autoscaling={"min": 5, "max": 9})) == 5


def test_what_the_autoscaling_cannot_reach_is_not_chosen_for_its_price() -> None:
    """Four replicas of the small machine would be cheaper, and take too little."""
    offered = {"pools": {}, "instances": ["g6.xlarge", "g6e.xlarge"]}
    busy = {"workload": {**LLAMA["workload"], "rate": "9/s"}, "autoscaling": {"min": 1, "max": 4}}
    made = planned(offered, pool=None, **busy)
    assert made.pool_of(only(made)).instance.name == "g6e.xlarge"
    assert replicas(made) <= 4
    assert not [each for each in made.warnings if each.subject == "models.llama"]


def test_a_pool_of_ones_own_runs_the_gateway() -> None:
    pools = {"l4": {"instance": "g6.xlarge"}, "plain": {"instance": "m7i.2xlarge", "max": 3}}
    made = planned({"pools": pools})
    assert {pool.name: pool.nodes for pool in made.pools if not pool.instance.gpus} == {"plain": 2}
    small = {"pools": {**pools, "plain": {"instance": "m7i.xlarge", "max": 1}}}
    assert problem(small)[0] == "hardware.pools.plain.max"
