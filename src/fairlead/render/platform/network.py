"""NetworkPolicies: nothing is allowed, and then each flow of the table by itself, under its own name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fairlead.render import kube, names, pods
from fairlead.render.build import Build, Object, Part
from fairlead.render.flows import GATEWAY_LABEL, NAMESPACE_LABEL, Addresses, Elsewhere, Flow, Peer, Pods, Proxies

FILE = "manifests/network.yaml"
API = "networking.k8s.io/v1"


def network(build: Build, flows: Iterable[Flow]) -> Iterator[Part]:
    """Default deny for every pod of the namespace, and a policy for each end of a flow that is ours."""
    spec = build.spec
    closed = kube.metadata(spec, f"{spec.name}-default-deny", names.BASE, origin="deploy.reach")
    yield FILE, kube.thing(API, "NetworkPolicy", closed, spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    for flow in flows:
        yield from ((FILE, policy) for policy in policies(build, flow))


def policies(build: Build, flow: Flow) -> Iterator[Object]:
    """One for the end that connects, one for the end that answers; only our own ends have policies."""
    spec = build.spec
    ports = [{"protocol": protocol, "port": port} for protocol, port in flow.ports]
    for ours, other, direction, field in (
        (flow.source, flow.target, "Egress", "to"),
        (flow.target, flow.source, "Ingress", "from"),
    ):
        if isinstance(ours, Pods | Proxies):
            rule = kube.some(**{field: [peer(build, other)], "ports": ports or None})
            yield kube.thing(
                API,
                "NetworkPolicy",
                kube.metadata(
                    spec,
                    f"{spec.name}-{flow.name}-{direction.lower()}",
                    ours.component if isinstance(ours, Pods) else names.BASE,
                    origin="deploy.reach",
                    annotations={names.WHY: flow.why},
                ),
                spec={
                    "podSelector": {"matchLabels": labels(build, ours)},
                    "policyTypes": [direction],
                    direction.lower(): [rule],
                },
            )


def peer(build: Build, other: Peer) -> Object:
    """The other end, as a rule says it."""
    if isinstance(other, Pods | Proxies):
        return {"podSelector": {"matchLabels": labels(build, other)}}
    if isinstance(other, Addresses):
        return {"ipBlock": kube.some(cidr=other.network, **{"except": list(other.without) or None})}
    return elsewhere(other)


def labels(build: Build, ours: Pods | Proxies) -> dict[str, str]:
    """The labels of pods in the service's namespace."""
    return pods.selector(build, ours.component) if isinstance(ours, Pods) else {GATEWAY_LABEL: ours.gateway}


def elsewhere(other: Elsewhere) -> Object:
    """A namespace by the label that the API server gives it, so that nobody else can pass for it."""
    pods = {"podSelector": {"matchLabels": dict([other.label])}} if other.label else {}
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: other.namespace}}, **pods}
