"""Looks of the past, kept as tuples, and what they say about a stretch of time."""

from __future__ import annotations

from fairlead.plan.autoscale.metrics import Metrics

Looks = tuple[Metrics, ...]


def remembered(looks: Looks, metrics: Metrics, window_s: float) -> Looks:
    """`looks` and `metrics`, without what is older than needed to look back `window_s`."""
    since = metrics.now - window_s
    old = next((index for index in range(len(looks) - 1, -1, -1) if looks[index].now <= since), 0)
    return (*looks[old:], metrics)


def back(looks: Looks, window_s: float) -> Metrics:
    """The newest look that is at least `window_s` older than the last one, or the oldest of all."""
    since = looks[-1].now - window_s
    return next((look for look in reversed(looks) if look.now <= since), looks[0])


def mean_ongoing(looks: Looks, window_s: float) -> float:
    """The time average of the ongoing requests over the last `window_s`."""
    last, first = looks[-1], back(looks, window_s)
    if last.now == first.now:
        return float(last.ongoing)
    return (last.ongoing_seconds - first.ongoing_seconds) / (last.now - first.now)
