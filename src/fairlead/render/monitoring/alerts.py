"""Every alert but those on SLOs; each beside the series on which it fires and resolves.

Counterparts of what the source documents alert on are marked with their names there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fairlead import signals
from fairlead.render.monitoring.alert import Alert, Example
from fairlead.render.monitoring.promql import Scope, grown, highest, lowest, per_second, total
from fairlead.signals import Signal, cluster

Dialect = Callable[[Signal], Signal]
"""vLLM's metric under the name that the target gives it."""

DAY_S = 86_400


def gateway_alerts(scope: Scope, job: str) -> Iterator[Alert]:
    """What the gateway says of itself and of the engines behind it; `job` is its scrape job."""
    up = scope.of(cluster.UP, f'job="{job}"')
    yield Alert(
        name="GatewayDown",
        expr=f"absent({up} == 1)",
        wait="2m",
        severity="page",
        summary="No gateway answers its scrape.",
        runbook="gateway-down",
        example=Example(series={up: "1x5 0x10 1x20"}, fires="12m", quiet="20m"),
    )
    replica = scope.of(signals.REPLICA_UP, 'model="m"', 'replica="a"')
    yield Alert(
        name="ModelDown",
        expr=f"{highest(scope.of(signals.REPLICA_UP), 'model')} == 0",
        wait="1m",
        severity="page",
        summary="No engine of {{ $labels.model }} is healthy.",
        runbook="engine-down",
        example=Example(series={replica: "1x5 0x10 1x20"}, labels={"model": "m"}, fires="12m", quiet="20m"),
    )
    yield Alert(
        name="ReplicaDown",
        expr=f"{lowest(scope.of(signals.REPLICA_UP), 'model', 'replica')} == 0",
        wait="10m",
        severity="ticket",
        summary="An engine of {{ $labels.model }} has been unhealthy for ten minutes.",
        runbook="engine-down",
        example=Example(series={replica: "0x20 1x20"}, labels={"model": "m", "replica": "a"}, fires="15m", quiet="25m"),
    )
    yield _error_rate(scope)
    yield _shedding(scope)
    yield from _house(scope)


def _error_rate(scope: Scope) -> Alert:
    """HighErrorRate."""
    bad = per_second(scope.of(signals.REQUESTS, 'code=~"5.."'), "route")
    route = 'route="m"'
    return Alert(
        name="HighErrorRate",
        expr=f"{bad} / {per_second(scope.of(signals.REQUESTS), 'route')} > 0.01",
        wait="5m",
        severity="ticket",
        summary="More than 1 % of the requests for {{ $labels.route }} fail.",
        runbook="errors",
        example=Example(
            series={
                scope.of(signals.REQUESTS, route, 'code="502"'): "0+1x20 20+0x30",
                scope.of(signals.REQUESTS, route, 'code="200"'): "0+30x50",
            },
            labels={"route": "m"},
            fires="15m",
            quiet="40m",
        ),
    )


def _shedding(scope: Scope) -> Alert:
    series = scope.of(signals.SHED, 'model="m"', 'reason="queue_full"')
    return Alert(
        name="RequestsShed",
        expr=f"{per_second(scope.of(signals.SHED), 'model')} > 0",
        wait="10m",
        severity="ticket",
        summary="{{ $labels.model }} is so full that requests are turned away.",
        runbook="engine-full",
        example=Example(series={series: "0+6x25 150+0x30"}, labels={"model": "m"}, fires="20m", quiet="45m"),
    )


