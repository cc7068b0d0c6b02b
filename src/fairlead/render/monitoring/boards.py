"""The four dashboards: the service and its cost, the engines, the GPUs, the Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead import signals
from fairlead.render.monitoring.alerts import Dialect
from fairlead.render.monitoring.panels import Board, Panel
from fairlead.render.monitoring.promql import Scope, average, grown, highest, per_second, quantile, share, total
from fairlead.signals import Signal, engine, gpu, ray

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def boards(scope: Scope, dialect: Dialect, target: str) -> Iterator[Board]:
    """Those that a target has something to show in."""
    yield service_board(scope)
    yield engine_board(scope, dialect)
    yield gpu_board(scope)
    if target == "kuberay":
        yield ray_board(scope)


def service_board(scope: Scope) -> Board:
    """What callers get, and what it costs."""
    requests, tokens, cost = scope.of(signals.REQUESTS), scope.of(signals.TOKENS), scope.of(signals.COST)
    failed = scope.of(signals.REQUESTS, 'code=~"5.."')
    all_of_them = per_second(requests, "route")
    callers = [
        Panel("Requests", "reqps", {"{{route}}": all_of_them}),
        Panel("Answers by status", "reqps", {"{{code}}": per_second(requests, "code")}),
        Panel(
            "Failed",
            "percentunit",
            {"{{route}}": share(f"({per_second(failed, 'route')} or 0 * {all_of_them})", all_of_them)},
            "Share of the requests that got a 5xx.",
        ),
        Panel("Time to first token", "s", _quantiles(scope, signals.TTFT, "model")),
        Panel("Duration", "s", _quantiles(scope, signals.DURATION, "model")),
        Panel("Under way", "short", {"{{model}} {{replica}}": scope.of(signals.IN_FLIGHT)}),
        Panel("Healthy engines", "short", {"{{model}}": total(scope.of(signals.REPLICA_UP), "model")}),
        Panel("Refused", "reqps", {"{{reason}}": per_second(scope.of(signals.REFUSED), "reason")}),
        Panel(
            "Refused by limits", "reqps", {"{{limit}} {{kind}}": per_second(scope.of(signals.LIMITED), "limit", "kind")}
        ),
    ]
    money = [
        Panel("Tokens", "short", {"{{model}} {{kind}}": per_second(tokens, "model", "kind")}, "Tokens per second."),
        Panel("Tokens by tenant", "short", {"{{tenant}}": per_second(tokens, "tenant")}, "Tokens per second."),
        Panel(
            "Cost a day", "short", {"{{model}}": grown(cost, "model", window="1d")}, "In the currency of the prices."
        ),
        Panel("Cost by tenant", "short", {"{{tenant}}": grown(cost, "tenant", window="1d")}, "Over the last day."),
        Panel(
            "Budgets",
            "percentunit",
            {
                "{{budget}} {{owner}}": f"{highest(scope.of(signals.BUDGET_SPENT), 'budget', 'owner')} / "
                f"{highest(scope.of(signals.BUDGET_AMOUNT), 'budget', 'owner')}"
            },
            "Share that is spent, as the gateway with the most sees it.",
        ),
        Panel("Usage not in the ledger", "bytes", {"": highest(scope.of(signals.JOURNAL_LAG))}),
    ]
    return Board("service", "service and cost", {"Callers": callers, "Cost": money})


def engine_board(scope: Scope, dialect: Dialect) -> Board:
    """What engines do: the counterpart of the documents' LLM dashboards."""

    def of(signal: Signal) -> str:
        return scope.of(dialect(signal))

    name = "model_name"
    load = [
        Panel("Running", "short", {"{{model_name}}": total(of(engine.RUNNING), name)}),
        Panel("Waiting", "short", {"{{model_name}}": total(of(engine.WAITING), name)}),
        Panel(
            "KV cache", "percentunit", {"{{model_name}}": highest(of(engine.KV_CACHE), name)}, "The fullest replica."
        ),
        Panel("Tokens generated", "short", {"{{model_name}}": per_second(of(engine.GENERATION_TOKENS), name)}),
        Panel("Prompt tokens", "short", {"{{model_name}}": per_second(of(engine.PROMPT_TOKENS), name)}),
        Panel("Finished", "reqps", {"{{finished_reason}}": per_second(of(engine.SUCCESS), "finished_reason")}),
        Panel(
            "Prefix cache hits",
            "percentunit",
            {
                "{{model_name}}": share(
                    per_second(of(engine.PREFIX_HITS), name), per_second(of(engine.PREFIX_QUERIES), name)
                )
            },
        ),
        Panel("Preemptions", "short", {"{{model_name}}": per_second(of(engine.PREEMPTIONS), name)}, "Per second."),
    ]
    times = [
        Panel("Time to first token", "s", _quantiles(scope, dialect(engine.TTFT), name)),
        Panel("Time per output token", "s", _quantiles(scope, dialect(engine.TPOT), name)),
        Panel("Between two tokens", "s", _quantiles(scope, dialect(engine.ITL), name)),
        Panel("Whole request", "s", _quantiles(scope, dialect(engine.E2E), name)),
        Panel("In the queue", "s", _quantiles(scope, dialect(engine.QUEUE_TIME), name)),
        Panel(
            "Where the time goes",
            "s",
            {
                "queue": average(scope, dialect(engine.QUEUE_TIME)),
                "prefill": average(scope, dialect(engine.PREFILL_TIME)),
                "decode": average(scope, dialect(engine.DECODE_TIME)),
            },
            "Means.",
        ),
    ]
    return Board("engines", "LLM performance", {"Load": load, "Latency": times})


