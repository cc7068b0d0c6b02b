"""The clairvoyant: it knows every request beforehand, and asks for replicas so early that they are ready in time.

For each minute it counts the replicas that the minute's requests fill, with their own lengths, not the mean ones. It
keeps a replica through a gap shorter than a start-up, because giving it up would cost more. How full it may make a
replica is searched by `compare`: the fullest at which the whole day still attains the SLO. It is a strong reference and
no proven optimum: a schedule that lets chosen minutes fail on purpose could be cheaper.
"""

from __future__ import annotations

import math

import numpy as np

from fairlead.plan.autoscale.demand import Ints, Trace
from fairlead.plan.autoscale.metrics import Metrics, Policy
from fairlead.plan.autoscale.promise import Lengths, Promise

PERIOD_S = 15.0
WINDOW_S = 60.0


def oracle(trace: Trace, promise: Promise) -> Policy:
    """A policy for this trace alone."""
    schedule = needs(trace, promise)
    ahead_s = promise.engine.startup_s + PERIOD_S

    def decide(state: None, metrics: Metrics) -> tuple[None, int]:
        first = min(int(metrics.now / WINDOW_S), len(schedule) - 1)
        last = int((metrics.now + ahead_s) / WINDOW_S)
        return state, int(schedule[first : last + 1].max())

    return Policy("oracle", PERIOD_S, None, decide, f"{promise.rate_per_replica():.3g} requests/s per replica")


def needs(trace: Trace, promise: Promise) -> Ints:
    """Replicas for each window of the trace; shape (windows,)."""
    windows = int(trace.duration_s / WINDOW_S) + 1
    place = np.minimum((trace.arrival_s / WINDOW_S).astype(np.int64), windows - 1)
    count, prompt, output, context = (
        np.bincount(place, weights, windows) for weights in (None, trace.prompt, trace.output, trace.context)
    )
    made = np.ones(windows, np.int64)
    for window in np.flatnonzero(count):
        requests = count[window]
        lengths = Lengths(prompt[window] / requests, output[window] / requests, context[window] / requests)
        made[window] = max(1, math.ceil(promise.replicas(requests / WINDOW_S, lengths) - 1e-9))
    return made
