"""What Prometheus scrapes: the gateway's admin port, and the engines' metrics where the target puts them."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names, pods
from fairlead.render.build import Build, Object
from fairlead.spec.monitoring import Monitoring
from fairlead.spec.types import Spec
from fairlead.units import format_seconds

COMPONENT = "monitoring"
API = "monitoring.coreos.com/v1"
ENGINE_PORTS = {"kuberay": names.METRICS}  # Ray's agents have a port of their own; vLLM's metrics are on its API's


def monitors(build: Build, told: Monitoring) -> Iterator[Object]:
    """A ServiceMonitor for the gateway, a PodMonitor for the engines."""
    spec = build.spec
    yield kube.thing(
        API,
        "ServiceMonitor",
        labelled(spec, names.gateway(spec), told, origin="gateway"),
        spec={
            "selector": {"matchLabels": names.selector(spec, names.GATEWAY)},
            "endpoints": [endpoint(names.METRICS, told)],
        },
    )
    yield kube.thing(
        API,
        "PodMonitor",
        labelled(spec, f"{spec.name}-engines", told, origin="models"),
        spec={
            "selector": {"matchLabels": pods.selector(build, names.ENGINE)},
            "podMetricsEndpoints": [endpoint(ENGINE_PORTS.get(build.target, names.HTTP), told)],
        },
    )


def labelled(spec: Spec, name: str, told: Monitoring, *, origin: str) -> Object:
    """Metadata with the labels by which Prometheus finds its monitors and rules."""
    metadata = kube.metadata(spec, name, COMPONENT, origin=origin)
    return metadata | {"labels": {**metadata["labels"], **told.labels}}


def endpoint(port: str, told: Monitoring) -> Object:
    """One port, by its name."""
    return {"port": port, "path": "/metrics", "interval": format_seconds(told.scrape_interval)}
