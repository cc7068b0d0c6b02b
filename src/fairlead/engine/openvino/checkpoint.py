"""A Hugging Face folder is read here and nowhere else; what the engine would get wrong is refused, not ignored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fairlead.errors import Problem, UserError

GGUF_ARCHITECTURE: Mapping[str, str] = {
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
WHOLE_FILE_BYTES = (
    64 << 20
)  # larger files are told apart by size, time and both ends: hashing 16 GB takes half a minute
EDGE_BYTES = 1 << 20
CONVERTER = 1  # raise it when the same checkpoint should give another GGUF


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The numbers that fix the layout of the weights and the size of the KV cache."""

    architecture: str  # GGUF's name: llama, qwen2, qwen3
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    context: int  # the longest sequence the weights were trained for, in tokens
    rope_theta: float
    rms_eps: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that can be converted: its shape, its weight files in a fixed order, its small JSON files."""

    folder: Path
    shape: ModelShape
    tied_embeddings: bool
    weights: tuple[Path, ...]


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`. Raises UserError with every reason why the engine cannot run it."""
    config = read_json(folder / "config.json")
    problems = list(_unsupported(config, where=str(folder / "config.json")))
    if not (folder / "tokenizer.json").is_file():
        problems.append(_missing(folder, "tokenizer.json", "export the fast tokenizer: tokenizer.save_pretrained(...)"))
    weights = _weight_files(folder)
    problems.extend(_missing(path.parent, path.name, "fetch the model again") for path in weights if not path.is_file())
    if not weights:
        problems.append(_missing(folder, "model.safetensors", "only safetensors weights are read, never pickles"))
    if problems:
        raise UserError(problems=problems)
    return Checkpoint(folder, _shape(config, str(folder / "config.json")), _tied(config), weights)


def cache_path(checkpoint: Checkpoint, cache_dir: Path) -> Path:
    """Where the converted GGUF of this checkpoint lies, once it is made."""
    small = tuple(checkpoint.folder / name for name in ("config.json", "tokenizer.json"))
    return cache_dir / f"{digest(small + checkpoint.weights)}-{CONVERTER}.gguf"


def digest(paths: tuple[Path, ...]) -> str:
    """A key for these files: their content, or for very large ones size, time and both ends."""
    sha = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        sha.update(f"{path.name}\0{stat.st_size}\0".encode())
        with path.open("rb") as file:
            if stat.st_size <= WHOLE_FILE_BYTES:
                sha.update(file.read())
                continue
            sha.update(f"{stat.st_mtime_ns}\0".encode() + file.read(EDGE_BYTES))
            file.seek(-EDGE_BYTES, 2)
            sha.update(file.read())
    return sha.hexdigest()[:32]


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; UserError when it is absent or broken."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise UserError(
            "this file is missing", where=str(path), hint="give a Hugging Face folder or a .gguf file"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"cannot be read as a JSON object: {error}", where=str(path)) from None


def read_json_if_present(path: Path) -> dict[str, Any]:
    """Like `read_json`, but an absent file is an empty object."""
    return read_json(path) if path.is_file() else {}


def _missing(folder: Path, name: str, hint: str) -> Problem:
    return Problem("this file is missing", where=str(folder / name), hint=hint)


def _weight_files(folder: Path) -> tuple[Path, ...]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        single = folder / "model.safetensors"
        return (single,) if single.is_file() else ()
    return tuple(folder / name for name in sorted(set(read_json(index).get("weight_map", {}).values())))


def _unsupported(config: Mapping[str, Any], where: str) -> Iterator[Problem]:
    architectures = config.get("architectures") or ["(none)"]
    if architectures[0] not in GGUF_ARCHITECTURE:
        yield Problem(
            f"architecture {architectures[0]} is not supported",
            where,
            hint=f"this engine runs {', '.join(sorted(GGUF_ARCHITECTURE))}; use `engine: vllm` for others",
        )
    if config.get("hidden_act", "silu") != "silu":
        yield Problem(f"activation {config['hidden_act']!r} is not supported", where, hint="only silu")
    if config.get("quantization_config"):
        yield Problem("quantised safetensors are not supported", where, hint="use the unquantised weights or a GGUF")
    if (rope := _rope_type(config)) != "default":
        yield Problem(f"rope scaling {rope!r} is not supported", where, hint="use `engine: vllm` for this model")
    if config.get("use_sliding_window"):
        yield Problem("sliding window attention is not supported", where, hint="use `engine: vllm` for this model")
    biased = [name for name in ("attention_bias", "mlp_bias") if config.get(name)]
    if biased:
        yield Problem(f"{' and '.join(biased)} are not supported", where, hint="use `engine: vllm` for this model")


def _rope_type(config: Mapping[str, Any]) -> str:
    """`rope_scaling` in transformers 4, `rope_parameters` in 5; the type key was once `type`."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return str(rope.get("rope_type") or rope.get("type") or "default")


def _tied(config: Mapping[str, Any]) -> bool:
    return bool(config.get("tie_word_embeddings", False))


def _shape(config: Mapping[str, Any], where: str) -> ModelShape:
    rope = config.get("rope_parameters") or {}
    try:
        heads = int(config["num_attention_heads"])
        return ModelShape(
            architecture=GGUF_ARCHITECTURE[config["architectures"][0]],
            layers=int(config["num_hidden_layers"]),
            hidden=int(config["hidden_size"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
            ffn=int(config["intermediate_size"]),
            vocab=int(config["vocab_size"]),
            context=int(config["max_position_embeddings"]),
            rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
            rms_eps=float(config.get("rms_norm_eps", 1e-6)),
        )
    except KeyError as missing:
        raise UserError(f"the key {missing} is missing", where=where, hint="fetch the model again") from None
