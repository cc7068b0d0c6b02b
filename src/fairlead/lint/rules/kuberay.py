"""KubeRay's own validation, which no schema shows: the object is accepted, and the operator does nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder, hit, value_hit
from fairlead.lint.quantity import amount
from fairlead.lint.rule import Check
from fairlead.lint.tree import Document, Map, as_map, dig, maps

LONGEST = {"RayCluster": 53, "RayService": 47, "RayJob": 47}
LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")  # DNS-1035
UPGRADES = ("NewClusterWithIncrementalUpgrade", "NewCluster", "None")
START_RESOURCES = ("num-cpus", "num-gpus", "memory", "resources")
FT_ANNOTATION = "ray.io/ft-enabled"
AUTOSCALER_V2 = "RAY_enable_autoscaler_v2"


def bad_name(folder: Folder) -> Iterator[Hit]:
    """RAY-10: a name that is too long for the Services made of it, or no DNS-1035 label."""
    for document in folder.objects(*LONGEST):
        metadata = as_map(document.root.get("metadata"))
        name = metadata.get("name")
        longest = LONGEST[document.root["kind"]]
        if isinstance(name, str) and "{{" not in name and "$" not in name:
            if len(name) > longest:
                yield value_hit(document, metadata, "name", f"{len(name)} characters; KubeRay takes {longest}")
            elif not LABEL.match(name):
                yield value_hit(
                    document, metadata, "name", f"{name!r} is no DNS-1035 label: a-z first, then a-z, 0-9, -"
                )


def resources_twice(folder: Folder) -> Iterator[Hit]:
    """RAY-11: resources of a group said in two places, or labels where they are not read."""
    for document, group in _groups(folder):
        params, resources = as_map(group.get("rayStartParams")), group.get("resources")
        both = [key for key in START_RESOURCES if params.get(key)]
        if both and isinstance(resources, Map) and resources:
            yield hit(document, group, "resources", f"`resources` beside rayStartParams {', '.join(both)}: refused")
        if "labels" in params:
            yield hit(document, params, "labels", "rayStartParams.labels is refused: use the group's `labels`")


def no_container(folder: Folder) -> Iterator[Hit]:
    """RAY-12: a group without a container."""
    for document, group in _groups(folder):
        template = as_map(group.get("template"))
        if "spec" in template and not dig(template, "spec", "containers") and not document.excerpt:
            yield hit(document, template, "spec", "a group needs at least one container")


def fault_tolerance_twice(folder: Folder) -> Iterator[Hit]:
    """RAY-13: GCS fault tolerance said in the old and in the new way."""
    for document, cluster in _clusters(folder):
        options = "gcsFaultToleranceOptions" in cluster
        annotations = as_map(dig(document.root, "metadata", "annotations"))
        old = bool(annotations.get(FT_ANNOTATION))
        head = as_map(cluster.get("headGroupSpec"))
        env = _env(head)
        if options and old:
            message = "the annotation beside gcsFaultToleranceOptions: refused"
            yield hit(document, annotations, FT_ANNOTATION, message)
        for name in ("RAY_REDIS_ADDRESS", "REDIS_PASSWORD"):
            if name in env and options:
                yield hit(document, env[name], "name", f"{name} beside gcsFaultToleranceOptions: refused")
        if "RAY_REDIS_ADDRESS" in env and not options and annotations.get(FT_ANNOTATION) != "true":
            yield hit(document, env["RAY_REDIS_ADDRESS"], "name", "RAY_REDIS_ADDRESS without gcsFaultToleranceOptions")
        if options and "redis-password" in as_map(head.get("rayStartParams")):
            message = "redis-password beside gcsFaultToleranceOptions: refused"
            yield hit(document, as_map(head.get("rayStartParams")), "redis-password", message)


def bad_upgrade(folder: Folder) -> Iterator[Hit]:
    """RAY-14: an upgrade strategy that does not exist, or an incremental one without what it needs."""
    for document in folder.objects("RayService"):
        spec = as_map(document.root.get("spec"))
        strategy = as_map(spec.get("upgradeStrategy"))
        kind = strategy.get("type")
        if isinstance(kind, str) and kind not in UPGRADES:
            yield value_hit(document, strategy, "type", f"upgrade strategy {kind!r}; there are {', '.join(UPGRADES)}")
        if kind != UPGRADES[0]:
            continue
        if not dig(spec, "rayClusterConfig", "enableInTreeAutoscaling"):
            yield value_hit(document, strategy, "type", "an incremental upgrade needs enableInTreeAutoscaling: true")
        options = as_map(strategy.get("clusterUpgradeOptions"))
        missing = [key for key in ("gatewayClassName", "stepSizePercent", "intervalSeconds") if key not in options]
        if missing:
            yield value_hit(document, strategy, "type", f"an incremental upgrade needs {', '.join(missing)}")


def autoscaler_v2(folder: Folder) -> Iterator[Hit]:
    """RAY-15: autoscaler v2 with pods that restart, or without autoscaling."""
    for document, cluster in _clusters(folder):
        autoscaled = cluster.get("enableInTreeAutoscaling") is True
        env = _env(as_map(cluster.get("headGroupSpec")))
        wanted = dig(cluster, "autoscalerOptions", "version") == "v2"
        variable = env.get(AUTOSCALER_V2)
        if variable is not None and str(variable.get("value")) in ("1", "true"):
            wanted = wanted or autoscaled
            if not autoscaled:
                yield hit(document, variable, "name", f"{AUTOSCALER_V2} without enableInTreeAutoscaling: refused")
        if not (wanted and autoscaled):
            continue
        for group in [as_map(cluster.get("headGroupSpec")), *maps(cluster.get("workerGroupSpecs"))]:
            pod = as_map(dig(group, "template", "spec"))
            if pod.get("restartPolicy", "Never") != "Never":
                yield value_hit(document, pod, "restartPolicy", "autoscaler v2 takes restartPolicy Never only")


def job_contradictions(folder: Folder) -> Iterator[Hit]:
    """RAY-16: a RayJob that the operator refuses."""
    for document in folder.objects("RayJob"):
        spec = as_map(document.root.get("spec"))
        ends = spec.get("shutdownAfterJobFinishes") is True
        if (amount(spec.get("ttlSecondsAfterFinished")) or 0) > 0 and not ends:
            message = "ttlSecondsAfterFinished without shutdownAfterJobFinishes: refused"
            yield hit(document, spec, "ttlSecondsAfterFinished", message)
        if spec.get("suspend") is True and not ends:
            yield hit(document, spec, "suspend", "suspend without shutdownAfterJobFinishes: refused")
        if spec and "rayClusterSpec" not in spec and "clusterSelector" not in spec and not document.excerpt:
            yield hit(document, document.root, "spec", "neither rayClusterSpec nor clusterSelector: refused")


def head_service_name(folder: Folder) -> Iterator[Hit]:
    """RAY-17: a name for the head's Service, which a RayService must not give."""
    for document in folder.objects("RayService"):
        metadata = dig(document.root, "spec", "rayClusterConfig", "headGroupSpec", "headService", "metadata")
        if isinstance(metadata, Map) and metadata.get("name"):
            yield hit(document, metadata, "name", "a RayService must not name its head's Service: refused")


