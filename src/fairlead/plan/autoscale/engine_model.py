"""One engine replica as few numbers, what it must promise (SLO), and how much of it a request takes.

An iteration of continuous batching takes

    iteration_s + sequence_s * running + context_token_s * context tokens read + prompt_token_s * prompt tokens computed
    + experts_s * (1 - expert_missed ** tokens) + attended_s * (attended - typical_prompt / 2 * prompt tokens computed)

which is the roofline of one forward pass: weights and overhead, per-sequence work, KV cache reads, prefill; the routed
experts that some token chose; and attention, where a prompt is longer or shorter than a typical one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from fairlead.errors import Problem, UserError

TYPICAL_RUNNING = 32  # sequences, for the share of experts in closed forms; a simulation counts them
OPTIONAL = {"gpus", "request_s", "experts_s", "expert_missed", "attended_s", "typical_prompt"}
MAY_BE_ZERO = {"sequence_s", "context_token_s", "startup_s", "price_per_hour"} | OPTIONAL - {"gpus"}


@dataclass(frozen=True, slots=True)
class EngineModel:
    """Times in seconds. `kv_tokens` is what the KV cache holds, `batched_tokens` the budget of one iteration.

    `request_s` is what each request waits outside of iterations (HTTP, tokenising), whatever the load. `experts_s`
    reads all routed experts, of which a token misses one with probability `expert_missed`. `attended_s` is for a pair
    of a prompt token and an earlier one; `prompt_token_s` holds those of a prompt of `typical_prompt` tokens.
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
    experts_s: float = 0.0
    expert_missed: float = 0.0
    attended_s: float = 0.0
    typical_prompt: float = 0.0

    @property
    def fixed_s(self) -> float:
        """Seconds of an iteration beside what requests add, with the experts of TYPICAL_RUNNING sequences."""
        return self.iteration_s + self.experts_s * (1 - self.expert_missed**TYPICAL_RUNNING)

    def filling_s(self, running: int, context: float, taken: int, attended: float) -> float:
        """Seconds of an iteration that computes `taken` prompt tokens beside `running` sequences.

        Those read `context` tokens; `attended` counts pairs of a prompt token and an earlier one.
        """
        seconds = self.iteration_s + self.sequence_s * running + self.context_token_s * context
        if self.experts_s:
            seconds += self.experts_s * (1 - self.expert_missed ** (running + taken))
        return seconds + self.prompt_token_s * taken + self.attended_s * (attended - taken * self.typical_prompt / 2)

    def slowed(self, speed: float) -> EngineModel:
        """The same engine at `speed` (1: as it is); what requests wait outside of it stays."""
        times = ("iteration_s", "sequence_s", "context_token_s", "prompt_token_s", "experts_s", "attended_s")
        return replace(self, **{name: getattr(self, name) / speed for name in times})

    def work_s(self, prompt: float, output: float, context: float) -> float:
        """Seconds of a replica that requests take beside the fixed part of each iteration.

        `context` is the sum of tokens that decoding reads back, output * (prompt + output / 2) for one request. All
        three may be sums or rates: the work is linear in them.
        """
        return self.prompt_token_s * prompt + self.sequence_s * output + self.context_token_s * context

    def share_for_work(self, tpot_s: float) -> float:
        """The part of its time that a replica has for requests when each iteration may last `tpot_s`: 0 to 1."""
        return max(0.0, 1.0 - self.fixed_s / tpot_s)


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
