"""The connections of a Ray cluster: its nodes among each other, its operator, its autoscaler, and its Redis."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import names
from fairlead.render.build import Build
from fairlead.render.engines.kuberay import ISTIOD_LABEL, by_steps
from fairlead.render.engines.ray_pods import HEAD_PORTS, METRICS_PORT
from fairlead.render.flows import TCP, Addresses, Elsewhere, Flow, Pods, Proxies, api_server, bucket, dns, weights
from fairlead.render.jobs import jobs_of
from fairlead.spec.deploy import Deploy

ISTIOD = Elsewhere("istio-system", ISTIOD_LABEL)


def ray_flows(build: Build) -> Iterator[Flow]:
    """Beyond what every target needs."""
    deploy = build.spec.deploy
    assert deploy is not None
    head, worker = Pods(names.RAY_HEAD), Pods(names.ENGINE)
    operator = Elsewhere(deploy.ray.operator_namespace)
    yield from among(head, worker)
    yield Flow("operator-head", operator, head, ((TCP, HEAD_PORTS["dashboard"]),), "KubeRay deploys the application")
    yield Flow("operator-workers", operator, worker, ((TCP, names.ENGINE_PORT),), "KubeRay looks who can take requests")
    monitoring = Elsewhere(deploy.reach.monitoring)
    for pods in (head, worker):
        yield Flow(f"scrape-{pods.component}", monitoring, pods, ((TCP, METRICS_PORT),), "metrics of Ray")
    yield from dns(names.RAY_HEAD)
    yield from api_server(head, "Ray's autoscaler asks the API server for workers")
    if deploy.schedules:
        yield from api_server(Pods(names.CLOCK), "schedules change the bounds of replicas")
    yield from memory(deploy, head)
    if steps := by_steps(build.spec):
        yield from renewal(Proxies(f"{names.ray(build.spec)}-gateway"), steps)
    if any(jobs_of(build.spec, build.target, "ray")):
        yield from batch_flows(build, operator)


def among(head: Pods, worker: Pods) -> Iterator[Flow]:
    """The nodes of a cluster."""
    for one, other in ((head, worker), (worker, head), (worker, worker)):
        name = f"ray-{one.component}-to-{other.component}"
        yield Flow(name, one, other, (), "Ray's nodes talk at ports that they choose")


def batch_flows(build: Build, operator: Elsewhere) -> Iterator[Flow]:
    """The clusters of batches: nobody asks their engines but the head."""
    head, worker = Pods(names.BATCH_HEAD), Pods(names.BATCH_ENGINE)
    yield from among(head, worker)
    yield Flow("operator-batch", operator, head, ((TCP, HEAD_PORTS["dashboard"]),), "KubeRay submits the batch")
    for pods in (head, worker):
        yield from dns(pods.component)
    yield from bucket(build, head.component, "ray-batch-rows", "rows and answers in the object store")
    yield from weights(build, worker.component)


def memory(deploy: Deploy, head: Pods) -> Iterator[Flow]:
    """The head's Redis."""
    redis = deploy.ray.redis
    for number, network in enumerate(deploy.reach.stores if redis else ()):
        port = int((redis or "").rpartition(":")[2])
        yield Flow(f"ray-redis-{number}", head, Addresses(network), ((TCP, port),), "what the head knows outlives it")


def renewal(proxies: Proxies, steps: str) -> Iterator[Flow]:
    """The Gateway that shares out traffic between an old cluster and a new one."""
    gateway, worker = Pods(names.GATEWAY), Pods(names.ENGINE)
    yield Flow("renewal", gateway, proxies, ((TCP, 80),), "requests, shared out while a cluster is renewed")
    yield Flow("renewal-engines", proxies, worker, ((TCP, names.ENGINE_PORT),), "requests, on to the clusters")
    ports = (("UDP", 53), (TCP, 53))
    yield Flow("renewal-dns", proxies, Elsewhere("kube-system", ("k8s-app", "kube-dns")), ports, "names of Services")
    if steps == "istio":
        yield Flow("renewal-control", proxies, ISTIOD, ((TCP, 15012),), "the proxy's configuration")
