"""Where a deployment guide's table says otherwise than the arithmetic, and what would come of the table."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from fairlead.plan.deployment import Deployment
from fairlead.plan.estimate import Estimate
from fairlead.plan.memory import Memory, division_refusals, gib, memory

FAR = 1.5  # times more or less: closer numbers are one rule of thumb
SLACK = 0.03  # of the memory


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A setting of the engine or the autoscaler: what the guide says, what the plan says, and why it matters."""

    setting: str
    guide: str
    plan: str
    why: str


@cache
def guide() -> Mapping[str, Any]:
    """The guide's tables, with title, date and source."""
    return tomllib.loads(files("fairlead.plan").joinpath("data", "guide.toml").read_text(encoding="utf-8"))


def disagreements(made: Estimate) -> tuple[Disagreement, ...]:
    """All settings of which the guide says something else, for a deployment that fits."""
    if not made.fits:
        return ()
    return tuple(each for check in (utilization, parallelism, sequences, tokens, ongoing) for each in check(made))


def utilization(made: Estimate) -> Iterator[Disagreement]:
    """`gpu_memory_utilization`: too little of it is too little KV cache."""
    low, high = row("gpu_memory_utilization", made.plan)["range"]
    if low - SLACK <= made.plan.utilization <= high + SLACK:
        return
    room, here = room_of(made, replace(made.plan, utilization=high)), room_of(made, made.plan)
    fit = f"at {high:g} the KV cache holds {room.sequences} x {room.context} tokens, here {here.sequences}"
    why = fit if room.sequences else f"at {high:g} it does not fit: {room.sum_text()}"
    yield Disagreement("gpu_memory_utilization", f"{low:g} to {high:g}", f"{made.plan.utilization:g}", why)


def parallelism(made: Estimate) -> Iterator[Disagreement]:
    """`tensor_parallel_size`: by size alone it ignores heads and the accelerator's memory."""
    size = row("tensor_parallel_size", made.plan)["size"]
    if size == made.plan.tp:
        return
    other = replace(made.plan, tp=size)
    refused = [problem.message for problem in division_refusals(other)]
    room, here = room_of(made, other), room_of(made, made.plan)
    if refused:
        why = refused[0]
    elif room.sequences < 1:
        why = f"it does not fit: {room.sum_text()}"
    else:
        why = f"{size} GPUs hold {room.sequences} x {room.context} tokens, {made.plan.tp} hold {here.sequences}"
    yield Disagreement("tensor_parallel_size", str(size), str(made.plan.tp), why)


def sequences(made: Estimate) -> Iterator[Disagreement]:
    """`max_num_seqs`: what the KV cache holds."""
    most = row("batch", made.plan)["max_num_seqs"]
    if not apart(most, made.running):
        return
    here = room_of(made, made.plan)
    holds = f"the KV cache holds {here.sequences} x {here.context} tokens"
    why = f"{holds}: more lose their place in it" if most > made.running else f"{holds}: the rest of it stays empty"
    yield Disagreement("max_num_seqs", str(most), str(made.running), why)


def tokens(made: Estimate) -> Iterator[Disagreement]:
    """`max_num_batched_tokens`: a larger chunk takes memory from the KV cache, and time from those who decode."""
    most = row("batch", made.plan)["max_num_batched_tokens"]
    if not apart(most, made.plan.tokens):
        return
    room = room_of(made, replace(made.plan, tokens=most))
    why = f"activations take {gib(room.activations)} a GPU, here {gib(made.memory.activations)}"
    yield Disagreement("max_num_batched_tokens", str(most), str(made.plan.tokens), why)


def ongoing(made: Estimate) -> Iterator[Disagreement]:
    """`target_ongoing_requests`: above what runs at once, requests queue before another replica is asked for."""
    target = guide()["target_ongoing_requests"]
    if target > made.running:
        why = f"a replica runs {made.running} at once: {target - made.running} wait before another replica is asked for"
        yield Disagreement("target_ongoing_requests", str(target), f"at most {made.running}", why)


def room_of(made: Estimate, plan: Deployment) -> Memory:
    """The memory of another deployment for requests as long as the load's are in the mean."""
    return memory(plan, context=made.load.prompt + made.load.output)


def apart(one: float, other: float) -> bool:
    """Whether two numbers are no longer one rule of thumb."""
    return max(one, other) > FAR * min(one, other)


def row(name: str, plan: Deployment) -> Mapping[str, Any]:
    """The guide's row for a model of this size."""
    billions = plan.model.params / 1e9
    found: Mapping[str, Any] = next(each for each in guide()[name] if billions <= each["most"])
    return found
