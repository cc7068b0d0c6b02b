"""An SLO becomes alerts on how fast its error budget burns, over a long and a short window at once.

Windows and factors: Google, The Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts": 2 % of a
30-day budget in an hour, 5 % in six hours, 10 % in three days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fairlead import signals
from fairlead.render.monitoring.alert import Alert, Example, Severity
from fairlead.render.monitoring.promql import Scope, beyond, bound_text, per_second

LATENCY_OBJECTIVE = 0.95  # what `ttft_p95` says: 95 of 100 requests are as fast


@dataclass(frozen=True, slots=True)
class Burn:
    """The budget burns `factor` times as fast as it may, over both windows, for `wait_min` minutes."""

    pace: str
    factor: float
    long: str
    short: str
    short_min: int
    wait_min: int
    severity: Severity

    @property
    def minutes(self) -> tuple[int, int]:
        """How long an example is bad until the alert fires, and then good until it is quiet."""
        return self.wait_min + 10, self.short_min + 10


BURNS = (
    Burn("Fast", 14.4, "1h", "5m", 5, 2, "page"),
    Burn("Steady", 6.0, "6h", "30m", 30, 15, "page"),
    Burn("Slow", 1.0, "3d", "6h", 360, 60, "ticket"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """What is promised of a model: shares between 0 and 1, seconds. None: nothing is."""

    model: str
    routes: tuple[str, ...]  # the public names that it answers to
    availability: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None


def burn_alerts(scope: Scope, slo: Slo) -> Iterator[Alert]:
    """Alerts on availability and on TTFT, as far as they are promised."""
    for burn in BURNS:
        if slo.availability is not None:
            budget = 1 - slo.availability
            condition = burning(errors(scope, slo), burn, budget)
            yield _alert("SloAvailabilityBurn", slo, burn, condition, failing(scope, slo, burn))
        if slo.ttft_s is not None:
            budget = 1 - LATENCY_OBJECTIVE
            condition = burning(slow(scope, slo), burn, budget)
            yield _alert("SloTtftBurn", slo, burn, condition, crawling(scope, slo, burn))


def errors(scope: Scope, slo: Slo) -> Callable[[str], str]:
    """Window -> the share of requests that failed; by all names that the model is asked for."""
    routes = f'route=~"{"|".join(slo.routes)}"' if len(slo.routes) > 1 else f'route="{slo.routes[0]}"'

    def share(window: str) -> str:
        bad = per_second(scope.of(signals.REQUESTS, routes, 'code=~"5.."'), window=window)
        return f"{bad} / {per_second(scope.of(signals.REQUESTS, routes), window=window)}"

    return share


def slow(scope: Scope, slo: Slo) -> Callable[[str], str]:
    """Window -> the share of streams whose first token came later than promised."""
    assert slo.ttft_s is not None
    bound = slo.ttft_s
    return lambda window: beyond(scope, signals.TTFT, bound, f'model="{slo.model}"', window=window)


def failing(scope: Scope, slo: Slo, burn: Burn) -> Example:
    """Every request fails, then none."""
    bad, good = burn.minutes
    route = f'route="{slo.routes[0]}"'
    series = {
        scope.of(signals.REQUESTS, route, 'code="503"'): f"0+60x{bad} {60 * bad}+0x{good}",
        scope.of(signals.REQUESTS, route, 'code="200"'): f"0+0x{bad} 0+60x{good}",
    }
    return Example(series=series, fires=f"{bad}m", quiet=f"{bad + good}m")


def crawling(scope: Scope, slo: Slo, burn: Burn) -> Example:
    """Every stream begins too late, then none does."""
    assert slo.ttft_s is not None
    bad, good = burn.minutes
    model, bound = f'model="{slo.model}"', f'le="{bound_text(slo.ttft_s)}"'
    series = {
        scope.of(signals.TTFT, model, bound, suffix="_bucket"): f"0+0x{bad} 0+60x{good}",
        scope.of(signals.TTFT, model, suffix="_count"): f"0+60x{bad + good}",
    }
    return Example(series=series, fires=f"{bad}m", quiet=f"{bad + good}m")


def burning(share: Callable[[str], str], burn: Burn, budget: float) -> str:
    """Whether the budget, a share of bad requests, burns too fast over both windows."""
    threshold = f"{burn.factor * budget:.6g}"
    return f"({share(burn.long)}) > {threshold} and ({share(burn.short)}) > {threshold}"


def _alert(name: str, slo: Slo, burn: Burn, expr: str, example: Example) -> Alert:
    return Alert(
        name=f"{name}{burn.pace}",
        expr=expr,
        wait=f"{burn.wait_min}m",
        severity=burn.severity,
        summary=f"{slo.model} burns its error budget {burn.factor:g} times too fast, over {burn.long}.",
        runbook="slo-burn",
        labels={"model": slo.model},
        example=example,
    )
