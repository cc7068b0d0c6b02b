"""The simulated engine jumps over iterations; computing each of them gives the same moments for every request."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.fleet import Bounds, simulate
from fairlead.plan.autoscale.policies.static import static

from .engines import ENGINE, ROOMY, steady
from .reference import one_replica

CASES: dict[str, tuple[Trace, EngineModel]] = {
    "little to do": (steady(0.5, 600), ROOMY),
    "busy": (steady(4.0, 300), ROOMY),
    "overloaded": (steady(9.0, 120), ROOMY),
    "few places": (steady(4.0, 200), replace(ROOMY, max_sequences=4)),
    "small KV cache": (steady(4.0, 200), replace(ROOMY, kv_tokens=4000)),
    "long answers in a small KV cache": (steady(1.0, 300, prompt=100, output=600), replace(ROOMY, kv_tokens=4000)),
    "experts": (steady(4.0, 200), replace(ROOMY, experts_s=0.02, expert_missed=0.9)),
    "attention": (steady(2.0, 200), replace(ROOMY, attended_s=1e-8, typical_prompt=800.0)),
    "long prompts in small chunks": (steady(1.0, 300, prompt=5000), replace(ROOMY, batched_tokens=256)),
    "answers of one token": (steady(4.0, 200, output=1), ROOMY),
    "several arrive together": (
        Trace("burst", np.repeat([0.0, 5.0], 40), np.full(80, 300), np.arange(80) % 7 + 1),
        ENGINE,
    ),
}


@pytest.mark.parametrize(("trace", "engine"), CASES.values(), ids=CASES)
def test_jumps_give_what_single_iterations_give(trace: Trace, engine: EngineModel) -> None:
    outcome = simulate(trace, engine, static(1), Bounds(initial=1), np.random.default_rng(0))
    first, end = one_replica(trace, engine)
    assert np.allclose(outcome.ttft_s, first - trace.arrival_s, rtol=0, atol=1e-6)
    spent = outcome.ttft_s + outcome.tpot_s * np.maximum(1, trace.output - 1)
    assert np.allclose(spent, end - trace.arrival_s, rtol=0, atol=1e-6)


def test_a_request_longer_than_the_cache_runs_alone_and_ends() -> None:
    trace = Trace("long", np.array([0.0, 0.1]), np.array([30_000, 100]), np.array([10, 10]))
    outcome = simulate(trace, ENGINE, static(1), Bounds(), np.random.default_rng(0))
    assert np.isfinite(outcome.tpot_s).all()
    assert outcome.ttft_s[1] > outcome.ttft_s[0]


def test_long_answers_lose_their_place_in_a_small_cache_and_none_in_a_large_one() -> None:
    trace = steady(1.0, 300, prompt=100, output=600)
    small, large = (
        simulate(trace, replace(ROOMY, kv_tokens=tokens), static(1), Bounds(), np.random.default_rng(0))
        for tokens in (4000, 1_000_000)
    )
    assert small.preemptions > 10
    assert large.preemptions == 0
    assert small.tpot_s.mean() > large.tpot_s.mean()


def test_what_the_prefix_cache_holds_is_not_computed() -> None:
    """A prompt of 1,000 tokens of which 600 are cached costs an idle engine as much as one of 400."""
    alone = np.array([0.0])
    long = Trace("cached", alone, np.array([1000]), np.array([1]), cached=np.array([600]))
    short = Trace("short", alone, np.array([400]), np.array([1]))
    first, other = (
        simulate(trace, ROOMY, static(1), Bounds(), np.random.default_rng(0)).ttft_s[0] for trace in (long, short)
    )
    assert first == other
