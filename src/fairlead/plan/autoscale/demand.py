"""Who asks for how much and when: requests as arrays, and what becomes of each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in order of arrival, shape (n,): `arrival_s` from zero, `prompt` and `output` tokens, at least 1.

    `cached`: tokens of the prompt, fewer than all, that a prefix cache holds; None: of no prompt any. `blocks`: what
    prompts have in common, as ids of their parts in order (`plan.prefix`); None: nothing is known of it.
    """

    name: str
    arrival_s: Floats
    prompt: Ints
    output: Ints
    cached: Ints | None = None
    blocks: tuple[tuple[int, ...], ...] | None = None

    @property
    def duration_s(self) -> float:
        """From zero to the last arrival."""
        return float(self.arrival_s[-1])

    @property
    def context(self) -> Floats:
        """Tokens that decoding each request reads back: output * (prompt + output / 2); shape (n,)."""
        return np.asarray(self.output * (self.prompt + self.output / 2), np.float64)

    def part(self, start_s: float, end_s: float) -> Trace:
        """The requests that arrive in [start_s, end_s), with arrivals counted from `start_s`."""
        first, last = np.searchsorted(self.arrival_s, [start_s, end_s])
        made = self.picked(np.arange(int(first), int(last)))
        return replace(made, arrival_s=made.arrival_s - start_s)

    def picked(self, which: Ints) -> Trace:
        """The requests of these numbers, shape (k,)."""
        return Trace(
            self.name,
            self.arrival_s[which],
            self.prompt[which],
            self.output[which],
            cached=None if self.cached is None else self.cached[which],
            blocks=None if self.blocks is None else tuple(self.blocks[each] for each in which.tolist()),
        )


class Records:
    """What a simulation reads of each request and writes about it. Plain lists: single items are read most."""

    __slots__ = (
        "arrival",
        "cached",
        "end",
        "finished",
        "finished_at",
        "first_token",
        "length",
        "output",
        "prompt",
        "used",
    )

    def __init__(self, trace: Trace) -> None:
        self.arrival: list[float] = trace.arrival_s.tolist()
        self.prompt: list[int] = trace.prompt.tolist()
        self.output: list[int] = trace.output.tolist()
        self.cached: list[int] = [0] * len(self.arrival) if trace.cached is None else trace.cached.tolist()
        self.length: list[int] = (trace.prompt + trace.output).tolist()
        self.first_token = [np.inf] * len(self.arrival)
        self.end = [np.inf] * len(self.arrival)
        self.finished = 0
        self.finished_at = 0.0  # sum of the moments of finishing
        self.used = [0, 0, 0.0]  # prompt, output and context tokens of finished requests

    def finish(self, request: int, now: float) -> None:
        """Book the end of a request."""
        self.end[request] = now
        self.finished += 1
        self.finished_at += now
        prompt, output = self.prompt[request], self.output[request]
        self.used[0] += prompt
        self.used[1] += output
        self.used[2] += output * (prompt + output / 2)


def arrivals(rates: Floats, window_s: float, rng: np.random.Generator, burstiness: float = 1.0) -> Floats:
    """Arrival moments of a process whose rate is interpolated between the middles of the windows; shape (n,).

    `rates`: requests/s of each window, shape (w,). In time scaled by the rate, gaps are gamma-distributed with a
    squared coefficient of variation of `burstiness`: 1 is a Poisson process; ServeGen (arXiv 2505.09999) measures more.
    """
    middles = (np.arange(len(rates)) + 0.5) * window_s
    grid = np.arange(0.0, len(rates) * window_s + 1.0)
    rate = np.interp(grid, middles, rates)
    total = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(grid))])
    count = int(total[-1] + 10 * np.sqrt(total[-1] * burstiness) + 100)
    moments = np.cumsum(rng.gamma(1 / burstiness, burstiness, count))
    return np.asarray(np.interp(moments[moments < total[-1]], total, grid), np.float64)
