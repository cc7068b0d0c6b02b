"""What a policy may see, and what it is: a pure function from its state and the metrics to a new state and a count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Metrics:
    """A look at the fleet. Counters run from the start of the simulation, so that a policy makes its own windows."""

    now: float
    ready: int  # replicas that take requests
    starting: int  # replicas that were asked for and do not yet
    ongoing: int  # requests sent and not finished: running and queued
    ongoing_seconds: float  # counter: the integral of `ongoing` over time
    queued: int  # requests without a first token
    arrived: int  # counter
    finished: int  # counter
    prompt_tokens: int  # counter, of finished requests as the usage records have it
    output_tokens: int  # counter, of finished requests
    context_tokens: float  # counter, of finished requests: what decoding read back, output * (prompt + output / 2)

    @property
    def replicas(self) -> int:
        """Ready and starting."""
        return self.ready + self.starting


@dataclass(frozen=True, slots=True)
class Policy:
    """`decide` is called every `period_s`; it gets the state that it returned the last time, first `start`."""

    name: str
    period_s: float
    start: Any
    decide: Callable[[Any, Metrics], tuple[Any, int]]
    settings: str = ""  # for people: what it was configured with