def _clusters(folder: Folder) -> Iterator[tuple[Document, Map]]:
    """The cluster part of every Ray object."""
    for document in folder.objects("RayCluster", "RayService", "RayJob"):
        spec = as_map(document.root.get("spec"))
        key = {"RayService": "rayClusterConfig", "RayJob": "rayClusterSpec"}.get(document.root["kind"])
        cluster = as_map(spec.get(key)) if key else spec
        if cluster:
            yield document, cluster


def _groups(folder: Folder) -> Iterator[tuple[Document, Map]]:
    for document, cluster in _clusters(folder):
        for group in [as_map(cluster.get("headGroupSpec")), *maps(cluster.get("workerGroupSpecs"))]:
            yield document, group


def _env(group: Map) -> dict[str, Map]:
    listed = dig(group, "template", "spec", "containers", 0, "env")
    return {str(entry.get("name")): entry for entry in maps(listed)}


CHECKS: Mapping[str, Check] = {
    "RAY-10": bad_name,
    "RAY-11": resources_twice,
    "RAY-12": no_container,
    "RAY-13": fault_tolerance_twice,
    "RAY-14": bad_upgrade,
    "RAY-15": autoscaler_v2,
    "RAY-16": job_contradictions,
    "RAY-17": head_service_name,
}
