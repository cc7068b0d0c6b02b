"""A request finds its way: listener, route, Service, pod, and from the gateway to the engines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from fairlead.render import names
from fairlead.render.build import Object
from fairlead.render.checks.frame import Fault, Rendering, dig, listed
from fairlead.render.checks.provided import operator_services, secret_keys, service_ports
from fairlead.render.flows import NAMESPACE_LABEL
from fairlead.render.workloads import Workload
from fairlead.spec.problems import nearest
from fairlead.units import parse_seconds

OPERATORS_LABELS = ("ray.io/", "serving.kserve.io/", "leaderworkerset.sigs.k8s.io/")
"""Labels that operators put on pods: what is selected by them is not judged here."""


def services(rendering: Rendering) -> Iterator[Fault]:
    """A Service selects pods that are rendered, and its ports are theirs."""
    for document in rendering.of_kind("Service"):
        selector = dig(document.object, "spec", "selector") or {}
        if any(label.startswith(OPERATORS_LABELS) for label in selector):
            continue
        chosen = selected(rendering, selector) if selector else []
        if not chosen:
            yield Fault(document, f"selects no pod: {_shown(selector)}", "its selector has to be labels of the pods")
            continue
        known = {
            port.get("name") for workload in chosen for each in workload.containers for port in listed(each, "ports")
        }
        numbers = {
            port.get("containerPort")
            for workload in chosen
            for each in workload.containers
            for port in listed(each, "ports")
        }
        for port in listed(document.object, "spec", "ports"):
            target = port.get("targetPort", port.get("port"))
            if target not in known | numbers:
                message = f"port {port.get('name')!r} leads to {target!r}, which no pod behind it has"
                yield Fault(document, message, nearest(target, (str(each) for each in known), otherwise="ports"))


def upstreams(rendering: Rendering) -> Iterator[Fault]:
    """The gateway's upstreams in the cluster are Services that are there, at ports that they have."""
    config = rendering.find("ConfigMap", names.gateway_config(rendering.build.spec))
    here = f".{names.namespace(rendering.build.spec)}.svc.cluster.local"
    for name, model in rendering.build.gateway["models"].items():
        for url in model["upstreams"]:
            parts = urlsplit(url)
            host = parts.hostname or ""
            if not host.endswith(".svc.cluster.local"):
                continue
            service = host.removesuffix(here)
            ports = service_ports(rendering, service) if host.endswith(here) else None
            if ports is None:
                known = [*_names(rendering, "Service"), *(each for each, _ in operator_services(rendering))]
                yield Fault(config, f"models.{name}: there is no Service {service!r}", nearest(service, known))
            elif (parts.port or 80) not in ports:
                yield Fault(
                    config,
                    f"models.{name}: Service {service!r} has no port {parts.port or 80}",
                    f"ports: {sorted(ports)}",
                )


def routes(rendering: Rendering) -> Iterator[Fault]:
    """A route's listener is there and lets it attach; its backends are there."""
    for document in rendering.of_kind("HTTPRoute"):
        for parent in listed(document.object, "spec", "parentRefs"):
            yield from (Fault(document, message, hint) for message, hint in _parent(rendering, document.object, parent))
        for rule in listed(document.object, "spec", "rules"):
            for backend in listed(rule, "backendRefs"):
                yield from (Fault(document, message, hint) for message, hint in _backend(rendering, backend))


def route_timeouts(rendering: Rendering) -> Iterator[Fault]:
    """A route gives up later than the gateway, so that callers get the gateway's answer and not the proxy's."""
    slowest = max((route["timeout_s"] for route in rendering.build.gateway["routes"].values()), default=0.0)
    for document in rendering.of_kind("HTTPRoute"):
        for rule in listed(document.object, "spec", "rules"):
            request = dig(rule, "timeouts", "request")
            leads_here = any(
                each.get("name") == names.gateway(rendering.build.spec) for each in listed(rule, "backendRefs")
            )
            if leads_here and request and parse_seconds(request) <= slowest:
                message = f"gives up after {request}, and the gateway only after {slowest:g}s"
                yield Fault(
                    document, message, "give the route more time than the slowest of gateway.timeout and routes"
                )


