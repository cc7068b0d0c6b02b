"""Queries are made of signals, so that none can name a metric that no table knows.

Every function returns PromQL. `by` are the labels that are kept, `window` a range such as `5m`.
"""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.signals import Signal

SELECTS_BY = {"job", "namespace"}  # labels that scraping adds to every series


@dataclass(frozen=True, slots=True)
class Scope:
    """The series of one service among all that a Prometheus has: matchers such as `namespace="chat"`."""

    matchers: tuple[str, ...] = ()

    def of(self, signal: Signal, *more: str, suffix: str = "") -> str:
        """The series of a signal; `more` are matchers of its own labels. Raises ValueError for a label it lacks."""
        for matcher in more:
            label = matcher.partition("=")[0].rstrip("!~")
            if label not in {*signal.labels, *SELECTS_BY, "le"}:
                raise ValueError(f"{signal.name} has no label {label}")
        wanted = ", ".join((*self.matchers, *more))
        return f"{signal.name}{suffix}{{{wanted}}}" if wanted else f"{signal.name}{suffix}"


def total(series: str, *by: str) -> str:
    """The sum."""
    return f"sum{_by(by)}({series})"


def highest(series: str, *by: str) -> str:
    """The maximum."""
    return f"max{_by(by)}({series})"


def lowest(series: str, *by: str) -> str:
    """The minimum."""
    return f"min{_by(by)}({series})"


def mean(series: str, *by: str) -> str:
    """The average."""
    return f"avg{_by(by)}({series})"


def per_second(series: str, *by: str, window: str = "5m") -> str:
    """The rate of a counter."""
    return total(f"rate({series}[{window}])", *by)


def grown(series: str, *by: str, window: str) -> str:
    """By how much a counter has grown."""
    return total(f"increase({series}[{window}])", *by)


def share(part: str, whole: str) -> str:
    """One by the other."""
    return f"{part} / {whole}"


def quantile(share: float, scope: Scope, signal: Signal, *by: str, window: str = "5m") -> str:
    """A quantile of a histogram."""
    buckets = per_second(scope.of(signal, suffix="_bucket"), "le", *by, window=window)
    return f"histogram_quantile({share:g}, {buckets})"


def average(scope: Scope, signal: Signal, *by: str, window: str = "5m") -> str:
    """The mean of a histogram's values."""
    values, count = (per_second(scope.of(signal, suffix=part), *by, window=window) for part in ("_sum", "_count"))
    return share(values, count)


def beyond(scope: Scope, signal: Signal, bound: float, *matchers: str, window: str) -> str:
    """The share of a histogram's values above `bound`, one of its bounds."""
    below = per_second(scope.of(signal, *matchers, f'le="{bound_text(bound)}"', suffix="_bucket"), window=window)
    return f"1 - {below} / {per_second(scope.of(signal, *matchers, suffix='_count'), window=window)}"


def bound_text(bound: float) -> str:
    """A bucket's bound as the exposition format writes it: 1 is `1.0`."""
    return repr(float(bound))


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)}) " if labels else ""
