"""RayService and Serve configurations with ray.serve.llm: each LLMConfig is a model."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.lint.adopt.notes import Adopted
from fairlead.lint.adopt.settings import of_mapping, scale, take
from fairlead.lint.adopt.sources import set_source
from fairlead.lint.folder import Folder
from fairlead.lint.tree import Document, Map, as_map, maps

KNOWN = {
    "model_loading_config", "engine_kwargs", "deployment_config", "log_engine_metrics", "experimental_configs",
    "placement_group_config", "llm_engine", "accelerator_type", "runtime_env",
}  # fmt: skip


def ray_models(folder: Folder, fetched: dict[str, str]) -> Iterator[Adopted]:
    """Every LLMConfig of the documents, but for those that only a batch uses."""
    for document, config, _ in folder.having("model_loading_config"):
        if {"dashboard", "config"} <= as_map(document.root).keys():  # what `fairlead batch run --cluster` reads
            continue
        loading = as_map(config["model_loading_config"])
        public = loading.get("model_id")
        if not isinstance(public, str):
            continue
        model = Adopted(document, loading.place("model_id"), public, {"engine": "vllm"})
        source = loading.get("model_source", public)
        if isinstance(source, Map):
            source = source.get("bucket_uri", public)
        set_source(model, str(source), loading.place("model_source"), fetched=fetched)
        take(model, of_mapping(as_map(config.get("engine_kwargs"))))
        _deployment(model, as_map(config.get("deployment_config")))
        if "accelerator_type" in config:
            message = f"accelerator {config['accelerator_type']}: name the machines in hardware.pools"
            model.lost(message, config.place("accelerator_type"))
        for key in config:
            if key not in KNOWN:
                model.lost(f"the spec has no field for {key}", config.place(key))
        yield model


def other_applications(folder: Folder) -> Iterator[tuple[Document, Map]]:
    """Serve applications of somebody's own code: they cannot be declared."""
    for document in folder.documents:
        if document.role == "serve-config":
            for application in maps(as_map(document.root).get("applications")):
                if "llm_configs" not in as_map(application.get("args")):
                    yield document, application


def _deployment(model: Adopted, deployment: Map) -> None:
    autoscaling = as_map(deployment.get("autoscaling_config"))
    if autoscaling:
        at = deployment.place("autoscaling_config")
        scale(model, autoscaling.get("min_replicas", 1), autoscaling.get("max_replicas", 1), at)
        if "target_num_ongoing_requests_per_replica" in autoscaling:
            key = "target_num_ongoing_requests_per_replica"
            model.corrected(f"{key} was ignored; the plan sets the target", "D-18", autoscaling.place(key))
    elif "num_replicas" in deployment:
        scale(model, deployment["num_replicas"], None, deployment.place("num_replicas"))
    options = as_map(deployment.get("ray_actor_options"))
    if "resources" in options:
        model.corrected("custom resources are left out; pools place the model", "D-12", options.place("resources"))
