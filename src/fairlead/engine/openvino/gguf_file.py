"""What a GGUF says about itself: shape, stop tokens, chat template and, for byte-level BPE, the whole tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from fairlead.engine.openvino.checkpoint import GGUF_ARCHITECTURE, ModelShape
from fairlead.errors import UserError

CONTROL, USER_DEFINED = 3, 4  # token types of the GGUF specification

_LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# `tokenizer.ggml.pre` names how the text is split before the merges; these are the splits of the supported families.
SPLITS: Mapping[str, str] = {
    "llama-bpe": _LETTERS + r"\p{N}{1,3}" + _REST,
    "qwen2": _LETTERS + r"\p{N}" + _REST,
}


def read_metadata(path: Path) -> dict[str, Any]:
    """Every key of the file's header. Raises UserError when it is no GGUF."""
    import gguf

    try:
        reader = gguf.GGUFReader(path)
        return {name: field.contents() for name, field in reader.fields.items()} | {
            "embedding_rows": next((int(t.shape[1]) for t in reader.tensors if t.name == "token_embd.weight"), 0)
        }
    except (ValueError, OSError, IndexError) as error:
        raise UserError(f"this is not a GGUF file: {error}", where=str(path), hint="fetch the file again") from None


def shape_of(metadata: Mapping[str, Any], path: Path) -> ModelShape:
    """The shape in the metadata. Raises UserError for what the engine cannot run."""
    architecture = str(metadata.get("general.architecture"))
    supported = sorted(set(GGUF_ARCHITECTURE.values()))
    if architecture not in supported:
        raise UserError(
            f"architecture {architecture!r} is not supported",
            where=str(path),
            hint=f"this engine runs {', '.join(supported)}; use `engine: vllm` for others",
        )
    if metadata.get(f"{architecture}.rope.scaling.type", "none") != "none":
        raise UserError("rope scaling is not supported", where=str(path), hint="use `engine: vllm` for this model")
    try:
        heads, hidden = metadata[f"{architecture}.attention.head_count"], metadata[f"{architecture}.embedding_length"]
        return ModelShape(
            architecture=architecture,
            layers=metadata[f"{architecture}.block_count"],
            hidden=hidden,
            heads=heads,
            kv_heads=metadata.get(f"{architecture}.attention.head_count_kv", heads),
            head_dim=metadata.get(f"{architecture}.attention.key_length", hidden // heads),
            ffn=metadata[f"{architecture}.feed_forward_length"],
            vocab=metadata["embedding_rows"],
            context=metadata.get(f"{architecture}.context_length", 2048),
            rope_theta=metadata.get(f"{architecture}.rope.freq_base", 10_000.0),
            rms_eps=metadata[f"{architecture}.attention.layer_norm_rms_epsilon"],
        )
    except KeyError as missing:
        raise UserError(f"the key {missing} is missing", where=str(path), hint="fetch the file again") from None


def tokenizer_of(metadata: Mapping[str, Any], path: Path) -> Tokenizer:
    """The tokenizer that the metadata describe; UserError for a kind that cannot be rebuilt faithfully."""
    kind, pre = metadata.get("tokenizer.ggml.model"), str(metadata.get("tokenizer.ggml.pre"))
    if kind != "gpt2" or pre not in SPLITS:
        raise UserError(
            f"its tokenizer (model {kind!r}, pre {pre!r}) cannot be rebuilt from the metadata",
            where=str(path),
            hint=f"put the model's tokenizer.json beside it, as {path.parent / 'tokenizer.json'}",
        )
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={text: index for index, text in enumerate(tokens)}, merges=merges))
    split = pre_tokenizers.Split(Regex(SPLITS[pre]), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    added = [(text, kind) for text, kind in zip(tokens, types, strict=True) if kind in (CONTROL, USER_DEFINED)]
    for text, token_kind in added:
        tokenizer.add_tokens([AddedToken(text, special=token_kind == CONTROL, normalized=False)])
    return tokenizer


def special_tokens_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """bos_token, eos_token and so on, as a chat template expects them."""
    tokens = metadata.get("tokenizer.ggml.tokens", [])
    ids = {name: metadata.get(f"tokenizer.ggml.{key}_token_id") for name, key in NAMES.items()}
    return {name: tokens[index] for name, index in ids.items() if index is not None and index < len(tokens)}


NAMES: Mapping[str, str] = {
    "bos_token": "bos",
    "eos_token": "eos",
    "pad_token": "padding",
    "unk_token": "unknown",
}
