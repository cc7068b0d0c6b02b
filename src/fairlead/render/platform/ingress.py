"""How callers come in: a listener with TLS, its certificate, and routes to the gateway; plain HTTP is sent to TLS."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names
from fairlead.render.build import Build, Object, Part
from fairlead.spec.deploy import Ingress
from fairlead.spec.types import ADMIN_OPERATIONS, ALL_ADMIN, Spec

FILE = "manifests/ingress.yaml"
API = "gateway.networking.k8s.io/v1"
HTTPS, HTTP = "https", "http"
ORIGIN = "deploy.ingress"
MINUTE_S = 60


def ingress(build: Build) -> Iterator[Part]:
    """Certificate, Gateway and routes; nothing where callers are inside the cluster."""
    spec = build.spec
    door = spec.deploy.ingress if spec.deploy else None
    if door is None:
        return
    yield FILE, certificate(spec, door)
    yield FILE, gateway(spec, door)
    yield FILE, route(spec, door)
    yield FILE, redirect(spec, door)


def certificate(spec: Spec, door: Ingress) -> Object:
    """Signed by the cluster's issuer, renewed by cert-manager, its key changed each time."""
    return kube.thing(
        "cert-manager.io/v1",
        "Certificate",
        at_the_door(spec, door, names.certificate(spec)),
        spec={
            "secretName": names.certificate(spec),
            "dnsNames": [door.hostname],
            "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": door.issuer},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        },
    )


def gateway(spec: Spec, door: Ingress) -> Object:
    """Two listeners; only routes of the service's namespace may attach."""
    here = {"kubernetes.io/metadata.name": names.namespace(spec)}
    routes = {"namespaces": {"from": "Selector", "selector": {"matchLabels": here}}}
    listener = {"hostname": door.hostname, "allowedRoutes": routes}
    tls = {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": names.certificate(spec)}]}
    listeners = [
        {"name": HTTPS, "protocol": "HTTPS", "port": 443, "tls": tls, **listener},
        {"name": HTTP, "protocol": "HTTP", "port": 80, **listener},
    ]
    return kube.thing(
        API,
        "Gateway",
        at_the_door(spec, door, names.ingress(spec)),
        spec={"gatewayClassName": door.gateway_class, "listeners": listeners},
    )


def route(spec: Spec, door: Ingress) -> Object:
    """The API, its administration where a role may do any, and nothing else: metrics are on a port without a route.

    The deadline is that of the slowest route and a minute, so that the gateway's own answer to it gets through.
    """
    slowest = max(spec.gateway.timeout, *(each.timeout or 0.0 for each in spec.routes.values()), 0.0)
    timeouts = {"request": f"{int(slowest) + MINUTE_S}s", "backendRequest": f"{int(slowest) + MINUTE_S}s"}
    matches = [{"path": {"type": "PathPrefix", "value": path}} for path in public_paths(spec)]
    backend = {"name": names.gateway(spec), "port": names.GATEWAY_PORT}
    rule = {"matches": matches, "backendRefs": [backend], "timeouts": timeouts}
    return http_route(spec, door, names.gateway(spec), HTTPS, rule)


def public_paths(spec: Spec) -> tuple[str, ...]:
    """What callers from outside may ask for, as far as any of them is allowed to."""
    operations = {operation for role in spec.access.roles.values() for operation in role.operations}
    return (names.API_PATH, *((names.ADMIN_PATH,) if operations & {ALL_ADMIN, *ADMIN_OPERATIONS} else ()))


def redirect(spec: Spec, door: Ingress) -> Object:
    """Whoever comes without TLS is told to come with it."""
    rule = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]}
    return http_route(spec, door, f"{names.gateway(spec)}-redirect", HTTP, rule)


def http_route(spec: Spec, door: Ingress, name: str, section: str, rule: Object) -> Object:
    """A route at one of the listeners."""
    parent = {"name": names.ingress(spec), "namespace": door.namespace, "sectionName": section}
    meta = kube.metadata(spec, name, names.GATEWAY, origin=ORIGIN)
    return kube.thing(
        API, "HTTPRoute", meta, spec={"parentRefs": [parent], "hostnames": [door.hostname], "rules": [rule]}
    )


def at_the_door(spec: Spec, door: Ingress, name: str) -> Object:
    """Metadata of an object that is where the proxies are."""
    return {**kube.metadata(spec, name, names.GATEWAY, origin=ORIGIN), "namespace": door.namespace}
