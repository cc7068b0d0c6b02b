"""How many of what: the gateway by its CPU, engines by the requests that they have, and by the clock.

An engine's threshold is the plan's: as many requests, running and queued, as a replica takes within its SLO.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from fairlead.plan.service import Placement
from fairlead.render import kube, names, pods
from fairlead.render.build import Build, Object, Part
from fairlead.render.cluster import Scaled
from fairlead.signals import REQUESTS, engine
from fairlead.spec.deploy import Schedule
from fairlead.spec.types import Spec

FILE = "manifests/scaling.yaml"
CPU_PERCENT = 70  # of the core that a gateway asks for: room for what comes while another one starts
COOLDOWN_S = 600  # a start takes minutes: what was scaled down too early is missed for that long
POLLING_S = 15
PROMETHEUS_PORT = 9090
OUT_OF_REACH = "1000000"


def gateway_scaling(build: Build) -> Iterator[Part]:
    """An HPA where the number may change, and a PDB where there is more than one."""
    spec = build.spec
    meta = kube.metadata(spec, names.gateway(spec), names.GATEWAY, origin="gateway.replicas")
    least, most = gateways(spec)
    if most > least:
        yield FILE, horizontal_pod_autoscaler(spec, least, most)
    if least > 1:
        yield FILE, disruption_budget(meta, names.selector(spec, names.GATEWAY))


def engine_scaling(build: Build, scaled: Callable[[Build, str], Scaled | None]) -> Iterator[Part]:
    """A ScaledObject for each model whose number of replicas may change; Ray's own autoscaler needs none."""
    for placement in build.plan.placements:
        target = scaled(build, placement.model)
        if target and (placement.maximum > placement.minimum or schedules_of(build.spec, placement.model)):
            yield FILE, scaled_object(build, placement, target)


def engine_disruption(build: Build, *, by_model: bool) -> Iterator[Part]:
    """One engine at a time goes when nodes are drained; on Ray, whose workers take any of their models, one worker."""
    spec = build.spec
    if not by_model:
        meta = kube.metadata(spec, names.engines(spec), names.ENGINE, origin="models")
        if sum(placement.minimum for placement in build.plan.placements) > 1:
            yield FILE, disruption_budget(meta, pods.selector(build, names.ENGINE))
        return
    for placement in build.plan.placements:
        if placement.minimum > 1:
            model, origin = placement.model, f"models.{placement.model}"
            meta = kube.metadata(spec, names.engine(spec, model), names.ENGINE, origin=origin, model=model)
            yield FILE, disruption_budget(meta, pods.selector(build, names.ENGINE, model))


def disruption_budget(metadata: Object, selector: Mapping[str, str]) -> Object:
    """One pod at a time."""
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": dict(selector)}}
    return kube.thing("policy/v1", "PodDisruptionBudget", metadata, spec=budget)


def gateways(spec: Spec) -> tuple[int, int]:
    """Gateways at least and at most."""
    most = spec.deploy.max_gateways if spec.deploy else None
    return spec.gateway.replicas, max(most or 0, spec.gateway.replicas)


def horizontal_pod_autoscaler(spec: Spec, least: int, most: int) -> Object:
    """By CPU: an asyncio loop that has no core left answers late long before it fails."""
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": CPU_PERCENT}}
    return kube.thing(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        kube.metadata(spec, names.gateway(spec), names.GATEWAY, origin="deploy.max_gateways"),
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": names.gateway(spec)},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": metric}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    )


def scaled_object(build: Build, placement: Placement, scaled: Scaled) -> Object:
    """KEDA: by the requests that the model's engines have, and by the schedules that name it."""
    spec = build.spec
    schedules = schedules_of(spec, placement.model)
    most = max([placement.maximum, *(schedule.replicas for schedule in schedules)])
    down = {"stabilizationWindowSeconds": COOLDOWN_S}
    return kube.thing(
        "keda.sh/v1alpha1",
        "ScaledObject",
        kube.metadata(spec, scaled.name, names.ENGINE, origin=f"models.{placement.model}", model=placement.model),
        spec={
            "scaleTargetRef": {"apiVersion": scaled.api_version, "kind": scaled.kind, "name": scaled.name},
            "minReplicaCount": placement.minimum,
            "maxReplicaCount": most,
            "pollingInterval": POLLING_S,
            "cooldownPeriod": COOLDOWN_S,
            "fallback": {"failureThreshold": 3, "replicas": max(placement.deployment.replicas, 1)},
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": down}}},
            "triggers": [
                load_trigger(spec, placement),
                *([wake_trigger(spec, placement)] if placement.minimum == 0 else ()),
                *(cron_trigger(schedule) for schedule in schedules),
            ],
        },
    )


def load_trigger(spec: Spec, placement: Placement) -> Object:
    """Requests at the model's engines, running and waiting."""
    here = f'{{namespace="{names.namespace(spec)}",{engine.RUNNING.labels[0]}="{placement.model}"}}'
    ongoing = f"sum({engine.RUNNING.name}{here}) + sum({engine.WAITING.name}{here})"
    return prometheus_trigger(spec, ongoing, f"{placement.ongoing:g}")


def wake_trigger(spec: Spec, placement: Placement) -> Object:
    """A model without a replica has no metrics: it is woken by what the gateway had to turn away.

    The threshold is out of reach: from one replica on it is the load that counts.
    """
    routes = [placement.model, *(name for name, route in spec.routes.items() if route.model == placement.model)]
    named = "|".join(re.escape(name) for name in sorted(routes)).replace("\\", "\\\\")
    away = f'{{namespace="{names.namespace(spec)}",route=~"{named}",code="503"}}'
    return prometheus_trigger(spec, f"sum(rate({REQUESTS.name}{away}[2m]))", OUT_OF_REACH)


def prometheus_trigger(spec: Spec, query: str, threshold: str) -> Object:
    """A trigger on a query's only value, divided among the replicas."""
    return {
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": prometheus(spec),
            "query": query,
            "threshold": threshold,
            "activationThreshold": "0",
        },
    }


def cron_trigger(schedule: Schedule) -> Object:
    """Replicas at least between two times of a clock; KEDA's word for it is desired."""
    return {
        "type": "cron",
        "metadata": {
            "timezone": schedule.timezone,
            "start": schedule.start,
            "end": schedule.end,
            "desiredReplicas": str(schedule.replicas),
        },
    }


def schedules_of(spec: Spec, model: str) -> list[Schedule]:
    """The schedules that name a model, in the order of their names."""
    schedules = spec.deploy.schedules if spec.deploy else {}
    return [schedule for _, schedule in sorted(schedules.items()) if model in schedule.models]


def prometheus(spec: Spec) -> str:
    """Where Prometheus answers: the operator's own Service, in the namespace that scrapes us."""
    assert spec.deploy is not None
    return f"http://prometheus-operated.{spec.deploy.reach.monitoring}.svc.cluster.local:{PROMETHEUS_PORT}"
