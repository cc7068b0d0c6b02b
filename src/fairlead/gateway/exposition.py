"""The counters of a gateway as Prometheus text. Names, labels and help come from signals.py alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fairlead import __version__, signals
from fairlead.gateway.accounting import Histogram
from fairlead.policy.budget import NANO
from fairlead.signals import Signal
from fairlead.store.keys import Freshness

if TYPE_CHECKING:
    from fairlead.gateway.app import App

Sample = tuple[tuple[str, ...], float]


def exposition(app: App) -> bytes:
    """The whole page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_GatewayCollector(app))
    return generate_latest(registry)


class _GatewayCollector(Collector):
    def __init__(self, app: App) -> None:
        self._app = app

    def collect(self) -> Iterable[Metric]:
        app, counters = self._app, self._app.accounting.counters
        yield family(signals.REQUESTS, (((r, o, str(c)), n) for (r, o, c), n in counters.requests.items()))
        yield family(signals.REFUSED, (((str(c), reason), n) for (c, reason), n in counters.refused.items()))
        yield family(signals.TOKENS, token_samples(counters.tokens))
        yield histograms(signals.TTFT, counters.ttft)
        yield histograms(signals.DURATION, counters.duration)
        yield family(signals.IN_FLIGHT, replica_samples(app, "in_flight"))
        yield family(signals.REPLICA_UP, replica_samples(app, "up"))
        yield family(signals.RETRIES, (((model,), n) for model, n in counters.retries.items()))
        yield family(signals.CONNECTIONS, [((), len(app.connections))])
        yield family(signals.RELOADS, (((result,), n) for result, n in counters.reloads.items()))
        yield family(signals.JOURNAL_LAG, [((), app.ledger.unshipped_bytes())])
        yield family(signals.LOG_DROPPED, [((), counters.log_dropped)])
        yield from consumption_families(app)
        yield from batch_families(app)
        yield from identity_families(app)
        yield from store_families(app)
        yield family(signals.BUILD, [((__version__, app.config.name), 1)])


def consumption_families(app: App) -> Iterator[Metric]:
    """What was used and refused; money in units of the currency."""
    counters, consumption = app.accounting.counters, app.consumption
    budgets = list(consumption.spent(app.wall())) if consumption is not None else []
    yield family(signals.LIMITED, consumption.refused.items() if consumption is not None else [])
    yield family(signals.COST, ((who, nano / NANO) for who, nano in counters.cost_nano.items()))
    yield family(signals.BUDGET_SPENT, ((each.labels, each.spent / NANO) for each in budgets))
    yield family(signals.BUDGET_RESERVED, ((each.labels, each.reserved / NANO) for each in budgets))
    yield family(signals.BUDGET_AMOUNT, ((each.labels, each.amount / NANO) for each in budgets))
    yield family(signals.BUDGETS_KNOWN, [((), float(app.spending.known))])
    yield family(signals.BUDGET_WARNINGS, (((name,), n) for name, n in counters.budget_warnings.items()))
    yield family(signals.WEBHOOKS, (((result,), n) for result, n in counters.webhooks.items()))
    yield family(signals.WAITING, (((name,), len(room.queue)) for name, room in app.rooms.items()))
    sheds = [((name, why), n) for name, room in app.rooms.items() for why, n in room.shed.items()]
    yield family(signals.SHED, sheds)
    yield family(signals.IDEMPOTENT, (((action,), n) for action, n in counters.idempotent.items()))


def store_families(app: App) -> Iterator[Metric]:
    """What replicas share."""
    leases = app.leases
    yield family(signals.LEASES, [((), len(leases))] if leases is not None else [])
    yield family(signals.LEASE_STORE_UP, [((), leases.up)] if leases is not None else [])
    yield family(signals.LEASE_REPLICAS, [((), leases.replicas)] if leases is not None else [])
    rounds = leases.rounds.items() if leases is not None else ()
    yield family(signals.LEASE_ROUNDS, (((result,), count) for result, count in rounds))
    states = get_args(Freshness)
    yield family(signals.KEYS_FRESHNESS, (((state,), state == app.keys_freshness) for state in states))


def batch_families(app: App) -> Iterator[Metric]:
    """The Batch API, where it is declared."""
    runs = app.batches.runs.values() if app.batches is not None else ()
    states = Counter(run.batch.status for run in runs)
    yield family(signals.BATCHES, (((state,), float(count)) for state, count in states.items()))
    rows = app.batches.rows.items() if app.batches is not None else ()
    yield family(signals.BATCH_ROWS, (((result,), float(count)) for result, count in rows))


def identity_families(app: App) -> Iterator[Metric]:
    """The issuer's key set and the listener's certificate, where there are such."""
    age: list[Sample] = []
    fetches: list[Sample] = []
    if app.tokens is not None:
        keyset = app.tokens.keyset
        age = [((), -1.0 if keyset.age_s is None else keyset.age_s)]
        fetches = [((result,), float(count)) for result, count in keyset.fetched.items()]
    yield family(signals.KEY_SET_AGE, age)
    yield family(signals.KEY_SET_FETCHES, fetches)
    yield family(signals.CERTIFICATE_EXPIRY, [((), app.certificate_expiry)] if app.certificate_expiry else [])


def family(signal: Signal, samples: Iterable[Sample]) -> Metric:
    """A counter or a gauge."""
    kind = CounterMetricFamily if signal.kind == "counter" else GaugeMetricFamily
    metric = kind(signal.name, signal.help, labels=signal.labels)
    for labels, value in sorted(samples):
        metric.add_metric(labels, value)
    return metric


def histograms(signal: Signal, by_model: Mapping[str, Histogram]) -> Metric:
    """A histogram, one series a model; buckets are cumulative in the text."""
    metric = HistogramMetricFamily(signal.name, signal.help, labels=signal.labels)
    for model, histogram in sorted(by_model.items()):
        bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
        running, buckets = 0, []
        for bound, count in zip(bounds, histogram.counts, strict=True):
            running += count
            buckets.append((bound, running))
        metric.add_metric([model], buckets, histogram.sum)
    return metric


def token_samples(tokens: Mapping[tuple[str, str], list[int]]) -> Iterator[Sample]:
    """tenant, model, kind."""
    for (tenant, model), counts in tokens.items():
        for kind, count in zip(("prompt", "cached", "completion"), counts, strict=True):
            yield (tenant, model, kind), count


def replica_samples(app: App, attribute: str) -> Iterator[Sample]:
    """One value a replica of each model."""
    for name, model in app.tables.models.items():
        for replica in model.replicas:
            yield (name, replica.shown), float(getattr(replica, attribute))
