"""What exists although nothing rendered bears its name: operators make Secrets and Services of our objects."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import names
from fairlead.render.build import Object
from fairlead.render.checks.frame import Rendering, dig, listed
from fairlead.render.engines.kuberay import GATEWAY_PORT, GATEWAY_SERVICES
from fairlead.render.files import Document


def secret_keys(rendering: Rendering, name: str, namespace: str) -> set[str] | None:
    """The keys of a Secret that External Secrets or cert-manager makes; None where nobody makes it."""
    for document in rendering.of_kind("ExternalSecret"):
        target = dig(document.object, "spec", "target", "name") or dig(document.object, "metadata", "name")
        if target == name and _namespace(document.object) == namespace:
            return {entry.get("secretKey", "") for entry in listed(document.object, "spec", "data")}
    for document in rendering.of_kind("Certificate"):
        if dig(document.object, "spec", "secretName") == name and _namespace(document.object) == namespace:
            return {"tls.crt", "tls.key", "ca.crt"}
    return None


def service_ports(rendering: Rendering, name: str) -> set[int] | None:
    """The ports of a Service, rendered or made by an operator; None where there is none of that name."""
    document = rendering.find("Service", name)
    if document is not None:
        return {port["port"] for port in listed(document.object, "spec", "ports") if "port" in port}
    made = dict(operator_services(rendering))
    return made.get(name)


def operator_services(rendering: Rendering) -> Iterator[tuple[str, set[int]]]:
    """Services of KubeRay (common/service.go: NAME-serve-svc, NAME-head-svc) and KServe (NAME-predictor, NAME)."""
    for document in rendering.of_kind("RayService"):
        yield f"{_name(document)}-serve-svc", {8000}
        yield f"{_name(document)}-head-svc", {6379, 8265, 10001, 8000, 8080}
    for document in rendering.of_kind("RayCluster"):
        yield f"{_name(document)}-head-svc", {6379, 8265, 10001, 8000, 8080}
    for document in rendering.of_kind("InferenceService"):
        for part in ("predictor", "transformer"):
            if part in document.object["spec"]:
                yield f"{_name(document)}-{part}", {80}
    here = names.namespace(rendering.build.spec)
    for document in rendering.of_kind("Gateway"):
        if _namespace(document.object) == here:  # proxies of Istio: NAME-CLASS (istio.io, Gateway API, deployment)
            ports = {listener["port"] for listener in listed(document.object, "spec", "listeners")}
            yield f"{_name(document)}-{dig(document.object, 'spec', 'gatewayClassName')}", ports
    for document in rendering.of_kind("LLMInferenceService"):
        yield f"{_name(document)}-kserve-workload-svc", {8000}
    yield from gateway_services(rendering)


def gateway_services(rendering: Rendering) -> Iterator[tuple[str, set[int]]]:
    """Services of the Gateways that are rendered, and of those that KubeRay makes while a cluster is renewed."""
    for document in rendering.of_kind("Gateway"):
        ports = {listener.get("port", 0) for listener in listed(document.object, "spec", "listeners")}
        kind = dig(document.object, "spec", "gatewayClassName")
        if kind in GATEWAY_SERVICES:
            yield GATEWAY_SERVICES[kind].format(_name(document)), ports
    for document in rendering.of_kind("RayService"):
        kind = dig(document.object, "spec", "upgradeStrategy", "clusterUpgradeOptions", "gatewayClassName")
        if kind in GATEWAY_SERVICES:
            yield GATEWAY_SERVICES[kind].format(f"{_name(document)}-gateway"), {GATEWAY_PORT}


def _name(document: Document) -> str:
    return str(dig(document.object, "metadata", "name") or "")


def _namespace(item: Object) -> str:
    return str(dig(item, "metadata", "namespace") or "")
