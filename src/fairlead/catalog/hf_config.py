"""A model's shape from its Hugging Face `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.catalog.models import ModelShape
from fairlead.errors import UserError

NEEDED = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
UNGATED = {"gptj", "falcon", "gpt2", "gpt_neox", "opt", "bloom", "phi", "starcoder2"}
GPTJ_NAMES = {
    "n_layer": "num_hidden_layers",
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
    "n_inner": "intermediate_size",
}
NATIVE = {
    "mxfp4": "mxfp4",
    "fp8": "fp8",
    "awq": "awq",
    "gptq": "gptq",
    "compressed-tensors": "fp8",
    "modelopt": "nvfp4",
}


def shape_of(config: Mapping[str, Any], *, name: str) -> ModelShape:
    """The shape that `config` describes; of a multimodal model its text part. Raises UserError."""
    read: dict[str, Any] = {GPTJ_NAMES.get(key, key): value for key, value in config.items()}
    read |= {key: value for key, value in dict(read.get("text_config") or {}).items() if value is not None}
    missing = [key for key in NEEDED if not isinstance(read.get(key), int)]
    if missing:
        raise UserError(
            f"{name}: config.json has no {', '.join(missing)}", hint="is it the config of a language model?"
        )
    hidden, heads, layers = read["hidden_size"], read["num_attention_heads"], read["num_hidden_layers"]
    experts = first(read, "num_local_experts", "num_experts", "n_routed_experts")
    ffn = first(read, "intermediate_size") or 4 * hidden
    seen, windowed = window(read, layers)
    return ModelShape(
        name=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=first(read, "num_key_value_heads", "num_kv_heads") or heads,
        head_dim=first(read, "v_head_dim", "head_dim"),
        ffn=ffn,
        gated=read.get("model_type") not in UNGATED,
        vocab=read["vocab_size"],
        tied=bool(read.get("tie_word_embeddings", False)),
        max_context=first(read, "max_position_embeddings") or 2048,
        experts=experts,
        experts_per_token=first(read, "num_experts_per_tok", "experts_per_token") if experts else 0,
        expert_ffn=(first(read, "moe_intermediate_size") or ffn) if experts else 0,
        shared_ffn=shared_width(read) if experts else 0,
        dense_layers=first(read, "first_k_dense_replace") if experts else 0,
        latent_kv=first(read, "kv_lora_rank"),
        latent_q=first(read, "q_lora_rank") if first(read, "kv_lora_rank") else 0,
        rope_dim=first(read, "qk_rope_head_dim"),
        native=NATIVE.get(str(dict(read.get("quantization_config") or {}).get("quant_method")), "bf16"),
        source=f"{name} config.json",
        window=seen,
        windowed_layers=windowed,
    )


def first(read: Mapping[str, Any], *names: str) -> int:
    """The first of `names` that is set, or 0."""
    return next((int(read[name]) for name in names if read.get(name)), 0)


def shared_width(read: Mapping[str, Any]) -> int:
    """The width of all shared experts together."""
    together = first(read, "shared_expert_intermediate_size")
    return together or first(read, "n_shared_experts") * first(read, "moe_intermediate_size")


def window(read: Mapping[str, Any], layers: int) -> tuple[int, int]:
    """The window and how many layers have it: by the list of layer types, by a pattern, or all."""
    size = first(read, "sliding_window")
    if not size or read.get("use_sliding_window") is False:
        return 0, 0
    kinds = read.get("layer_types")
    if kinds:
        return size, sum(kind == "sliding_attention" for kind in kinds)
    every = first(read, "sliding_window_pattern") or (2 if read.get("model_type") == "gemma2" else 0)
    return size, layers - layers // every if every else layers
