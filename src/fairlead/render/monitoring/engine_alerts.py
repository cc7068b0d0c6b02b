"""Alerts on engines, GPUs, Ray and Pods: what the gateway cannot see."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render.monitoring.alert import Alert, Example
from fairlead.render.monitoring.alerts import Dialect
from fairlead.render.monitoring.promql import Scope, grown, highest, lowest, per_second, quantile, total
from fairlead.render.monitoring.slo import Slo
from fairlead.signals import cluster, engine, gpu, ray

MODEL = 'model_name="m"'
HOTTEST = 85  # degrees Celsius: NVIDIA's data-centre GPUs slow down between 85 and 90


def engine_alerts(scope: Scope, dialect: Dialect) -> Iterator[Alert]:
    """A full engine, before its callers time out."""
    waiting, running = dialect(engine.WAITING), dialect(engine.RUNNING)
    yield Alert(
        name="QueueGrows",
        expr=f"{total(scope.of(waiting), 'model_name')} > {total(scope.of(running), 'model_name')}",
        wait="10m",
        severity="ticket",
        summary="More requests wait for {{ $labels.model_name }} than run.",
        runbook="engine-full",
        example=Example(
            series={scope.of(waiting, MODEL): "90x20 0x20", scope.of(running, MODEL): "64x40"},
            labels={"model_name": "m"},
            fires="15m",
            quiet="25m",
        ),
    )
    cache = dialect(engine.KV_CACHE)  # HighGPUUsage > 0.95
    yield Alert(
        name="KvCacheFull",
        expr=f"{highest(scope.of(cache), 'model_name')} > 0.95",
        wait="10m",
        severity="ticket",
        summary="The KV cache of {{ $labels.model_name }} is full: requests wait or are pushed out.",
        runbook="engine-full",
        example=Example(
            series={scope.of(cache, MODEL): "0.99x20 0.5x20"}, labels={"model_name": "m"}, fires="15m", quiet="25m"
        ),
    )
    pushed = dialect(engine.PREEMPTIONS)
    yield Alert(
        name="RequestsPreempted",
        expr=f"{per_second(scope.of(pushed), 'model_name')} > 0",
        wait="15m",
        severity="ticket",
        summary="Requests of {{ $labels.model_name }} are pushed out of the KV cache and computed again.",
        runbook="engine-full",
        example=Example(
            series={scope.of(pushed, MODEL): "0+2x30 60+0x30"}, labels={"model_name": "m"}, fires="25m", quiet="45m"
        ),
    )


def tpot_alert(scope: Scope, dialect: Dialect, slo: Slo) -> Alert:
    """LLMHighLatency, HighLatency: what a reader feels is the time between tokens."""
    assert slo.tpot_s is not None
    tpot, model = dialect(engine.TPOT), f'model_name="{slo.model}"'
    filtered = Scope((*scope.matchers, model))
    return Alert(
        name="TpotHigh",
        expr=f"{quantile(0.95, filtered, tpot, 'model_name')} > {slo.tpot_s:g}",
        wait="10m",
        severity="ticket",
        summary=f"Tokens of {slo.model} come slower than the {slo.tpot_s:g} s that are promised.",
        runbook="engine-full",
        example=Example(
            series={
                scope.of(tpot, model, f'le="{slo.tpot_s:g}"', suffix="_bucket"): "0+0x20 0+60x30",
                scope.of(tpot, model, f'le="{4 * slo.tpot_s:g}"', suffix="_bucket"): "0+60x50",
                scope.of(tpot, model, 'le="+Inf"', suffix="_bucket"): "0+60x50",
            },
            labels={"model_name": slo.model},
            fires="18m",
            quiet="45m",
        ),
    )


def gpu_alerts(scope: Scope) -> Iterator[Alert]:
    """GPUs that are broken, hot, or paid for in vain."""
    labels = ('gpu="0"', 'Hostname="node"')
    told = {"gpu": "0", "Hostname": "node"}
    for name, signal, bad, wait, summary in (
        ("GpuXidError", gpu.XID_ERRORS, "> 0", "1m", "The driver reports an XID error."),
        ("GpuHot", gpu.TEMPERATURE, f"> {HOTTEST}", "10m", "A GPU is so hot that it slows down."),
    ):
        value = "79" if signal is gpu.XID_ERRORS else str(HOTTEST + 5)
        yield Alert(
            name=name,
            expr=f"{highest(scope.of(signal), 'gpu', 'Hostname')} {bad}",
            wait=wait,
            severity="ticket",
            summary=f"{summary[:-1]}: GPU {{{{ $labels.gpu }}}} of {{{{ $labels.Hostname }}}}.",
            runbook="gpu",
            example=Example(
                series={scope.of(signal, *labels): f"{value}x20 0x20"}, labels=told, fires="15m", quiet="25m"
            ),
        )
    used = scope.of(gpu.UTILIZATION)  # GPU < 70 %: nothing at all ran in three tenths of the day
    yield Alert(
        name="GpusIdle",
        expr=f"avg(avg_over_time({used}[1d])) < 70",
        wait="1h",
        severity="ticket",
        summary="GPUs computed in less than 70 % of the last day: there are more than are needed.",
        runbook="cost",
        example=Example(
            series={scope.of(gpu.UTILIZATION, *labels): "20x4 100x60"}, fires="90m", quiet="1710m", step="30m"
        ),
    )


def ray_alerts(scope: Scope) -> Iterator[Alert]:
    """RayNodeDown, and what else keeps a Ray cluster from serving."""
    for name, signal, wait, summary in (
        ("RayNodeDown", ray.FAILED_NODES, "5m", "A Ray node has failed."),
        ("RayNodesPending", ray.PENDING_NODES, "15m", "Ray asks for nodes and does not get them."),
    ):
        yield Alert(
            name=name,
            expr=f"{total(scope.of(signal), 'node_type')} > 0",
            wait=wait,
            severity="ticket",
            summary=f"{summary[:-1]}: type {{{{ $labels.node_type }}}}.",
            runbook="ray-nodes",
            example=Example(
                series={scope.of(signal, 'node_type="gpu"'): "1x30 0x20"},
                labels={"node_type": "gpu"},
                fires="25m",
                quiet="35m",
            ),
        )
    healthy = scope.of(ray.REPLICA_HEALTHY, 'deployment="d"', 'application="a"')
    yield Alert(
        name="RayDeploymentUnhealthy",
        expr=f"{lowest(scope.of(ray.REPLICA_HEALTHY), 'application', 'deployment')} == 0",
        wait="5m",
        severity="page",
        summary="A replica of {{ $labels.deployment }} is unhealthy.",
        runbook="ray-nodes",
        example=Example(
            series={healthy: "0x15 1x15"}, labels={"deployment": "d", "application": "a"}, fires="10m", quiet="20m"
        ),
    )


def pod_alerts(scope: Scope) -> Iterator[Alert]:
    """Pods that cannot be scheduled, or begin again and again."""
    pending = scope.of(cluster.POD_PHASE, 'phase="Pending"')
    yield Alert(
        name="PodPending",
        expr=f"{highest(pending, 'pod')} == 1",
        wait="15m",
        severity="ticket",
        summary="{{ $labels.pod }} finds no node.",
        runbook="pods",
        example=Example(
            series={scope.of(cluster.POD_PHASE, 'phase="Pending"', 'pod="p"'): "1x25 0x20"},
            labels={"pod": "p"},
            fires="20m",
            quiet="30m",
        ),
    )
    restarts = scope.of(cluster.POD_RESTARTS, 'pod="p"', 'container="c"')
    yield Alert(
        name="PodRestarts",
        expr=f"{grown(scope.of(cluster.POD_RESTARTS), 'pod', 'container', window='1h')} > 3",
        wait="0m",
        severity="ticket",
        summary="{{ $labels.container }} of {{ $labels.pod }} begins again and again.",
        runbook="pods",
        example=Example(
            series={restarts: "0x5 0+1x8 8x120"}, labels={"pod": "p", "container": "c"}, fires="20m", quiet="110m"
        ),
    )
