"""Requests of different lengths: they come by themselves (open loop), from clients that wait, or as recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from fairlead.errors import UserError
from fairlead.plan.autoscale.demand import Floats, Ints, Trace
from fairlead.plan.prefix import held

POOL = 4096  # lengths that stand for a distribution
NORMAL = NormalDist()
MOST_TAILED = math.exp(NORMAL.inv_cdf(0.95) ** 2 / 2)  # of a log-normal distribution, p95 / mean is at most 3.87


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """Requests as long as `lengths`, shape (n, 2): prompt and output tokens.

    They come at `rate` a second, with gaps whose squared coefficient of variation is `burstiness` (1: Poisson), or from
    `clients` that each wait for an answer before they send the next, or just as `recorded`. Of each prompt the prefix
    cache holds the share `prefix_share`; where that is 0 and the recording knows what prompts share, `cached_in` finds
    it. The same `seed` gives the same requests.
    """

    lengths: Ints
    rate: float | None = None
    clients: int | None = None
    recorded: Trace | None = None
    burstiness: float = 1.0
    prefix_share: float = 0.0
    seed: int = 0

    def within(self, longest: int) -> Traffic:
        """Without the requests of more than `longest` tokens: the engine refuses them."""
        trace = self.recorded
        if trace is not None:
            trace = trace.picked(np.flatnonzero(trace.prompt + trace.output <= longest))
        return replace(self, lengths=self.lengths[self.lengths.sum(axis=1) <= longest], recorded=trace)

    def cached_in(self, capacity_tokens: int) -> Traffic:
        """With what a prefix cache of this size holds of the recorded prompts, and the share of tokens that this is."""
        trace = self.recorded
        if trace is None or trace.blocks is None or self.prefix_share:
            return self
        cached = held(trace, capacity_tokens)
        share = float(cached.sum() / trace.prompt.sum())
        return replace(self, recorded=replace(trace, cached=cached), prefix_share=share)

    def drawn(self, count: int) -> Trace:
        """`count` requests; of a recording all. Those of waiting clients come at moments of no meaning."""
        trace = self.recorded
        if trace is None:
            rng = np.random.default_rng(self.seed)
            picked = self.lengths[rng.integers(len(self.lengths), size=count)]
            gaps = rng.gamma(1 / self.burstiness, self.burstiness, count)
            trace = Trace("requests", np.cumsum(gaps) / (self.rate or 1.0), picked[:, 0], picked[:, 1])
        if trace.cached is not None:
            return trace
        cached = np.minimum((trace.prompt * self.prefix_share).astype(np.int64), trace.prompt - 1)
        return replace(trace, cached=cached)


def recorded(trace: Trace, *, rate: float | None, prefix_share: float = 0.0) -> Traffic:
    """The requests of `trace`, its time stretched to `rate` requests/s in the mean (None: as it was)."""
    own = len(trace.arrival_s) / max(trace.duration_s, 1e-9)
    if rate is not None:
        trace = replace(trace, arrival_s=trace.arrival_s * (own / rate))
    lengths = np.stack([trace.prompt, trace.output], axis=1)
    return Traffic(lengths=lengths, rate=rate or own, recorded=trace, prefix_share=prefix_share)


def lengths(prompt: tuple[float, float], output: tuple[float, float]) -> Ints:
    """Pairs of independent prompt and output lengths, shape (n, 2), each from (mean, p95) in tokens.

    Raises UserError with all that no distribution fits.
    """
    one, other = (lognormal(name, *each) for name, each in (("prompt", prompt), ("output", output)))
    return np.stack([one, np.random.default_rng(0).permutation(other)], axis=1)


def lognormal(name: str, mean: float, p95: float) -> Ints:
    """POOL lengths at even quantiles of the log-normal distribution with this mean and 95th percentile.

    With s = sigma, p95 / mean = exp(1.645 s - s^2 / 2), of which the smaller s is taken. p95 = mean: all are equal.
    """
    if not 1 <= mean <= p95 <= mean * MOST_TAILED:
        raise UserError(
            f"no log-normal distribution of {name} lengths has a mean of {mean:g} and a p95 of {p95:g}",
            hint=f"the p95 lies between the mean and {MOST_TAILED:.2f} times the mean; or give --lengths or --trace",
        )
    z = NORMAL.inv_cdf(0.95)
    sigma = z - math.sqrt(max(0.0, z * z - 2 * math.log(p95 / mean)))
    places = [NORMAL.inv_cdf((each + 0.5) / POOL) for each in range(POOL)]
    drawn: Floats = mean * np.exp(sigma * np.array(places) - sigma * sigma / 2)
    return np.maximum(1, np.rint(drawn)).astype(np.int64)
