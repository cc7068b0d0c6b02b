"""Planted mistakes: each is caught by the check that is for it; and nothing is found where none was planted."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.render.checks.registry import CHECKS, problems
from fairlead.render.files import Document, Files
from fairlead.render.targets import rendered

from .engines.test_mistakes import ENGINE_CHECKS
from .plans import built

BUILD = built()
GOOD = rendered(BUILD)
Plant = Callable[[Any], None]
Steps = tuple[str | int, ...]


def found(documents: list[Document]) -> list[str]:
    """The names of the checks that have something against these documents."""
    told = [problem.message for problem in problems(BUILD, Files(tuple(documents), GOOD.whole))]
    return [message.rpartition("[")[2].rstrip("]") for message in told]


def planted(title: str, plant: Plant) -> list[Document]:
    """The good documents with one of them changed in place; `title` is Kind/name."""
    documents = [Document(each.path, copy.deepcopy(each.object)) for each in GOOD.documents]
    [target] = [each for each in documents if each.title == title]
    plant(target.object)
    return documents


def put(*steps: str | int, to: object) -> Plant:
    """Set what stands at a path."""

    def plant(item: Any) -> None:
        for step in steps[:-1]:
            item = item[step]
        item[steps[-1]] = to

    return plant


def drop(*steps: str | int) -> Plant:
    """Take away what stands at a path."""

    def plant(item: Any) -> None:
        for step in steps[:-1]:
            item = item[step]
        del item[steps[-1]]

    return plant


def both(*plants: Plant) -> Plant:
    def plant(item: Any) -> None:
        for each in plants:
            each(item)

    return plant


GATEWAY, ENGINE = "Deployment/chat-gateway", "Deployment/chat-llama-8b"
CONFIG, SERVICE, SCALED = "ConfigMap/chat-gateway-config", "Service/chat-gateway", "ScaledObject/chat-llama-8b"
ROUTE, DOOR, HPA, PDB = (
    "HTTPRoute/chat-gateway",
    "Gateway/chat",
    "HorizontalPodAutoscaler/chat-gateway",
    "PodDisruptionBudget/chat-gateway",
)
POD: Steps = ("spec", "template", "spec")
ONE: Steps = (*POD, "containers", 0)
ENV: Steps = (*ONE, "env", 0, "valueFrom", "secretKeyRef")
NIGHT = "CronJob/chat-batch-nightly"
NIGHT_POD: Steps = ("spec", "jobTemplate", "spec", "template", "spec")
NIGHT_ONE: Steps = (*NIGHT_POD, "containers", 0)
RULE: Steps = ("spec", "rules", 0)
STRANGER: dict[str, Any] = {"namespaceSelector": {}}

MISTAKES: dict[str, tuple[str, str, Plant]] = {
    "a name with an underscore": ("name", SERVICE, put("metadata", "name", to="chat_gateway")),
    "a name that is too long for a label": ("name", SERVICE, put("metadata", "name", to="x" * 64)),
    "two objects with one name": ("defined-twice", PDB, both(put("kind", to="Service"))),
    "an object without its namespace": ("namespace", SERVICE, drop("metadata", "namespace")),
    "a label with a slash in its value": ("label", SERVICE, put("metadata", "labels", "team", to="a/b")),
    "an object that nobody asked for": ("origin", SERVICE, drop("metadata", "annotations")),
    "a ConfigMap by a wrong name": (
        "config-map",
        GATEWAY,
        put(*POD, "volumes", 0, "configMap", "name", to="chat-config"),
    ),
    "a key that the ConfigMap lacks": (
        "config-map",
        GATEWAY,
        put(*POD, "volumes", 0, "configMap", "items", to=[{"key": "gateway.yaml", "path": "x"}]),
    ),
    "a file that is not in the mounted ConfigMap": (
        "mounted-file",
        GATEWAY,
        put(*ONE, "command", 3, to="/etc/fairlead/gateway.yaml"),
    ),
    "a renamed key of the ConfigMap": ("mounted-file", CONFIG, put("data", to={"config.json": "{}"})),
    "a Secret that nothing makes": ("secret-reference", GATEWAY, put(*ENV, "name", to="chat-secrets")),
    "a key that the Secret lacks": ("secret-reference", GATEWAY, put(*ENV, "key", to="DATABASE")),
    "a secret that is no longer copied": (
        "secret-reference",
        "ExternalSecret/chat-gateway-secrets",
        drop("spec", "data", 0),
    ),
    "an account that is not there": ("account", GATEWAY, put(*POD, "serviceAccountName", to="chat")),
    "a priority class that is not there": ("account", GATEWAY, put(*POD, "priorityClassName", to="chat-high")),
    "a claim that is not there": (
        "claim",
        GATEWAY,
        put(*POD, "volumes", 1, to={"name": "state", "persistentVolumeClaim": {"claimName": "state"}}),
    ),
    "a volume for one node and several pods": (
        "claim",
        "PersistentVolumeClaim/chat-models",
        put("spec", "accessModes", to=["ReadWriteOnce"]),
    ),
    "a mount without a volume": ("volume", GATEWAY, put(*ONE, "volumeMounts", 0, "name", to="conf")),
    "a volume that nobody mounts": ("volume", GATEWAY, drop(*ONE, "volumeMounts", 2)),
    "two volumes at one path": ("volume", GATEWAY, put(*ONE, "volumeMounts", 2, "mountPath", to="/var/lib/fairlead")),
    "a probe of a port that is not there": (
        "probe-port",
        GATEWAY,
        put(*ONE, "livenessProbe", "httpGet", "port", to="admin"),
    ),
    "a Service with a wrong selector": (
        "service",
        SERVICE,
        put("spec", "selector", "app.kubernetes.io/component", to="gatway"),
    ),
    "a Service to a port that no pod has": ("service", SERVICE, put("spec", "ports", 0, "targetPort", to="web")),
    "an upstream Service by another name": (
        "upstream",
        "Service/chat-llama-8b",
        put("metadata", "name", to="chat-llama"),
    ),
    "an upstream Service at another port": (
        "upstream",
        "Service/chat-llama-8b",
        put("spec", "ports", 0, "port", to=80),
    ),
    "a route to a Service that is not there": ("route", ROUTE, put(*RULE, "backendRefs", 0, "name", to="gateway")),
    "a route to a port that is not there": ("route", ROUTE, put(*RULE, "backendRefs", 0, "port", to=80)),
    "a route at no Gateway": ("route", ROUTE, put("spec", "parentRefs", 0, "name", to="public")),
    "a route at no listener": ("route", ROUTE, put("spec", "parentRefs", 0, "sectionName", to="tls")),
    "a route for another host": ("route", ROUTE, put("spec", "hostnames", to=["other.example.com"])),
    "a listener that takes no routes of ours": (
        "route",
        DOOR,
        put("spec", "listeners", 0, "allowedRoutes", to={"namespaces": {"from": "Same"}}),
    ),
    "a route that gives up before the gateway": ("route-timeout", ROUTE, put(*RULE, "timeouts", "request", to="60s")),
    "a certificate that nobody issues": (
        "certificate",
        DOOR,
        put("spec", "listeners", 0, "tls", "certificateRefs", 0, "name", to="tls"),
    ),
    "a certificate for another name": (
        "certificate",
        "Certificate/chat-tls",
        put("spec", "dnsNames", to=["x.example.com"]),
    ),
    "a pool that is not there": ("pool", ENGINE, put(*POD, "nodeSelector", "fairlead.dev/pool", to="l40")),
    "GPUs on whatever node there is": ("pool", ENGINE, drop(*POD, "nodeSelector", "fairlead.dev/pool")),
    "more GPUs than a node has": (
        "pool",
        ENGINE,
        both(*(put(*ONE, "resources", part, "nvidia.com/gpu", to="8") for part in ("requests", "limits"))),
    ),
    "a GPU pool's taint that is not tolerated": ("taint", ENGINE, put(*POD, "tolerations", to=[])),
    "a mistyped toleration": (
        "taint",
        GATEWAY,
        put(*POD, "tolerations", to=[{"key": "nvidia.com/gpus", "operator": "Exists"}]),
    ),
    "a GPU request without its limit": ("gpu-limit", ENGINE, drop(*ONE, "resources", "limits", "nvidia.com/gpu")),
    "a limit that leaves memory out": ("gpu-limit", ENGINE, drop(*ONE, "resources", "limits", "memory")),
    "shared memory as large as the limit": (
        "memory-volume",
        ENGINE,
        put(*ONE, "resources", "limits", "memory", to="1Gi"),
    ),
    "a pod larger than its node": ("pending", ENGINE, put(*ONE, "resources", "requests", "memory", to="31Gi")),
    "more cores than a node has": ("pending", GATEWAY, put(*ONE, "resources", "requests", "cpu", to="4")),
    "more replicas than the pool has GPUs": ("pending", SCALED, put("spec", "maxReplicaCount", to=9)),
    "a password in clear": ("secret-in-clear", GATEWAY, put(*ONE, "env", 0, to={"name": "DB_PASSWORD", "value": "x"})),
    "a URL with a password": (
        "secret-in-clear",
        GATEWAY,
        put(*ONE, "env", 0, to={"name": "URL", "value": "postgresql://me:secret@db/x"}),
    ),
    "a Secret in clear": ("secret-in-clear", PDB, put("kind", to="Secret")),
    "a hub token in an argument": ("secret-in-clear", ENGINE, put(*ONE, "args", 0, to="hf_" + "a1B2" * 8)),
    "a container that may gain privileges": (
        "restricted",
        GATEWAY,
        put(*ONE, "securityContext", "allowPrivilegeEscalation", to=True),
    ),
    "a folder of the node": (
        "restricted",
        GATEWAY,
        put(*POD, "volumes", 2, to={"name": "tmp", "hostPath": {"path": "/"}}),
    ),
    "the node's network": ("restricted", GATEWAY, put(*POD, "hostNetwork", to=True)),
    "a pod as root": ("restricted", GATEWAY, put(*POD, "securityContext", "runAsUser", to=0)),
    "capabilities that are kept": ("restricted", GATEWAY, drop(*ONE, "securityContext", "capabilities")),
    "an image that may change": ("image", GATEWAY, put(*ONE, "image", to="ghcr.io/example/gateway:latest")),
    "an image without a version": ("image", GATEWAY, put(*ONE, "image", to="localhost:5000/gateway")),
    "no default deny": ("default-deny", "NetworkPolicy/chat-default-deny", put("spec", "policyTypes", to=["Ingress"])),
    "blocked DNS": (
        "flow-blocked",
        "NetworkPolicy/chat-dns-gateway-egress",
        put("spec", "egress", 0, "ports", to=[{"protocol": "TCP", "port": 53}]),
    ),
    "a database that cannot be reached": (
        "flow-blocked",
        "NetworkPolicy/chat-postgres-10-0-0-0-8-egress",
        put("spec", "egress", 0, "to", 0, "ipBlock", "cidr", to="10.9.0.0/16"),
    ),
    "engines that do not let the gateway in": (
        "flow-blocked",
        "NetworkPolicy/chat-requests-ingress",
        put("spec", "ingress", 0, "from", 0, "podSelector", "matchLabels", "app.kubernetes.io/component", to="front"),
    ),
    "a port that everybody may use": (
        "flow-open",
        "NetworkPolicy/chat-callers-ingress",
        put("spec", "ingress", 0, "from", to=[STRANGER]),
    ),
    "engines open to all pods": (
        "flow-open",
        "NetworkPolicy/chat-requests-ingress",
        put("spec", "ingress", 0, "from", to=[]),
    ),
    "the whole internet at every port": (
        "flow-open",
        "NetworkPolicy/chat-gateway-out-egress",
        drop("spec", "egress", 0, "ports"),
    ),
    "the metadata server among the internet": (
        "flow-open",
        "NetworkPolicy/chat-gateway-out-egress",
        drop("spec", "egress", 0, "to", 0, "ipBlock", "except"),
    ),
    "a policy for no pods": (
        "policy-selector",
        "NetworkPolicy/chat-callers-ingress",
        put("spec", "podSelector", "matchLabels", "app.kubernetes.io/component", to="gw"),
    ),
    "an autoscaler of nothing": ("scale-target", SCALED, put("spec", "scaleTargetRef", "name", to="llama-8b")),
    "an autoscaler of what has no scale": (
        "scale-target",
        SCALED,
        put("spec", "scaleTargetRef", "kind", to="RayService"),
    ),
    "two who set replicas": ("scale-target", GATEWAY, put("spec", "replicas", to=2)),
    "two autoscalers of one": ("scale-target", HPA, put("spec", "scaleTargetRef", "name", to="chat-llama-8b")),
    "a metric that was renamed": (
        "metric",
        SCALED,
        put("spec", "triggers", 0, "metadata", "query", to="sum(vllm:num_requests_swapped)"),
    ),
    "a metric of the other dialect": (
        "metric",
        SCALED,
        put("spec", "triggers", 0, "metadata", "query", to="sum(ray_vllm_num_requests_running)"),
    ),
    "a minimum above the maximum": ("scale-bounds", HPA, put("spec", "minReplicas", to=9)),
    "a schedule above the maximum": (
        "scale-bounds",
        SCALED,
        put("spec", "triggers", 1, "metadata", "desiredReplicas", to="50"),
    ),
    "a schedule at another time": (
        "schedule",
        SCALED,
        put("spec", "triggers", 1, "metadata", "end", to="0 21 * * 1-5"),
    ),
    "a timezone that is none": (
        "scale-bounds",
        SCALED,
        put("spec", "triggers", 1, "metadata", "timezone", to="Europe/Bonn"),
    ),
    "a budget that lets no pod go": ("disruption", PDB, put("spec", "maxUnavailable", to=0)),
    "a budget for no pods": ("disruption", PDB, put("spec", "selector", "matchLabels", to={"app": "gateway"})),
    "a selector that does not match its pods": (
        "selector",
        GATEWAY,
        put("spec", "selector", "matchLabels", to={"app": "gateway"}),
    ),
    "a batch at no time": ("job", NIGHT, put("spec", "schedule", to="every night")),
    "a batch in an unknown timezone": ("job", NIGHT, put("spec", "timeZone", to="Europe/Bonn")),
    "a batch that asks nobody": ("job", NIGHT, put(*NIGHT_ONE, "args", 6, to="--url=http://chat.chat.svc:8080")),
    "a batch that asks at another port": (
        "job",
        NIGHT,
        put(*NIGHT_ONE, "args", 6, to="--url=http://chat-gateway.chat.svc:8081"),
    ),
    "all runs to one output": ("job", NIGHT, put(*NIGHT_ONE, "args", 3, to="s3://answers/nightly.jsonl")),
    "a second try that stumbles over the first": ("job", NIGHT, drop(*NIGHT_ONE, "args", 5)),
    "a batch of nothing": ("job", NIGHT, put(*NIGHT_ONE, "args", to=["batch", "run"])),
    "an API key that the Secret lacks": (
        "secret-reference",
        NIGHT,
        put(*NIGHT_ONE, "env", 0, "valueFrom", "secretKeyRef", "key", to="NIGHTLY_KEY"),
    ),
    "an API key that is no longer copied": (
        "secret-reference",
        "ExternalSecret/chat-batch-secrets",
        drop("spec", "data", 0),
    ),
    "a batch in a pool that is not there": (
        "pool",
        NIGHT,
        put(*NIGHT_POD, "nodeSelector", "fairlead.dev/pool", to="x"),
    ),
    "a batch among GPUs": ("taint", NIGHT, put(*NIGHT_POD, "nodeSelector", "fairlead.dev/pool", to="l4")),
    "a batch larger than its node": ("pending", NIGHT, put(*NIGHT_ONE, "resources", "requests", "memory", to="31Gi")),
    "a batch that may gain privileges": (
        "restricted",
        NIGHT,
        put(*NIGHT_ONE, "securityContext", "allowPrivilegeEscalation", to=True),
    ),
    "a gateway that lets no batch in": (
        "flow-blocked",
        "NetworkPolicy/chat-batch-ingress",
        put("spec", "ingress", 0, "from", 0, "podSelector", "matchLabels", "app.kubernetes.io/component", to="night"),
    ),
    "rows out of a batch's reach": (
        "flow-blocked",
        "NetworkPolicy/chat-batch-rows-egress",
        put("spec", "egress", 0, "ports", 0, "port", to=80),
    ),
    "credentials out of a batch's reach": (
        "flow-blocked",
        "NetworkPolicy/chat-credentials-batch-80-egress",
        put("spec", "egress", 0, "to", 0, "ipBlock", "cidr", to="169.254.170.24/32"),
    ),
    "a batch that may go anywhere": (
        "flow-open",
        "NetworkPolicy/chat-batch-rows-egress",
        put("spec", "egress", to=[{}]),
    ),
    "a pod that is killed while it drains": ("grace", GATEWAY, put(*POD, "terminationGracePeriodSeconds", to=30)),
}


def test_nothing_is_found_where_nothing_was_planted() -> None:
    assert problems(BUILD, GOOD) == []


@pytest.mark.parametrize(("check", "title", "plant"), MISTAKES.values(), ids=MISTAKES)
def test_a_planted_mistake_is_caught(check: str, title: str, plant: Plant) -> None:
    assert check in found(planted(title, plant))


def test_every_check_has_a_mistake_that_only_it_is_for() -> None:
    elsewhere = {*ENGINE_CHECKS}  # checks whose mistakes are planted beside the renderers that they are for
    assert CHECKS.keys() - {check for check, _, _ in MISTAKES.values()} <= elsewhere


def test_a_check_names_the_line_that_asked_for_the_object() -> None:
    documents = planted(SERVICE, put("spec", "ports", 0, "targetPort", to="web"))
    [problem] = problems(BUILD, Files(tuple(documents), {}), lambda origin: f"fairlead.yaml:{len(origin)}")
    assert problem.where == f"fairlead.yaml:{len('gateway')}"
    assert problem.subject == "manifests/gateway.yaml Service/chat-gateway"
    assert problem.hint


def test_an_object_of_two_renderers_is_found_once() -> None:
    twice = [*GOOD.documents, GOOD.documents[0]]
    assert found(list(twice)) == ["defined-twice"]
