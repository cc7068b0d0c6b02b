"""Kubernetes objects that contradict themselves: refused, never scaled, never drained, killed while they load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder, hit, value_hit
from fairlead.lint.quantity import amount
from fairlead.lint.rule import Check, facts
from fairlead.lint.served import servers
from fairlead.lint.tree import Document, Map, as_map, dig, maps, walk

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
WITHOUT_SCALE = {"RayService", "RayCluster", "RayJob", "InferenceService", "DaemonSet", "Job"}
LOADING_S = 180  # seconds before a liveness probe may end a server that loads a model


def selector_mismatch(folder: Folder) -> Iterator[Hit]:
    """K8S-01: a workload whose selector does not match its own pods."""
    for document in folder.objects(*WORKLOADS):
        selector = as_map(dig(document.root, "spec", "selector", "matchLabels"))
        labels = dig(document.root, "spec", "template", "metadata", "labels")
        if isinstance(labels, Map):
            for key, value in selector.items():
                if str(labels.get(key)) != str(value):
                    yield hit(
                        document, selector, key, f"the pods have {key}={labels.get(key)}: selector does not match"
                    )


def autoscaler_target(folder: Folder) -> Iterator[Hit]:
    """K8S-02: an autoscaler with its bounds reversed, or of a kind that cannot be scaled."""
    for document in folder.objects("HorizontalPodAutoscaler", "ScaledObject"):
        spec = as_map(document.root.get("spec"))
        low = amount(spec.get("minReplicas", spec.get("minReplicaCount")))
        high = amount(spec.get("maxReplicas", spec.get("maxReplicaCount")))
        if low is not None and high is not None and low > high:
            key = "minReplicas" if "minReplicas" in spec else "minReplicaCount"
            yield hit(document, spec, key, f"a minimum of {low:g} above a maximum of {high:g}")
        target = as_map(spec.get("scaleTargetRef"))
        if target.get("kind") in WITHOUT_SCALE:
            yield value_hit(document, target, "kind", f"{target['kind']} has no scale subresource: it is never scaled")


def gpu_request(folder: Folder) -> Iterator[Hit]:
    """K8S-03: GPUs requested without the same limit."""
    for document, container in folder.containers:
        requests, limits = (as_map(dig(container, "resources", part)) for part in ("requests", "limits"))
        for key in requests:
            wanted = amount(requests[key])
            if key.endswith("/gpu") and wanted and wanted != amount(limits.get(key)):
                message = f"{key}: {requests[key]} requested, limit {limits.get(key, 'missing')}: they must be equal"
                yield hit(document, requests, key, message)


def request_above_limit(folder: Folder) -> Iterator[Hit]:
    """K8S-04: a request above its limit."""
    for document, container in folder.containers:
        requests, limits = (as_map(dig(container, "resources", part)) for part in ("requests", "limits"))
        for key in requests:
            wanted, most = amount(requests[key]), amount(limits.get(key))
            if wanted is not None and most is not None and wanted > most and not key.endswith("/gpu"):
                yield hit(document, requests, key, f"{key} {requests[key]} requested above the limit of {limits[key]}")


def dead_api(folder: Folder) -> Iterator[Hit]:
    """K8S-05: a version that no supported Kubernetes serves."""
    gone = facts("apis.toml")
    for document in folder.objects():
        version, kind = document.root["apiVersion"], document.root["kind"]
        entry = gone.get(version, {})
        new = entry.get(kind) or entry.get("*")
        if new:
            yield value_hit(document, document.root, "apiVersion", f"{version} {kind} is not served: {new}")


def impatient_probe(folder: Folder) -> Iterator[Hit]:
    """K8S-06: a liveness probe that ends the server while it loads the model."""
    for document, _ in servers(folder):
        container = as_map(document.holder)
        probe = container.get("livenessProbe")
        if not isinstance(probe, Map) or "startupProbe" in container:
            continue
        tries = (amount(probe.get("failureThreshold")) or 3) * (amount(probe.get("periodSeconds")) or 10)
        wait = (amount(probe.get("initialDelaySeconds")) or 0) + tries
        if wait < LOADING_S:
            message = f"no startupProbe, and the liveness probe gives up after {wait:g} s: a model loads for longer"
            yield hit(document, container, "livenessProbe", message)


def job_restart_policy(folder: Folder) -> Iterator[Hit]:
    """K8S-07: a Job without the restart policy that Jobs need."""
    for document in folder.objects("Job", "CronJob"):
        path = ("spec", "jobTemplate", "spec") if document.root["kind"] == "CronJob" else ("spec",)
        pod = dig(document.root, *path, "template", "spec")
        if isinstance(pod, Map) and pod.get("containers"):
            policy = pod.get("restartPolicy", "Always")
            if policy not in ("OnFailure", "Never"):
                key = "restartPolicy" if "restartPolicy" in pod else "containers"
                yield hit(document, pod, key, f"restartPolicy {policy}: a Job takes OnFailure or Never")


def disruption_budget(folder: Folder) -> Iterator[Hit]:
    """K8S-08: a disruption budget that lets no node be drained."""
    workloads = {_labels_key(each): each for each in folder.objects("Deployment", "StatefulSet")}
    for document in folder.objects("PodDisruptionBudget"):
        spec = as_map(document.root.get("spec"))
        if str(spec.get("maxUnavailable")) in ("0", "0%") or str(spec.get("minAvailable")) == "100%":
            key = "maxUnavailable" if "maxUnavailable" in spec else "minAvailable"
            yield hit(document, spec, key, "no pod may ever be evicted: nodes cannot be drained")
        labels = tuple(sorted(as_map(dig(spec, "selector", "matchLabels")).items()))
        workload = workloads.get(labels)
        replicas = amount(dig(workload.root, "spec", "replicas")) if workload else None
        least = spec.get("minAvailable")
        if isinstance(least, int) and replicas is not None and least >= replicas > 0:
            message = f"minAvailable {least} of {replicas:g} replicas: nodes cannot be drained"
            yield hit(document, spec, "minAvailable", message)


def repeated_keys(folder: Folder) -> Iterator[Hit]:
    """K8S-09: a key twice in one mapping of an object."""
    for document in folder.objects():
        for node in walk(document.root):
            for key, place in node.repeated if isinstance(node, Map) else ():
                yield Hit(document.file, *place, f"`{key}` stands twice in this mapping: the first is lost")


def mount_without_volume(folder: Folder) -> Iterator[Hit]:
    """K8S-10: a mount of a volume that the pod does not have."""
    for document, pod in folder.pods():
        if not document.api.startswith(("apps/", "batch/", "v1/Pod")) or document.excerpt:
            continue
        volumes = {volume.get("name") for volume in maps(pod.get("volumes"))}
        claims = {dig(each, "metadata", "name") for each in maps(dig(document.root, "spec", "volumeClaimTemplates"))}
        for container in [*maps(pod.get("containers")), *maps(pod.get("initContainers"))]:
            for mount in maps(container.get("volumeMounts")):
                name = mount.get("name")
                if isinstance(name, str) and name not in volumes | claims:
                    yield value_hit(document, mount, "name", f"the pod has no volume {name}")


def _labels_key(document: Document) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(as_map(dig(document.root, "spec", "selector", "matchLabels")).items()))


CHECKS: Mapping[str, Check] = {
    "K8S-01": selector_mismatch,
    "K8S-02": autoscaler_target,
    "K8S-03": gpu_request,
    "K8S-04": request_above_limit,
    "K8S-05": dead_api,
    "K8S-06": impatient_probe,
    "K8S-07": job_restart_policy,
    "K8S-08": disruption_budget,
    "K8S-09": repeated_keys,
    "K8S-10": mount_without_volume,
}