def certificates(rendering: Rendering) -> Iterator[Fault]:
    """A listener's certificate is issued, where the listener is, and for its name."""
    for document in rendering.of_kind("Gateway"):
        namespace = dig(document.object, "metadata", "namespace") or ""
        for listener in listed(document.object, "spec", "listeners"):
            for reference in listed(listener, "tls", "certificateRefs"):
                name = reference.get("name", "")
                if secret_keys(rendering, name, reference.get("namespace", namespace)) is None:
                    message = f"listener {listener.get('name')!r}: nothing issues its certificate {name!r}"
                    yield Fault(
                        document, message, nearest(name, _names(rendering, "Certificate"), otherwise="certificates")
                    )
                    continue
                hosts = [
                    host
                    for each in rendering.of_kind("Certificate")
                    if dig(each.object, "spec", "secretName") == name
                    for host in listed(each.object, "spec", "dnsNames")
                ]
                if hosts and listener.get("hostname") not in hosts:
                    message = f"listener {listener.get('name')!r}: its certificate is for {', '.join(hosts)}"
                    yield Fault(document, message, f"issue it for {listener.get('hostname')}")


def selected(rendering: Rendering, selector: Mapping[str, str]) -> list[Workload]:
    """The workloads whose pods have all these labels."""
    return [workload for workload in rendering.workloads if selector.items() <= workload.labels.items()]


def _parent(rendering: Rendering, route: Object, parent: Object) -> Iterator[tuple[str, str]]:
    name, namespace = parent.get("name", ""), parent.get("namespace") or dig(route, "metadata", "namespace")
    gateway = rendering.find("Gateway", name, namespace)
    if gateway is None:
        yield f"there is no Gateway {name!r} in {namespace!r}", nearest(name, _names(rendering, "Gateway"))
        return
    listeners = {each.get("name"): each for each in listed(gateway.object, "spec", "listeners")}
    section = parent.get("sectionName")
    if section is not None and section not in listeners:
        yield f"the Gateway {name!r} has no listener {section!r}", nearest(section, filter(None, listeners))
        return
    chosen = [listeners[section]] if section else list(listeners.values())
    hosts = listed(route, "spec", "hostnames")
    if not any(each.get("hostname") in (None, *hosts) for each in chosen):
        yield f"no listener of {name!r} is for {', '.join(hosts)}", "the route's host name has to be the listener's"
    here = {NAMESPACE_LABEL: dig(route, "metadata", "namespace")}
    if not any(_lets_in(each, here, namespace) for each in chosen):
        yield f"the Gateway {name!r} takes no routes of this namespace", "see allowedRoutes of its listeners"


def _lets_in(listener: Object, labels: Mapping[str, str], namespace: str) -> bool:
    allowed = dig(listener, "allowedRoutes", "namespaces") or {}
    if allowed.get("from", "Same") == "Selector":
        return bool(dig(allowed, "selector", "matchLabels") == labels)
    return bool(allowed.get("from") == "All" or labels[NAMESPACE_LABEL] == namespace)


def _backend(rendering: Rendering, backend: Object) -> Iterator[tuple[str, str]]:
    kind, name, port = backend.get("kind", "Service"), backend.get("name", ""), backend.get("port")
    if kind != "Service":
        if rendering.find(kind, name) is None:
            yield f"there is no {kind} {name!r} behind it", nearest(name, _names(rendering, kind))
        return
    ports = service_ports(rendering, name)
    if ports is None:
        yield (
            f"there is no Service {name!r} behind it",
            nearest(name, _names(rendering, "Service"), otherwise="Services"),
        )
    elif port not in ports:
        yield f"the Service {name!r} behind it has no port {port}", f"ports: {', '.join(map(str, sorted(ports)))}"


def _names(rendering: Rendering, kind: str) -> list[str]:
    return [document.object["metadata"]["name"] for document in rendering.of_kind(kind)]


def _shown(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
