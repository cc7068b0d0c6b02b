"""Ray and KubeRay: keys that nothing reads, resources that can never be placed, and what the operator refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder, hit, replace, value_hit
from fairlead.lint.quantity import amount, gib
from fairlead.lint.rule import Check
from fairlead.lint.tree import Document, Map, as_map, dig, maps

MOST_OF_REQUEST = 0.7  # of a container's memory for the object store: Ray's own default is 0.3
OBSOLETE_ENV = {
    "RAY_SERVE_ENABLE_EXPERIMENTAL_STREAMING": "streaming is always on since Ray 2.7",
    "RAY_SERVE_REQUEST_PROCESSING_TIMEOUT_S": "Serve reads `http_options.request_timeout_s`",
}


def group_without_name(folder: Folder) -> Iterator[Hit]:
    """D-02: `name` where the field is `groupName`."""
    for document, group in _worker_groups(folder):
        if "name" in group and "groupName" not in group:
            message = f"worker group {group['name']!r} is named by `name`: the field is `groupName`"
            yield hit(document, group, "name", message, edit=replace(group, "name", "groupName"))


def fictional_fields(folder: Folder) -> Iterator[Hit]:
    """D-03: the fields of a RayService that never existed, and the version that is gone."""
    for document in folder.objects("RayService", "RayCluster", "RayJob"):
        root = document.root
        if root.get("apiVersion") == "ray.io/v1alpha1":
            yield value_hit(document, root, "apiVersion", "ray.io/v1alpha1 is not served by KubeRay 1.x any more")
        spec = as_map(root.get("spec"))
        if "serveDeployments" in spec:
            yield hit(document, spec, "serveDeployments", "RayService has no field `serveDeployments`")
            for deployment in maps(spec["serveDeployments"]):
                for key in ("numReplicas", "containerConfig"):
                    if key in deployment:
                        yield hit(document, deployment, key, f"RayService has no field `{key}`")


def unused_thresholds(folder: Folder) -> Iterator[Hit]:
    """D-04: two thresholds that the operator stopped reading."""
    for document, holder, key in folder.having("serviceUnhealthySecondThreshold", "deploymentUnhealthySecondThreshold"):
        yield hit(document, holder, key, f"`{key}` is not read: raising it changes nothing")


def missing_config_file(folder: Folder) -> Iterator[Hit]:
    """D-10: an application reads a file that the mounted ConfigMap does not have."""
    for document in folder.objects("RayService"):
        mounted = _mounted_files(folder, document)
        if not mounted:
            continue
        for inner in folder.documents:
            if inner.role == "serve-config" and inner.file == document.file:
                for configs in _llm_configs(inner.root):
                    for index, item in enumerate(configs):
                        name = item.rpartition("/")[2] if isinstance(item, str) else ""
                        if name.endswith((".yaml", ".yml")) and name not in mounted:
                            have = ", ".join(sorted(mounted))
                            yield hit(inner, configs, index, f"{item} is not in the ConfigMap (it has {have})")


def object_store_too_large(folder: Folder) -> Iterator[Hit]:
    """D-11: an object store that does not fit the memory that the pod asked for."""
    for document, group in _groups(folder):
        params = as_map(group.get("rayStartParams"))
        store = amount(params.get("object-store-memory"))
        resources = _ray_container(group).get("resources")
        request = amount(dig(resources, "requests", "memory")) or amount(dig(resources, "limits", "memory"))
        if store is None or request is None or store <= MOST_OF_REQUEST * request:
            continue
        limit = amount(dig(resources, "limits", "memory")) or request
        if store > request:
            message = f"an object store of {gib(store)} in a pod that requests {gib(request)} (limit {gib(limit)})"
        else:
            left = f"{gib(request - store)} of the requested {gib(request)}"
            message = f"an object store of {gib(store)} leaves {left} for all else"
        yield hit(document, params, "object-store-memory", message)


def hand_made_placement(folder: Folder) -> Iterator[Hit]:
    """D-12: placing models by custom resources, and choosing GPUs by hand."""
    for document, holder, key in folder.having("ray_actor_options"):
        if "engine_kwargs" in holder or _is_llm_deployment(document):
            options = as_map(holder[key])
            if "resources" in options:
                names = ", ".join(as_map(options["resources"]))
                cpus = amount(options.get("num_cpus")) or 0
                also = f", with {cpus:g} CPUs beside the engine's own bundles" if cpus >= 2 else ""
                yield hit(document, options, "resources", f"the model is placed by the custom resource {names}{also}")
    for variable in folder.variables:
        if variable.name == "CUDA_VISIBLE_DEVICES" and "ray" in str(
            as_map(folder.container_of(variable.holder)).get("image")
        ):
            yield hit(
                variable.document, variable.holder, variable.key, "CUDA_VISIBLE_DEVICES is set by hand; Ray sets it"
            )


def renamed_autoscaling(folder: Folder) -> Iterator[Hit]:
    """D-18: the old name of the autoscaler's target."""
    old, new = "target_num_ongoing_requests_per_replica", "target_ongoing_requests"
    for document, holder, key in folder.having(old):
        message = f"`{old}` is ignored: the default of 2 requests a replica applies"
        yield hit(document, holder, key, message, edit=replace(holder, key, new))


def obsolete_variables(folder: Folder) -> Iterator[Hit]:
    """D-39: environment variables that Ray Serve does not read any more."""
    for variable in folder.variables:
        if variable.name in OBSOLETE_ENV:
            yield hit(
                variable.document,
                variable.holder,
                variable.key,
                f"{variable.name} has no effect: {OBSOLETE_ENV[variable.name]}",
            )


def _worker_groups(folder: Folder) -> Iterator[tuple[Document, Map]]:
    for document, holder, key in folder.having("workerGroupSpecs"):
        yield from ((document, group) for group in maps(holder[key]))


def _groups(folder: Folder) -> Iterator[tuple[Document, Map]]:
    """Head and worker groups."""
    yield from _worker_groups(folder)
    for document, holder, key in folder.having("headGroupSpec"):
        if isinstance(holder[key], Map):
            yield document, holder[key]


def _ray_container(group: Mapping[str, Any]) -> Map:
    return as_map(dig(group, "template", "spec", "containers", 0))


def _llm_configs(root: Any) -> Iterator[Any]:
    for application in maps(dig(root, "applications")):
        configs = dig(application, "args", "llm_configs")
        if isinstance(configs, list):
            yield configs


def _mounted_files(folder: Folder, service: Document) -> set[str]:
    """The keys of all ConfigMaps that a service's pods mount and that are in the set; none if one is missing."""
    known = {dig(each.root, "metadata", "name"): as_map(each.root.get("data")) for each in folder.objects("ConfigMap")}
    files: set[str] = set()
    for document, holder, key in folder.having("configMap"):
        if document is service:
            name = dig(holder[key], "name")
            if name not in known:
                return set()
            files |= set(known[name])
    return files


def _is_llm_deployment(document: Document) -> bool:
    return isinstance(document.root, Map) and "model_loading_config" in document.root


CHECKS: Mapping[str, Check] = {
    "D-02": group_without_name,
    "D-03": fictional_fields,
    "D-04": unused_thresholds,
    "D-10": missing_config_file,
    "D-11": object_store_too_large,
    "D-12": hand_made_placement,
    "D-18": renamed_autoscaling,
    "D-39": obsolete_variables,
}
