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
