"""The search recommends nothing that does not fit, and finds what trying everything finds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.instances import instances
from fairlead.plan.ask import Ask, ask
from fairlead.plan.autoscale.thresholds import HALVINGS, LIGHTEST
from fairlead.plan.constants import shipped
from fairlead.plan.market import runs_engines
from fairlead.plan.options import Option, Site, options
from fairlead.plan.pools import nodes_for
from fairlead.plan.search import Simulated, cheapest, choice, replicas
from fairlead.plan.shape import shape_for
from fairlead.spec.planning import Hardware
from fairlead.spec.types import VllmModel

from .test_memory import least_gb

MODELS = ("Llama-3.2-3B", "Llama-3.1-8B", "Qwen2.5-32B", "Llama-3.3-70B", "Mixtral-8x7B", "gpt-oss-120b", "DeepSeek-V3")
CONTEXTS = (2048, 16384, 65536)
QUANTIZATIONS = ("bfloat16", "fp8", "awq")
MACHINES = [each for each in instances().values() if runs_engines(each) and each.cloud in {"AWS", "Azure"}]
HARDWARE = Hardware(cloud="aws", region="us-east-1")


def asked(model: str, quantization: str, context: int, *, rate: str = "2/s", prompt: int = 600) -> Ask:
    """The ask of a model; 16-bit weights are said by dtype, others by quantization."""
    stored = {"dtype": quantization} if quantization == "bfloat16" else {"quantization": quantization}
    spec = VllmModel.model_validate(
        {
            "engine": "vllm",
            "source": "s3://bucket/weights",
            "shape": model,
            "max_model_len": context,
            "workload": {"rate": rate, "prompt": prompt, "output": 150, "prompt_p95": 3 * prompt},
            "slo": {"ttft_p95": "4s", "tpot_p95": "120ms"},
            **stored,
        }
    )
    return ask(model, spec, shape_for(model, spec, Path()))


def grid() -> Iterator[tuple[str, str, int, Site]]:
    for model, quantization, context in itertools.product(MODELS, QUANTIZATIONS, CONTEXTS):
        for machine in MACHINES:
            yield model, quantization, context, Site(pool="", instance=machine, spot=False)


def test_nothing_that_could_be_recommended_exceeds_the_memory() -> None:
    """Every option of over 500 combinations: weights and caches by a sum that shares no code with the planner."""
    combinations = list(grid())
    assert len(combinations) >= 500
    fitting = 0
    for model, quantization, context, site in combinations:
        found, refused = options(asked(model, quantization, context), [site], shipped())
        fitting += bool(found)
        assert found or refused
        for each in found:
            plan = each.plan
            assert plan.tp <= site.instance.gpus
            mean = round(float((each.ask.lengths.prompt + each.ask.lengths.output).mean()))
            for length, running in ((context, 1), (mean, plan.seqs)):
                assert least_gb(plan, length, running) <= plan.gpu.memory_gb * 1.0738, (plan.title, length, running)
    assert 0.3 < fitting / len(combinations) < 0.95


@pytest.mark.parametrize("rate", ["1/s", "9/s"])
def test_the_search_finds_what_trying_everything_finds(rate: str) -> None:
    """A dozen options, each simulated to the end, against those few loads that the search simulates."""
    names = ("g6.xlarge", "g6e.xlarge", "g5.12xlarge", "p5.48xlarge")
    sites = [Site(pool="", instance=instances()[name], spot=False) for name in names]
    found, _ = options(asked("Llama-3.1-8B", "bfloat16", 8192, rate=rate), sites, shipped())
    assert len(found) >= 8
    everything = [choice(each, HARDWARE, alone, {}) for each in found]
    best = min(each.usd_month for each in everything if each is not None)
    seen: Simulated = {}
    made = cheapest(found, HARDWARE, alone, seen)
    assert sum(each.halvings for each in seen.values()) < HALVINGS * len(found) / 2
    assert made is not None
    assert made.usd_month == best
    assert made.replicas == replicas(made.option.ask, HARDWARE, made.capacity.rate)
    assert made.capacity.rate > LIGHTEST * made.option.rate


def alone(option: Option, count: int) -> float:
    """The cost of whole nodes."""
    return nodes_for([(count, option.plan.tp)], option.site.instance.gpus) * option.site.usd_hour


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([1, 2, 4, 8])), max_size=6), st.sampled_from([1, 2, 4, 8]))
def test_nodes_hold_what_they_are_given(sizes: list[tuple[int, int]], gpus: int) -> None:
    """Never fewer accelerators than wanted; never more than one node beyond that for each size."""
    nodes = nodes_for(sizes, gpus)
    wanted = sum(count * size for count, size in sizes)
    assert nodes * gpus >= wanted
    assert nodes <= sum(
        -(-count * max(size, 1) // gpus) if size < gpus else count * -(-size // gpus) for count, size in sizes
    )
