"""The Gateway that asks an endpoint picker where a request goes: inside the cluster, one route a model.

A model's route is told by its first step, `/llama-8b/v1/...`; the step is taken off on the way to the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.render import kube, names
from fairlead.render.build import Build, Object
from fairlead.render.cluster import Upstream
from fairlead.render.engines.kuberay import GATEWAY_SERVICES, ISTIOD_LABEL
from fairlead.render.engines.objectives import named
from fairlead.render.engines.site import Site
from fairlead.render.flows import TCP, UDP, Elsewhere, Flow, Pods, Proxies
from fairlead.spec.types import Spec

API = "gateway.networking.k8s.io"
POOL_GROUP = "inference.networking.k8s.io"
PORT = 80
PICKER_PORT = 9002


def name(spec: Spec) -> str:
    """Of the Gateway."""
    return f"{spec.name}-inference"


def gateway_class(spec: Spec) -> str:
    """Its class."""
    assert spec.deploy is not None
    return spec.deploy.llmd.gateway_class


def upstream(spec: Spec, model: str) -> Upstream:
    """The Service that the class makes for the Gateway, and the model's first step."""
    service = GATEWAY_SERVICES[gateway_class(spec)].format(name(spec))
    objectives = named(names.engine(spec, model))
    return Upstream(service=service, port=PORT, path=f"/{names.slug(model)}", objectives=objectives)


def gateway(build: Build) -> Object:
    """Only the service's own namespace may hang routes on it."""
    spec = build.spec
    listener: dict[str, Any] = {
        "name": names.HTTP,
        "port": PORT,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    meta = kube.metadata(spec, name(spec), names.ENGINE, origin="deploy.llmd")
    own = {"gatewayClassName": gateway_class(spec), "listeners": [listener]}
    return kube.thing(f"{API}/v1", "Gateway", meta, spec=own)


def route(site: Site, pool: str) -> Object:
    """From a model's first step to its pool."""
    rewrite = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": f"/{names.slug(site.served)}"}}],
        "filters": [{"type": "URLRewrite", "urlRewrite": {"path": rewrite}}],
        "backendRefs": [{"group": POOL_GROUP, "kind": "InferencePool", "name": pool}],
        "timeouts": {"request": f"{int(site.spec.gateway.timeout)}s"},
    }
    spec = {"parentRefs": [{"name": name(site.spec)}], "rules": [rule]}
    return kube.thing(f"{API}/v1", "HTTPRoute", site.metadata(), spec=spec)


def trust(site: Site, picker: str) -> Iterator[Object]:
    """The picker makes its own certificate; Istio has to be told to take it."""
    if gateway_class(site.spec) == "istio":
        host = f"{picker}.{names.namespace(site.spec)}.svc.cluster.local"
        policy = {"tls": {"mode": "SIMPLE", "insecureSkipVerify": True}}
        spec = {"host": host, "trafficPolicy": policy}
        yield kube.thing("networking.istio.io/v1", "DestinationRule", site.metadata(picker), spec=spec)


def flows(spec: Spec) -> Iterator[Flow]:
    """From our gateway through the proxies to pickers and engines."""
    proxies, engines, picker = Proxies(name(spec)), Pods(names.ENGINE), Pods(names.PICKER)
    yield Flow("inference", Pods(names.GATEWAY), proxies, ((TCP, PORT),), "requests, to where a picker is asked")
    yield Flow("inference-engines", proxies, engines, ((TCP, names.ENGINE_PORT),), "requests, to the engine picked")
    yield Flow("inference-picker", proxies, picker, ((TCP, PICKER_PORT),), "which engine is it to be")
    dns = Elsewhere("kube-system", ("k8s-app", "kube-dns"))
    yield Flow("inference-dns", proxies, dns, ((UDP, 53), (TCP, 53)), "names of Services")
    if gateway_class(spec) == "istio":
        control = Elsewhere("istio-system", ISTIOD_LABEL)
        yield Flow("inference-control", proxies, control, ((TCP, 15012),), "the proxies' configuration")
