"""The models of a file on Ray instead of the engine that it names: what is promised stays, or is refused.

Left out is only what speaks of the other engine's own process, or to a plan: `up` enforces neither. All else that Ray
does not know (`prompt_tokens: exact`) is an unknown field there, and told with its line.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fairlead.spec.planning import Planned
from fairlead.spec.types import engine_of
from fairlead.spec.yaml import Document

RAY = "ray"
REMOTE = "remote"
OWN = {"openvino": ("max_queue", "kv_cache"), "vllm": ("python", *Planned.model_fields)}
"""By engine: what is not said of a model on Ray."""
DEVICE = {"openvino": "cpu"}
"""What an engine computes on that has no field for it."""


def on_ray(document: Document) -> Document:
    """The same document, with all models that are started here on Ray. What is malformed stays so."""
    models = document.values.get("models")
    if not isinstance(models, dict):
        return document
    return replace(document, values={**document.values, "models": {name: moved(each) for name, each in models.items()}})


def moved(model: Any) -> Any:
    """A model's text on Ray."""
    engine = engine_of(model) if isinstance(model, dict) else REMOTE
    if engine == REMOTE:
        return model
    kept = {key: value for key, value in model.items() if key not in OWN.get(engine, ())}
    device = {"device": DEVICE[engine]} if engine in DEVICE else {}
    return {**device, **kept, "engine": RAY}
