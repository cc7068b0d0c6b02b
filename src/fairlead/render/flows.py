"""Every connection that the service needs, each with its name and its reason; what is not here is closed.

NetworkPolicies are made of this table, and the simulator holds them against it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fairlead.render import names
from fairlead.render.build import Build
from fairlead.render.jobs import jobs_of
from fairlead.spec.deploy import PRIVATE_NETWORKS, Deploy
from fairlead.spec.types import RemoteModel, Spec

TCP, UDP = "TCP", "UDP"
API_PORTS = (("TCP", 443), ("TCP", 6443))
GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"  # on the pods of a Gateway, by the Gateway API (GEP-1762)
NAMESPACE_LABEL = "kubernetes.io/metadata.name"  # the API server sets it on every namespace
INTERNET = "0.0.0.0/0"
NOT_INTERNET = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
"""Private, carrier-grade and link-local networks: the cluster itself, and the clouds' metadata servers (RFC 6890)."""
NODE_LOCAL_DNS = "169.254.20.10/32"  # kubernetes.io/docs, "Using NodeLocal DNSCache"; GKE turns it on by default
CREDENTIALS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "aws": (("169.254.170.23/32", 80),),
    "gcp": (("169.254.169.252/32", 988), ("169.254.169.254/32", 80)),
    "azure": (),
}
"""Where pods get the cloud's credentials: EKS' pod identity agent, GKE's metadata server; Azure: on the internet."""


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods of a component, in the service's namespace."""

    component: str


@dataclass(frozen=True, slots=True)
class Proxies:
    """The pods that an implementation of the Gateway API starts for a Gateway, in the service's namespace."""

    gateway: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Pods of another namespace: all of them, or those with a label."""

    namespace: str
    label: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """A network, without parts of it."""

    network: str
    without: tuple[str, ...] = ()


Peer = Pods | Proxies | Elsewhere | Addresses
Ports = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """`source` connects to `target` at `ports`, at all of them where none is named; one of the two is ours.

    `why` is for whoever reviews it.
    """

    name: str
    source: Peer
    target: Peer
    ports: Ports
    why: str


Flows = Callable[[Build], Iterator[Flow]]


def platform_flows(build: Build) -> Iterator[Flow]:
    """What every target needs. The gateway is the only one that engines answer to."""
    spec = build.spec
    assert spec.deploy is not None
    gateway, engine, reach = Pods(names.GATEWAY), Pods(names.ENGINE), spec.deploy.reach
    prometheus = Elsewhere(reach.monitoring)
    yield from callers(spec.deploy, gateway)
    yield Flow("scrape-gateway", prometheus, gateway, ((TCP, names.ADMIN_PORT),), "metrics of the gateway")
    yield from dns(names.GATEWAY)
    yield from stores(spec, gateway)
    if calls_out(spec):
        why = "remote models, the issuer's key set, webhooks of budgets"
        yield internet("gateway-out", gateway, why)
    if build.plan.placements:
        yield Flow("requests", gateway, engine, ((TCP, names.ENGINE_PORT),), "requests of callers")
        yield Flow("scrape-engines", prometheus, engine, ((TCP, names.ENGINE_PORT),), "metrics of the engines")
        yield from dns(names.ENGINE)
        yield from weights(build, names.ENGINE)
    if any(jobs_of(spec, build.target, "gateway")):
        why = "rows of batches"
        yield Flow("batch", Pods(names.BATCH), gateway, ((TCP, names.GATEWAY_PORT),), why)
        yield from dns(names.BATCH)
        yield from bucket(build, names.BATCH, "batch-rows", "rows and answers in the object store")


def callers(deploy: Deploy, gateway: Pods) -> Iterator[Flow]:
    """From the proxies of the Gateway, or from the service's own namespace where there is none."""
    if deploy.ingress is not None:
        ports = ((TCP, names.GATEWAY_PORT),)
        yield Flow("callers", Elsewhere(deploy.ingress.namespace), gateway, ports, "requests of callers")
        for network in deploy.ingress.networks:
            name = f"callers-{short(network)}"
            yield Flow(name, Addresses(network), gateway, ports, "requests of callers, from load balancers")


def dns(component: str) -> Iterator[Flow]:
    """Names of Services and hosts; over TCP as well, since an answer may be too long for UDP (RFC 7766)."""
    ports = ((UDP, 53), (TCP, 53))
    server = Elsewhere("kube-system", ("k8s-app", "kube-dns"))
    yield Flow(f"dns-{component}", Pods(component), server, ports, "names of Services and hosts")
    yield Flow(f"dns-{component}-local", Pods(component), Addresses(NODE_LOCAL_DNS), ports, "the node's cache of names")


def stores(spec: Spec, gateway: Pods) -> Iterator[Flow]:
    """Keys and usage, shared limits."""
    assert spec.deploy is not None
    reach = spec.deploy.reach
    for network in reach.stores if spec.store else ():
        if spec.store and spec.store.postgres:
            ports = ((TCP, reach.postgres_port),)
            yield Flow(f"postgres-{short(network)}", gateway, Addresses(network), ports, "keys and the usage ledger")
        if spec.store and spec.store.redis:
            ports = ((TCP, reach.redis_port),)
            yield Flow(f"redis-{short(network)}", gateway, Addresses(network), ports, "shared limits")


def calls_out(spec: Spec) -> bool:
    """Whether the gateway itself calls anything beyond the cluster."""
    remote = any(isinstance(model, RemoteModel) for model in spec.models.values())
    hooks = any(budget.warn_webhook for budget in spec.budgets.values())
    return remote or hooks or spec.access.jwt is not None


def weights(build: Build, component: str) -> Iterator[Flow]:
    """The model hub or the bucket that weights come from, and the credentials for it."""
    sources = {getattr(model, "source", "").partition("://")[0] for model in build.spec.models.values()}
    if sources & {"s3", "gs", "az"}:
        yield from bucket(build, component, f"weights-{component}", "weights from the model hub or the bucket")
    elif "hf" in sources:
        yield internet(f"weights-{component}", Pods(component), "weights from the model hub or the bucket")


def bucket(build: Build, component: str, name: str, why: str) -> Iterator[Flow]:
    """An object store, and the credentials for it."""
    yield internet(name, Pods(component), why)
    for network, port in CREDENTIALS.get(build.plan.cloud.lower(), ()):
        named = f"credentials-{component}-{port}"
        yield Flow(named, Pods(component), Addresses(network), ((TCP, port),), "the cloud's credentials for it")


def short(network: str) -> str:
    """A network as part of a name."""
    return re.sub(r"[^0-9a-f]+", "-", network).strip("-")


def api_server(pods: Pods, why: str) -> Iterator[Flow]:
    """Kubernetes' own API. At which address it answers, each cloud decides."""
    for number, network in enumerate((*PRIVATE_NETWORKS, INTERNET)):
        yield Flow(f"{pods.component}-api-{number}", pods, Addresses(network), API_PORTS, why)


def internet(name: str, source: Peer, why: str) -> Flow:
    """Anywhere beyond the cluster, over TLS."""
    return Flow(name, source, Addresses(INTERNET, NOT_INTERNET), ((TCP, 443),), why)