def _house(scope: Scope) -> Iterator[Alert]:
    """What breaks without a caller noticing at once."""
    lag = scope.of(signals.JOURNAL_LAG)
    yield Alert(
        name="UsageNotShipped",
        expr=f"{highest(lag)} > 100e6",
        wait="15m",
        severity="ticket",
        summary="More than 100 MB of usage records are not in the ledger: its database is away or too slow.",
        runbook="postgres-down",
        example=Example(series={lag: "2e8x30 0x20"}, fires="20m", quiet="35m"),
    )
    for state, wait, severity in (("stale", "10m", "ticket"), ("expired", "1m", "page")):
        series = scope.of(signals.KEYS_FRESHNESS, f'state="{state}"')
        yield Alert(
            name=f"Keys{state.capitalize()}",
            expr=f"{highest(series)} == 1",
            wait=wait,
            severity="page" if severity == "page" else "ticket",
            summary=f"The gateway's keys are {state}: their database is away.",
            runbook="postgres-down",
            example=Example(series={series: "0x5 1x20 0x20"}, fires="20m", quiet="30m"),
        )
    yield from _gauges(scope)
    yield from _increases(scope)
    expiry = scope.of(signals.CERTIFICATE_EXPIRY)
    yield Alert(
        name="CertificateExpires",
        expr=f"{lowest(expiry)} - time() < {7 * DAY_S}",
        wait="1h",
        severity="ticket",
        summary="The listener's certificate expires within a week.",
        runbook="certificate",
        example=Example(series={expiry: f"{7 * DAY_S}x120 {30 * DAY_S}x60"}, fires="90m", quiet="150m"),
    )


def _gauges(scope: Scope) -> Iterator[Alert]:
    """Gauges that stand where they should not: (name, series, condition, bad and good value, summary, runbook)."""
    for name, signal, condition, bad, good, summary, runbook in (
        (
            "SharedLimitsAlone",
            signals.LEASE_STORE_UP,
            "== 0",
            *("0", "1"),
            "Redis does not answer: replicas share limits no more.",
            "redis-down",
        ),
        (
            "KeySetOld",
            signals.KEY_SET_AGE,
            "> 7200",
            *("9000", "60"),
            "The issuer's key set has not been fetched for two hours.",
            "key-set-down",
        ),
        (
            "BudgetsUnknown",
            signals.BUDGETS_KNOWN,
            "== 0",
            *("0", "1"),
            "The ledger cannot be asked what budgets have spent.",
            "postgres-down",
        ),
    ):
        series = scope.of(signal)
        picked = lowest(series) if condition == "== 0" else highest(series)
        yield Alert(
            name=name,
            expr=f"{picked} {condition}",
            wait="5m",
            severity="ticket",
            summary=summary,
            runbook=runbook,
            example=Example(series={series: f"{bad}x20 {good}x20"}, fires="15m", quiet="25m"),
        )


def _increases(scope: Scope) -> Iterator[Alert]:
    """Counters that should not move: (name, series, window, labels, summary, runbook)."""
    refused, warned = scope.of(signals.RELOADS, 'result="refused"'), 'budget="b"'
    for name, series, by, labels, window, summary, runbook in (
        (
            "ConfigurationRefused",
            *(refused, (), {}, "15m"),
            "A changed gateway.json was refused: the gateway goes on with the old one.",
            "configuration-refused",
        ),
        (
            "LogLinesDropped",
            *(scope.of(signals.LOG_DROPPED), (), {}, "15m"),
            "Log lines are lost because whoever reads them stalls.",
            "logs-dropped",
        ),
        (
            "BudgetThreshold",
            *(scope.of(signals.BUDGET_WARNINGS), ("budget",), {"budget": "b"}, "1h"),
            "The budget {{ $labels.budget }} has passed its soft threshold.",
            "cost",
        ),
    ):
        example = scope.of(signals.BUDGET_WARNINGS, warned) if labels else series
        yield Alert(
            name=name,
            expr=f"{grown(series, *by, window=window)} > 0",
            wait="0m",
            severity="ticket",
            summary=summary,
            runbook=runbook,
            example=Example(series={example: "0x5 1x100"}, labels=labels, fires="10m", quiet="90m"),
        )


def cost_alert(scope: Scope, increase: float) -> Alert:
    """Cost +20 %: what a day costs beside the day before."""
    series = scope.of(signals.COST, 'tenant="t"', 'model="m"')
    today = grown(scope.of(signals.COST), window="1d")
    before = total(f"increase({scope.of(signals.COST)}[1d] offset 1d)")
    return Alert(
        name="CostJump",
        expr=f"{today} > {1 + increase:g} * {before} and {before} > 0",
        wait="1h",
        severity="ticket",
        summary=f"The last 24 hours cost over {increase:.0%} more than those before.",
        runbook="cost",
        example=Example(series={series: "0+30x48 1440+60x48 4320+60x55"}, fires="2880m", quiet="4470m", step="30m"),
    )
