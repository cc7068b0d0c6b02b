"""One engine replica as few numbers, what it must promise (SLO), and how much of it a request takes.

An iteration of continuous batching takes

    iteration_s + sequence_s * running + context_token_s * context tokens read + prompt_token_s * prompt tokens computed

which is the roofline of one forward pass, linearised: weights and overhead, per-sequence work, KV cache reads, prefill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fairlead.errors import Problem, UserError

MAY_BE_ZERO = {"sequence_s", "context_token_s", "startup_s", "price_per_hour", "request_s"}
OPTIONAL = {"gpus", "request_s"}


@dataclass(frozen=True, slots=True)
class EngineModel:
    """Times in seconds. `kv_tokens` is what the KV cache holds, `batched_tokens` the budget of one iteration.

    `request_s` is what each request waits outside of iterations (HTTP, tokenising), whatever the load.
    """

    name: str
    iteration_s: float
    sequence_s: float
    context_token_s: float
    prompt_token_s: float
    max_sequences: int
    kv_tokens: int
    batched_tokens: int
    startup_s: float
    price_per_hour: float
    gpus: int = 1
    request_s: float = 0.0

    def work_s(self, prompt: float, output: float, context: float) -> float:
        """Seconds of a replica that requests take beside the fixed part of each iteration.

        `context` is the sum of tokens that decoding reads back, output * (prompt + output / 2) for one request. All
        three may be sums or rates: the work is linear in them.
        """
        return self.prompt_token_s * prompt + self.sequence_s * output + self.context_token_s * context

    def share_for_work(self, tpot_s: float) -> float:
        """The part of its time that a replica has for requests when each iteration may last `tpot_s`: 0 to 1."""
        return max(0.0, 1.0 - self.iteration_s / tpot_s)


@dataclass(frozen=True, slots=True)
class Slo:
    """What one request is promised, and the part of all requests for which it has to hold."""

    ttft_s: float = 2.0
    tpot_s: float = 0.1
    attainment: float = 0.99


def engine_from(values: Mapping[str, Any], where: str) -> EngineModel:
    """An engine from parsed JSON. Raises UserError with every missing, unknown or impossible field."""
    known = {field.name: field for field in fields(EngineModel)}
    needed = set(known) - OPTIONAL
    problems = [Problem(f"unknown field {name}", where=where) for name in sorted(set(values) - set(known))]
    problems += [Problem(f"{name} is missing", where=where) for name in sorted(needed - set(values))]
    numbers = {name: value for name, value in values.items() if name in known and name != "name"}
    for name, value in sorted(numbers.items()):
        whole = known[name].type == "int"
        good = isinstance(value, int) if whole else isinstance(value, int | float)
        if not good or isinstance(value, bool) or not _possible(name, value):
            kind = (
                "a whole number above zero"
                if whole
                else f"a number {'not below' if name in MAY_BE_ZERO else 'above'} zero"
            )
            problems.append(Problem(f"{name} must be {kind}, not {value!r}", where=where))
    if problems:
        raise UserError(problems=problems)
    return EngineModel(**{**values, "name": str(values["name"])})


def _possible(name: str, value: float) -> bool:
    return math.isfinite(value) and (value > 0 or (value == 0 and name in MAY_BE_ZERO))
