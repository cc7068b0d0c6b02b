"""What vLLM is told, once: command lines, Ray's `engine_kwargs` and Triton's `model.json` are this one mapping.

Keys are names of vLLM's Python arguments (vllm/engine/arg_utils.py); on a command line dashes stand for underscores.
`trust_remote_code` is not among them: code that comes with weights is not run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.render.engines.site import Site

Setting = str | int | float | bool
DTYPES: Mapping[str, str] = {"bf16": "bfloat16", "fp16": "float16"}


def settings(site: Site) -> dict[str, Setting]:
    """Everything about the model and its memory; nothing about ports or names."""
    return dict(sorted(_settings(site)))


def _settings(site: Site) -> Iterator[tuple[str, Setting]]:
    placed = site.placement
    yield "max_model_len", placed.max_model_len
    yield "max_num_seqs", placed.max_num_seqs
    yield "max_num_batched_tokens", placed.deployment.tokens
    yield "gpu_memory_utilization", placed.deployment.utilization
    yield "tensor_parallel_size", placed.deployment.tp
    yield "enable_prefix_caching", True
    if placed.deployment.pp > 1:
        yield "pipeline_parallel_size", placed.deployment.pp
    yield "dtype", dtype(site)
    if how := quantization(site):
        yield "quantization", how
    if placed.deployment.kv_bytes < 2:
        yield "kv_cache_dtype", "fp8"


def dtype(site: Site) -> str:
    """The spec's word, or the arithmetic that the plan counted with."""
    if site.model.dtype != "auto":
        return site.model.dtype
    return DTYPES.get(site.placement.deployment.quantization.name, "auto")


def quantization(site: Site) -> str | None:
    """The spec's word. Beside it only fp8 is made while weights are loaded; others stand in the model's own files."""
    planned = site.placement.deployment
    if site.model.quantization:
        return site.model.quantization
    return "fp8" if planned.quantization.name == "fp8" and planned.model.native != "fp8" else None


def flags(values: Mapping[str, Any]) -> list[str]:
    """The settings as words of vLLM's command line."""
    return [_flag(name.replace("_", "-"), value) for name, value in values.items()]


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={value:g}" if isinstance(value, float) else f"--{name}={value}"