def gpu_board(scope: Scope) -> Board:
    """What GPUs do."""
    legend = "{{Hostname}} {{gpu}}"
    used, free = scope.of(gpu.MEMORY_USED), scope.of(gpu.MEMORY_FREE)
    panels = [
        Panel("Utilisation", "percent", {legend: scope.of(gpu.UTILIZATION)}, "Time in which any kernel ran."),
        Panel("Memory", "percentunit", {legend: f"{used} / ({used} + {free})"}),
        Panel("Temperature", "celsius", {legend: scope.of(gpu.TEMPERATURE)}),
        Panel("Power", "watt", {legend: scope.of(gpu.POWER)}),
        Panel("XID errors", "short", {legend: scope.of(gpu.XID_ERRORS)}, "Number of the last error; 0: none."),
    ]
    return Board("gpus", "GPUs", {"GPUs": panels})


def ray_board(scope: Scope) -> Board:
    """What a Ray cluster does."""
    nodes = [
        Panel("Nodes up", "short", {"{{node_type}}": scope.of(ray.ACTIVE_NODES)}),
        Panel("Nodes failed", "short", {"{{node_type}}": scope.of(ray.FAILED_NODES)}),
        Panel("Nodes asked for", "short", {"{{node_type}}": scope.of(ray.PENDING_NODES)}),
        Panel("CPU", "percent", {"{{instance}}": scope.of(ray.NODE_CPU)}),
        Panel(
            "Memory",
            "percentunit",
            {"{{instance}}": f"{scope.of(ray.NODE_MEMORY_USED)} / {scope.of(ray.NODE_MEMORY_TOTAL)}"},
        ),
        Panel("Object store", "bytes", {"{{Location}}": total(scope.of(ray.OBJECT_STORE), "Location")}),
        Panel("GPUs in use", "short", {"{{State}}": total(scope.of(ray.RESOURCES, 'Name="GPU"'), "State")}),
    ]
    serve = [
        Panel("Healthy replicas", "short", {"{{deployment}}": total(scope.of(ray.REPLICA_HEALTHY), "deployment")}),
        Panel("Waiting", "short", {"{{deployment}}": total(scope.of(ray.QUEUED), "deployment")}),
        Panel("Under way", "short", {"{{deployment}}": total(scope.of(ray.PROCESSING), "deployment")}),
        Panel("Errors", "reqps", {"{{deployment}}": per_second(scope.of(ray.SERVE_ERRORS), "deployment")}),
    ]
    return Board("ray", "Ray cluster", {"Nodes": nodes, "Serve": serve})


def _quantiles(scope: Scope, signal: Signal, by: str) -> dict[str, str]:
    return {f"{{{{{by}}}}} {name}": quantile(part, scope, signal, by) for name, part in QUANTILES.items()}
