"""Ray Serve's configuration: keys that Ray drops in silence, values that it refuses, replicas that no node can take."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder, hit
from fairlead.lint.quantity import amount
from fairlead.lint.rule import Check, known_names
from fairlead.lint.tree import Document, Map, as_map, dig, maps

RENAMED = {"max_concurrent_queries": "max_ongoing_requests"}


def unknown_keys(folder: Folder) -> Iterator[Hit]:
    """RAY-01: a key that Ray does not have, at any level of a Serve configuration."""
    for document, part, names in _parts(folder):
        known = known_names()["ray"][names]
        for key in part:
            if key not in known:
                meant = RENAMED.get(key) or next(iter(difflib.get_close_matches(key, known, 1, 0.8)), "")
                fix = f"did you mean {meant}?" if meant else ""
                yield hit(document, part, key, f"Ray drops `{key}`: {names} has no such key", fix=fix)


def refused_llm_keys(folder: Folder) -> Iterator[Hit]:
    """RAY-02: a key that LLMConfig refuses."""
    for document, holder, _ in folder.having("model_loading_config"):
        for part, names in ((holder, "LLMConfig"), (as_map(holder["model_loading_config"]), "ModelLoadingConfig")):
            for key in part:
                if key not in known_names()["ray"][names]:
                    yield hit(document, part, key, f"{names} refuses `{key}`: the application does not start")


def replicas_twice(folder: Folder) -> Iterator[Hit]:
    """RAY-03: a fixed number of replicas beside autoscaling, or a minimum above the maximum."""
    for document, holder, key in folder.having("autoscaling_config"):
        autoscaling = as_map(holder[key])
        fixed = holder.get("num_replicas")
        if isinstance(fixed, int) and autoscaling:
            message = f"num_replicas {fixed} beside autoscaling_config: Ray refuses the deployment"
            yield hit(document, holder, "num_replicas", message)
        low, high = amount(autoscaling.get("min_replicas")), amount(autoscaling.get("max_replicas"))
        if low is not None and high is not None and low > high:
            yield hit(document, autoscaling, "min_replicas", f"min_replicas {low:g} is above max_replicas {high:g}")


def shared_route(folder: Folder) -> Iterator[Hit]:
    """RAY-04: two applications under one route or name."""
    for document in _serve_configs(folder):
        for key, default in (("route_prefix", "/"), ("name", "default")):
            seen: set[Any] = set()
            for application in maps(document.root.get("applications")):
                value = application.get(key, default)
                if value in seen and value is not None:
                    yield hit(document, application, key, f"another application has the {key} {value!r} too")
                seen.add(value)


def nowhere_to_run(folder: Folder) -> Iterator[Hit]:
    """RAY-05: a replica that asks for more than any group of workers has."""
    for document in _serve_configs(folder):
        groups = _groups(document.parent.root if document.parent else None)
        if not groups:
            continue
        for application in maps(document.root.get("applications")):
            for deployment in maps(application.get("deployments")):
                options = as_map(deployment.get("ray_actor_options"))
                yield from _unplaceable(document, options, groups)
            for config in maps(dig(application, "args", "llm_configs")):
                yield from _engine_too_large(document, config, groups)


def _parts(folder: Folder) -> Iterator[tuple[Document, Map, str]]:
    for document in _serve_configs(folder):
        yield document, document.root, "ServeDeploySchema"
        yield document, as_map(document.root.get("http_options")), "HTTPOptionsSchema"
        yield document, as_map(document.root.get("grpc_options")), "gRPCOptionsSchema"
        for application in maps(document.root.get("applications")):
            yield document, application, "ServeApplicationSchema"
            for deployment in maps(application.get("deployments")):
                yield document, deployment, "DeploymentSchema"
                yield document, as_map(deployment.get("ray_actor_options")), "RayActorOptionsSchema"
                yield document, as_map(deployment.get("autoscaling_config")), "AutoscalingConfig"
    for document, holder, _ in folder.having("model_loading_config"):
        deployment = as_map(holder.get("deployment_config"))
        yield document, deployment, "DeploymentSchema"
        yield document, as_map(deployment.get("ray_actor_options")), "RayActorOptionsSchema"
        yield document, as_map(deployment.get("autoscaling_config")), "AutoscalingConfig"


def _serve_configs(folder: Folder) -> Iterator[Document]:
    yield from (each for each in folder.documents if each.role == "serve-config" and isinstance(each.root, Map))


def _groups(service: Any) -> list[tuple[str, float, float, float, set[str]]]:
    """(name, GPUs of a worker, CPUs of a worker, most workers, custom resources) of each group, the head's included."""
    cluster = as_map(dig(service, "spec", "rayClusterConfig"))
    groups = []
    for group in [as_map(cluster.get("headGroupSpec")), *maps(cluster.get("workerGroupSpecs"))]:
        params = as_map(group.get("rayStartParams"))
        resources = as_map(dig(group, "template", "spec", "containers", 0, "resources"))
        if not resources and not params:
            return []  # an excerpt: nothing can be said
        gpus = _first(params.get("num-gpus"), dig(resources, "limits", "nvidia.com/gpu"))
        cpus = _first(params.get("num-cpus"), dig(resources, "limits", "cpu"), dig(resources, "requests", "cpu"))
        most = amount(group.get("maxReplicas")) or amount(group.get("replicas")) or 1.0
        custom = str(params.get("resources", "")) + str(group.get("resources", ""))
        groups.append((str(group.get("groupName", "head")), gpus or 0.0, cpus or 0.0, most, {custom}))
    return groups


def _first(*values: Any) -> float | None:
    return next((found for value in values if (found := amount(value)) is not None), None)


def _unplaceable(document: Document, options: Map, groups: list[Any]) -> Iterator[Hit]:
    for key, index, unit in (("num_gpus", 1, "GPUs"), ("num_cpus", 2, "CPUs")):
        wanted = amount(options.get(key))
        most = max(group[index] for group in groups)
        if wanted is not None and wanted > most and (most or index == 1):
            yield hit(document, options, key, f"a replica asks for {wanted:g} {unit}; the largest worker has {most:g}")
    for name in as_map(options.get("resources")):
        if not any(name in text for group in groups for text in group[4]) and ":" not in name:
            yield hit(document, as_map(options["resources"]), name, f"no group of workers has the resource {name}")


def _engine_too_large(document: Document, config: Map, groups: list[Any]) -> Iterator[Hit]:
    engine = as_map(config.get("engine_kwargs"))
    tp = amount(engine.get("tensor_parallel_size")) or 1
    pp = amount(engine.get("pipeline_parallel_size")) or 1
    total = sum(gpus * most for _, gpus, _, most, _ in groups)
    if tp * pp > total and "placement_group_config" not in config:
        key = "tensor_parallel_size" if "tensor_parallel_size" in engine else "pipeline_parallel_size"
        message = f"an engine of {tp * pp:g} GPUs; all workers together have {total:g}"
        holder, place = (engine, key) if key in engine else (config, "engine_kwargs")
        yield hit(document, holder, place, message)


CHECKS: Mapping[str, Check] = {
    "RAY-01": unknown_keys,
    "RAY-02": refused_llm_keys,
    "RAY-03": replicas_twice,
    "RAY-04": shared_route,
    "RAY-05": nowhere_to_run,
}
