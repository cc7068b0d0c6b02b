"""A benchmark as work: what a deployment does under a workload, before any constant.

`throughput_work` is the row whose seconds, by the factors, are `requests` / throughput.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairlead.plan.deployment import Deployment
from fairlead.plan.schedule import Cohort
from fairlead.plan.work import Array, work
from fairlead.plan.workload import Workload, copies, schedule


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`ttft` and `decode`: work of each cohort until its first token, and from there to its last; `counts` their sizes.

    `wall`: the work of everything. `requests` / seconds(`throughput_work`) x `copies` is the throughput.
    """

    plan: Deployment
    load: Workload
    counts: Array
    ttft: Array
    decode: Array
    wall: Array
    requests: int
    copies: int

    @property
    def throughput_work(self) -> Array:
        """Closed loop: by Little's law the mean time of one request; offline: the time of all."""
        if not self.load.served:
            return self.wall
        mean: Array = self.counts @ (self.ttft + self.decode) / self.counts.sum()
        return mean

    @property
    def mean_ttft(self) -> Array:
        """The mean work until the first token."""
        mean: Array = self.counts @ self.ttft / self.counts.sum()
        return mean


def benchmark(plan: Deployment, load: Workload) -> Benchmark:
    """Run the schedule. `load` must fit."""
    made, share = schedule(plan, load)
    iterations = np.array([each.iterations for each in made.segments], dtype=np.float64)
    done = np.cumsum(work(plan, made.segments) * iterations[:, None], axis=0)
    until = np.vstack([np.zeros(done.shape[1]), done])  # until[k]: the work of the first k segments
    sent, first, last = (column(made.cohorts, name) for name in ("sent", "first", "done"))
    return Benchmark(
        plan=plan,
        load=load,
        counts=np.array([each.size for each in made.cohorts], dtype=np.float64),
        ttft=until[first] - until[sent],
        decode=until[last] - until[first],
        wall=until[-1],
        requests=share.requests,
        copies=copies(plan),
    )


def column(cohorts: tuple[Cohort, ...], name: str) -> NDArray[np.int64]:
    """One field of all cohorts."""
    return np.array([getattr(each, name) for each in cohorts], dtype=np.int64)
