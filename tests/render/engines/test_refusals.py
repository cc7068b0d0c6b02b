"""What a target cannot do is refused with its place, and never left out in silence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairlead.catalog.accelerators import accelerator
from fairlead.catalog.instances import instance
from fairlead.render.build import Build
from fairlead.render.engines.refusals import engine_refusals

from ..plans import SERVICE, built

APART = "  disaggregate: {%s: {prefill: 1}}\n"
PLAIN = SERVICE[: SERVICE.index("  schedules:")]
DAY = SERVICE[SERVICE.index("    day:") : SERVICE.index("  backup:")]
TWICE = SERVICE.replace(DAY, DAY + DAY.replace("day:", "night:"))
REDIS = '  ray: {redis: "redis.data.svc:6379"}\n'


def on(build: Build, gpu: str) -> Build:
    """llama-8b on another GPU."""
    [first, *others] = build.plan.placements
    moved = replace(first, deployment=replace(first.deployment, gpu=accelerator(gpu)))
    return replace(build, plan=replace(build.plan, placements=(moved, *others)))


def wide(target: str, *, pp: int = 2, text: str = PLAIN) -> Build:
    """llama-8b over nodes of four GPUs."""
    build = built(text, target)
    big = instance("g6.12xlarge")
    pools = tuple(replace(each, instance=big) if each.name == "l4" else each for each in build.plan.pools)
    [first, *others] = build.plan.placements
    moved = replace(first, deployment=replace(first.deployment, tp=4 if pp == 2 else 1, pp=pp))
    return replace(build, plan=replace(build.plan, pools=pools, placements=(moved, *others)))


SLEEPING = PLAIN.replace(
    "source: hf://Qwen/Qwen2.5-0.5B-Instruct@main", "source: az://models/qwen\n    autoscaling: {min: 0, max: 2}"
)
CASES = {
    "prefill apart on vllm": (built(PLAIN + APART % "llama-8b"), "deploy.disaggregate.llama-8b"),
    "prefill apart of nobody": (built(PLAIN + APART % "llama-80b", "llm-d"), "deploy.disaggregate.llama-80b"),
    "prefill apart on several nodes": (wide("llm-d", text=PLAIN + APART % "llama-8b"), "deploy.disaggregate.llama-8b"),
    "Ray without a memory": (built(PLAIN, "kuberay"), "deploy"),
    "Ray with two clocks": (built(TWICE, "kuberay"), "deploy.schedules.night"),
    "a GPU that CUDA 13 left behind": (on(built(PLAIN), "V100-SXM2-16"), "models.llama-8b"),
    "a GPU of another maker": (on(built(PLAIN), "MI300X"), "models.llama-8b"),
    "a folder of the laptop": (
        built(PLAIN.replace("hf://Qwen/Qwen2.5-0.5B-Instruct@main", "./qwen")),
        "models.Qwen2.5-0.5B.source",
    ),
    "two nodes on vllm": (wide("vllm"), "models.llama-8b"),
    "two nodes on kserve": (wide("kserve"), "models.llama-8b"),
    "five GPUs on nodes of four": (wide("llm-d", pp=5), "models.llama-8b"),
    "a model that sleeps, on Azure": (built(SLEEPING, "kserve"), "models.Qwen2.5-0.5B.source"),
}


@pytest.mark.parametrize(("build", "place"), CASES.values(), ids=CASES)
def test_it_is_refused_where_it_stands(build: Build, place: str) -> None:
    [finding] = engine_refusals(build)
    assert ".".join(str(step) for step in finding.path) == place


@pytest.mark.parametrize("target", ["vllm", "kserve", "llm-d", "triton", "kuberay"])
def test_nothing_is_refused_without_a_reason(target: str) -> None:
    assert engine_refusals(built(PLAIN + REDIS, target)) == []


def test_several_nodes_are_no_matter_to_ray_and_llmd() -> None:
    assert engine_refusals(wide("llm-d")) == []
    assert engine_refusals(wide("kuberay", text=PLAIN + REDIS)) == []
