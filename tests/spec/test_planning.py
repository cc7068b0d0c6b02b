"""Hardware, workloads and SLOs are read, and what contradicts itself is told at its field."""

from __future__ import annotations

import pytest

from fairlead.spec.load import load
from fairlead.spec.types import VllmModel

from .conftest import Tell, Write

MODEL = "models: {m: {engine: vllm, source: hf://org/name@main, %s}}\n"
HARDWARE = "hardware: {cloud: aws, region: us-east-1, pools: {l4: {instance: g6.xlarge%s}}}\n"

WRONG = {
    "an unknown pool": (MODEL % "pool: l5" + HARDWARE % "", "models.m.pool", "no pool 'l5'"),
    "a pool without hardware": (MODEL % "pool: l4", "models.m.pool", "no pool 'l4'"),
    "bounds of replicas": (MODEL % "autoscaling: {min: 3, max: 2}", "models.m.autoscaling.min", "more than max (2)"),
    "bounds of nodes": (MODEL % "dtype: auto" + HARDWARE % ", min: 11", "hardware.pools.l4.min", "more than max (10)"),
    "a tail below the mean": (
        MODEL % "workload: {rate: 1/s, prompt: 100, output: 10, prompt_p95: 50}",
        "models.m.workload.prompt_p95",
        "less than the mean (100)",
    ),
    "a tail beyond any": (
        MODEL % "workload: {rate: 1/s, prompt: 100, output: 10, output_p95: 50}",
        "models.m.workload.output_p95",
        "more than 3.8 times",
    ),
    "no rate": (
        MODEL % "workload: {rate: 0/s, prompt: 100, output: 10}",
        "models.m.workload.rate",
        "must be more than 0",
    ),
    "another currency": (
        MODEL % "dtype: auto" + "hardware: {cloud: aws, region: r, prices: {g6.xlarge: {on_demand: 1 EUR}}}",
        "hardware.prices.g6.xlarge.on_demand",
        "must be in USD",
    ),
    "an unknown key": (MODEL % "slo: {ttft: 1s}", "models.m.slo.ttft", "unknown key"),
    "an unknown cloud": (
        MODEL % "dtype: auto" + "hardware: {cloud: moon, region: r}",
        "hardware.cloud",
        "must be 'aws', 'gcp' or 'azure'",
    ),
}


@pytest.mark.parametrize(("text", "subject", "message"), WRONG.values(), ids=WRONG)
def test_a_contradiction_is_told_at_its_field(tell: Tell, text: str, subject: str, message: str) -> None:
    told = tell(text)
    assert [problem.subject for problem in told] == [subject]
    assert message in told[0].message


def test_a_workload_leaves_the_replicas_to_the_plan(write: Write) -> None:
    text = "environment: production\naccess: {roles: {user: {models: ['*']}}}\n"
    workload = "workload: {rate: 1/s, prompt: 100, output: 10}"
    for field, written in ((workload, False), ("dtype: auto", True), (f"{workload}, replicas: 3", True)):
        model = load(write(text + MODEL % field)).models["m"]
        assert isinstance(model, VllmModel)
        assert ("replicas" in model.model_fields_set) is written


def test_quantities_are_numbers(write: Write) -> None:
    slo = "slo: {ttft_p95: 800ms, tpot_p95: 60ms, availability: 0.999}"
    model = load(write(MODEL % f"{slo}, workload: {{rate: 300/min, prompt: 9, output: 9}}")).models["m"]
    assert isinstance(model, VllmModel)
    assert model.slo is not None
    assert model.workload is not None
    assert (model.slo.ttft_p95, model.slo.tpot_p95, model.slo.availability) == (0.8, 0.06, 0.999)
    assert model.workload.rate.per_second == 5
