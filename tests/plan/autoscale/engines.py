"""An engine and requests that tests share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import EngineModel

ENGINE = EngineModel(
    name="test",
    iteration_s=0.02,
    sequence_s=1e-5,
    context_token_s=5e-7,
    prompt_token_s=1e-4,
    max_sequences=16,
    kv_tokens=20_000,
    batched_tokens=512,
    startup_s=60.0,
    price_per_hour=2.0,
)
ROOMY = replace(ENGINE, max_sequences=128, kv_tokens=200_000)


def steady(rate: float, seconds: float, seed: int = 0, prompt: int = 800, output: int = 100) -> Trace:
    """Poisson arrivals; lengths are exponential with these means."""
    rng = np.random.default_rng(seed)
    moments = np.cumsum(rng.exponential(1 / rate, int(rate * seconds * 1.3) + 20))
    moments = moments[moments < seconds]
    drawn = [np.maximum(1, rng.exponential(mean, len(moments))).astype(np.int64) for mean in (prompt, output)]
    return Trace("steady", moments, drawn[0], drawn[1])
