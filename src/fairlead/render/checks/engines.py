"""What an engine is told, what its pod has, and what the gateway believes of it are the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from ruamel.yaml import YAML

from fairlead.render import names
from fairlead.render.checks.frame import Fault, Rendering, dig, listed
from fairlead.render.files import Document
from fairlead.render.workloads import Workload

PORTS = ("port", "openai-port")


def gpu_workers(rendering: Rendering) -> Iterator[Fault]:
    """vLLM starts one worker for each GPU that it was told of: with fewer in its pod it never starts."""
    for workload, container, flags in _engines(rendering):
        size = int(dig(workload.document.object, "spec", "leaderWorkerTemplate", "size") or 1)
        told = prod(int(flags.get(f"{kind}-parallel-size", 1)) for kind in ("tensor", "pipeline")) / size
        has = int(dig(container, "resources", "limits", names.GPU_RESOURCE) or 0)
        if has != told:
            yield Fault(workload.document, f"the engine starts {told:g} workers, and its pod has {has} GPUs")


def engine_ports(rendering: Rendering) -> Iterator[Fault]:
    """An engine listens at a port of its container."""
    for workload, container, flags in _engines(rendering):
        open_ports = {str(port.get("containerPort")) for port in listed(container, "ports")}
        for port in (flags[name] for name in PORTS if name in flags):
            if open_ports and port not in open_ports:
                yield Fault(workload.document, f"the engine listens at {port}, its container says {sorted(open_ports)}")


def served_as_asked(rendering: Rendering) -> Iterator[Fault]:
    """The gateway asks for a model by the name that its engine answers to, and lets in what the engine takes."""
    models: Mapping[str, Any] = rendering.build.gateway["models"]
    asked = {model["upstream_model"]: model for model in models.values()}
    for document, name, longest in _served(rendering):
        if name not in asked:
            yield Fault(document, f"nobody asks for a model called {name!r}", f"asked for: {', '.join(sorted(asked))}")
        elif longest and asked[name]["max_model_len"] > longest:
            message = f"the gateway lets in {asked[name]['max_model_len']} tokens, the engine takes {longest}"
            yield Fault(document, message, "the same max_model_len for both")


def no_remote_code(rendering: Rendering) -> Iterator[Fault]:
    """Code that comes with weights would run with all that the pod may do."""
    for document in rendering.files.manifests:
        if "remote_code" in (text := json.dumps(document.object)) or "remote-code" in text:
            yield Fault(document, "trust_remote_code runs whatever stands beside the weights", "leave it out")


def _engines(rendering: Rendering) -> Iterator[tuple[Workload, Any, dict[str, str]]]:
    """Containers of engines with their command lines; Ray's are told by Serve."""
    for workload in rendering.workloads:
        for container in workload.containers:
            words = [str(word) for word in (*listed(container, "command"), *listed(container, "args"))]
            flags = {key[2:]: value for key, _, value in (word.partition("=") for word in words) if key[:2] == "--"}
            if "model-repository" in flags:
                flags |= {key.replace("_", "-"): str(value) for key, value in _repository(rendering, workload).items()}
            if "served-model-name" in flags or "model-repository" in flags:
                yield workload, container, flags


def _repository(rendering: Rendering, workload: Workload) -> dict[str, Any]:
    """What Triton's model.json says."""
    for volume in listed(workload.pod, "volumes"):
        name = dig(volume, "configMap", "name")
        document = rendering.find("ConfigMap", name) if name else None
        text = dig(document.object, "data", "model.json") if document else None
        if text:
            return dict(json.loads(text))
    return {}


def _served(rendering: Rendering) -> Iterator[tuple[Document, str, int]]:
    """Every model that an engine serves: the name that it answers to, and its longest context."""
    for workload, _, flags in _engines(rendering):
        if "served-model-name" in flags:
            yield workload.document, flags["served-model-name"], int(flags.get("max-model-len", 0))
        else:
            places = [mount.get("mountPath", "") for mount in listed(workload.containers[0], "volumeMounts")]
            folder = next(place for place in places if place.endswith("/config.pbtxt")).split("/")[-2]
            yield workload.document, folder, int(flags.get("max-model-len", 0))
    for document in rendering.of_kind("RayService"):
        config = YAML(typ="safe", pure=True).load(document.object["spec"]["serveConfigV2"])
        for model in listed(config, "applications", 0, "args", "llm_configs"):
            longest = int(dig(model, "engine_kwargs", "max_model_len") or 0)
            yield document, str(dig(model, "model_loading_config", "model_id")), longest
