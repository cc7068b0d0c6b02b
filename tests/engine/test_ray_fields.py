"""Every field of models on Ray, and of their cluster, changes what is started, deployed or offered."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairlead.errors import UserError
from fairlead.ops.layout import Layout
from fairlead.ops.prove.registry import FIELDS
from fairlead.ops.ray import ray_workers
from fairlead.render import yaml
from fairlead.render.gateway import gateway_config
from fairlead.spec.load import load

ROOT = Path(__file__).parents[2]
MODEL: Mapping[str, Any] = {"engine": "ray", "source": "hf://org/model@rev", "device": "cpu"}
SCALING = {"max": 4, "target_ongoing_requests": 8.0}
JOINED = {"address": "http://127.0.0.1:8265", "serve_url": "http://127.0.0.1:8000"}
GPU = {"device": "gpu"}

# field -> (what the model has, what the cluster has, where the other value goes, the other value)
CHANGES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], str, Any]] = {
    "RayModel.engine": ({}, {}, "models/m/engine", "vllm"),
    "RayModel.source": ({}, JOINED, "models/m/source", "hf://org/other@rev"),
    "RayModel.replicas": ({}, {}, "models/m/replicas", 2),
    "RayModel.scaling": ({}, {}, "models/m/scaling", SCALING),
    "RayModel.max_model_len": ({}, {}, "models/m/max_model_len", 4096),
    "RayModel.max_num_seqs": ({}, {}, "models/m/max_num_seqs", 8),
    "RayModel.device": ({}, {}, "models/m/device", "gpu"),
    "RayModel.dtype": ({}, {}, "models/m/dtype", "float32"),
    "RayModel.quantization": (GPU, {}, "models/m/quantization", "awq"),
    "RayModel.tensor_parallel_size": (GPU, {}, "models/m/tensor_parallel_size", 2),
    "RayModel.gpu_memory_utilization": (GPU, {}, "models/m/gpu_memory_utilization", 0.8),
    "RayModel.kv_cache": ({}, {}, "models/m/kv_cache", "2Gi"),
    "RayModel.cpus": ({}, {}, "models/m/cpus", 2.0),
    "RayModel.start_timeout": ({}, {}, "models/m/start_timeout", "5m"),
    "RayModel.operations": ({}, {}, "models/m/operations", ["embeddings"]),
    "RayScaling.max": ({"scaling": SCALING}, {}, "models/m/scaling/max", 5),
    "RayScaling.target_ongoing_requests": ({"scaling": SCALING}, {}, "models/m/scaling/target_ongoing_requests", 9.0),
    "RayScaling.upscale_delay": ({"scaling": SCALING}, {}, "models/m/scaling/upscale_delay", "1m"),
    "RayScaling.downscale_delay": ({"scaling": SCALING}, {}, "models/m/scaling/downscale_delay", "1m"),
    "Spec.ray": ({}, {}, "ray", {"nodes": 2}),
    "Ray.address": ({}, JOINED, "ray/address", "http://127.0.0.1:8266"),
    "Ray.serve_url": ({}, JOINED, "ray/serve_url", "http://127.0.0.1:8001"),
    "Ray.token_env": ({}, JOINED, "ray/token_env", "RAY_TOKEN"),
    "Ray.python": ({}, {}, "ray/python", "python3.12"),
    "Ray.nodes": ({}, {}, "ray/nodes", 2),
    "Ray.cpus": ({}, {}, "ray/cpus", 3.0),
}


@pytest.mark.parametrize("field", CHANGES)
def test_another_value_has_another_effect(field: str, tmp_path: Path) -> None:
    model, ray, where, value = CHANGES[field]
    service = {"apiVersion": "fairlead/v1", "name": "fleet", "models": {"m": {**MODEL, **model}}, "ray": dict(ray)}
    changed: Any = copy.deepcopy(service)
    part, *way = changed, *where.split("/")
    for step in way[:-1]:
        part = part[step]
    part[way[-1]] = value
    plain = effect(service, tmp_path)
    assert "refused" not in plain
    assert effect(changed, tmp_path) != plain


def test_every_such_field_is_tried() -> None:
    here = f"test:{Path(__file__).relative_to(ROOT)}"
    assert {field for field, place in FIELDS.items() if place == here} == set(CHANGES)


def effect(service: Mapping[str, Any], folder: Path) -> str:
    """What would be started and deployed, and what callers may ask; without ports, which are new each time."""
    file = folder / "fairlead.yaml"
    file.write_text(yaml.dump_all([dict(service)]))
    layout = Layout.beside(file)
    layout.make()
    try:
        spec = load(file)
        workers, url = ray_workers(spec, layout, {"m": folder} if not service["ray"].get("address") else {})
    except (UserError, ValueError) as error:
        return f"refused: {error}"
    deployed = (layout.ray / "serve.json").read_text()
    offered = msgspec.json.encode(gateway_config(spec, state_dir="/state", upstreams={"m": [url]})).decode()
    given = "address" in service["ray"]
    text = repr(workers) + deployed + offered
    return text if given else re.sub(r"\d{5}", "PORT", text)
