"""What one replica can do within the SLO: the figure from which every policy's threshold is derived.

In a steady state with `rate` requests/s per replica and iterations of tpot_s, iteration_s / tpot_s of the time goes to
the fixed part and rate * work_s into requests; so rate = (1 - iteration_s / tpot_s) / work_s is the most. Sequences and
KV tokens in flight follow from Little's law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import EngineModel, Slo


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean tokens of a request: prompt, output, and what decoding reads back (output * (prompt + output / 2))."""

    prompt: float
    output: float
    context: float

    @classmethod
    def of(cls, trace: Trace) -> Lengths:
        """The means of a trace."""
        return cls(*(float(np.mean(values)) for values in (trace.prompt, trace.output, trace.context)))


@dataclass(frozen=True, slots=True)
class Promise:
    """An engine, its SLO, the lengths that were planned for, and how far chance lets a replica be filled (0 to 1)."""

    engine: EngineModel
    slo: Slo
    lengths: Lengths
    usable: float = 1.0

    def replicas(self, rate: float, lengths: Lengths) -> float:
        """How many replicas `rate` requests/s fill: of time, of places for sequences, or of KV cache. Not rounded."""
        engine, slo = self.engine, self.slo
        in_flight = rate * lengths.output * slo.tpot_s
        work = rate * engine.work_s(lengths.prompt, lengths.output, lengths.context)
        kv = in_flight * (lengths.prompt + lengths.output)
        most = max(work / engine.share_for_work(slo.tpot_s), in_flight / engine.max_sequences, kv / engine.kv_tokens)
        return most / self.usable

    def rate_per_replica(self) -> float:
        """The most requests/s of the planned lengths that one replica can take."""
        return 1 / self.replicas(1.0, self.lengths)
