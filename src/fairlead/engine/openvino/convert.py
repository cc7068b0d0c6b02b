"""A Hugging Face checkpoint becomes one GGUF file, once: same numbers, other names and order, then an atomic rename.

OpenVINO GenAI builds its graph from a GGUF without torch. It brings a tokenizer along that splits text differently from
the model's own, so the worker tokenises itself and this vocabulary serves structured output only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from fairlead.engine.openvino.checkpoint import Checkpoint, ModelShape, cache_path
from fairlead.engine.openvino.gguf_vocabulary import write_vocabulary
from fairlead.engine.openvino.safetensor import StoredTensor, open_tensors
from fairlead.errors import UserError

MOSTLY_F16 = 1  # matrices are float16 (the engine takes no wider ones), vectors float32, as GGUF files usually are
MAX_F16 = 65504.0

GLOBAL_TENSORS: Mapping[str, str] = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
LAYER_TENSORS: Mapping[str, str] = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}
EXTRA_LAYER_TENSORS: Mapping[str, Mapping[str, str]] = {
    "llama": {},
    "qwen2": {f"self_attn.{p}_proj.bias": f"attn_{p}.bias" for p in "qkv"},
    "qwen3": {f"self_attn.{p}_norm.weight": f"attn_{p}_norm.weight" for p in "qk"},
}
DERIVED = ("rotary_emb.inv_freq",)  # old exports store what follows from rope_theta


def convert(checkpoint: Checkpoint, table: Sequence[bytes], end_id: int, cache_dir: Path) -> Path:
    """The GGUF for this checkpoint, made if the cache has none; `table` spells its tokens.

    Raises UserError on weights that do not fit the shape.
    """
    target = cache_path(checkpoint, cache_dir)
    if target.is_file():
        return target
    cache_dir.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=target.stem, suffix=".part", dir=cache_dir)
    os.close(handle)
    try:
        _write(checkpoint, table, end_id, Path(name))
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
    return target


def tensor_names(checkpoint: Checkpoint) -> dict[str, str]:
    """Hugging Face name -> GGUF name, of every tensor that this shape has."""
    names = {
        hf: name for hf, name in GLOBAL_TENSORS.items() if hf != "lm_head.weight" or not checkpoint.tied_embeddings
    }
    per_layer = {**LAYER_TENSORS, **EXTRA_LAYER_TENSORS[checkpoint.shape.architecture]}
    for layer in range(checkpoint.shape.layers):
        names |= {f"model.layers.{layer}.{hf}": f"blk.{layer}.{name}" for hf, name in per_layer.items()}
    return names


def interleave_rope(weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows of a Llama Q or K projection from [first half, second half] of each head to pairs, as GGUF has them."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _write(checkpoint: Checkpoint, table: Sequence[bytes], end_id: int, path: Path) -> None:
    names = tensor_names(checkpoint)
    stored = _matching(checkpoint, names)
    writer = gguf.GGUFWriter(path, checkpoint.shape.architecture)
    _write_shape(writer, checkpoint.shape)
    write_vocabulary(writer, table, end_id)
    for name, tensor in stored.items():
        dtype = np.dtype(np.float32 if len(tensor.shape) == 1 else np.float16)
        elements = int(np.prod(tensor.shape, dtype=np.int64))
        writer.add_tensor_info(names[name], tensor.shape, dtype, elements * dtype.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, tensor in stored.items():
        writer.write_tensor_data(_values(name, tensor, checkpoint.shape))
    writer.close()


def _matching(checkpoint: Checkpoint, names: Mapping[str, str]) -> dict[str, StoredTensor]:
    """The stored tensors in the order of `names`; a missing or an unknown one is an error, never dropped."""
    stored = open_tensors(checkpoint.weights)
    ignored = {"lm_head.weight"} if checkpoint.tied_embeddings else set()
    unknown = [n for n in stored if n not in names and n not in ignored and not n.endswith(DERIVED)]
    missing = [n for n in names if n not in stored]
    if unknown or missing:
        raise UserError(
            f"the weights do not fit the architecture: {len(missing)} missing {missing[:3]}, "
            f"{len(unknown)} unknown {unknown[:3]}",
            where=str(checkpoint.folder),
            hint="fetch the model again; fine-tuning adapters have to be merged first",
        )
    return {name: stored[name] for name in names}


def _values(name: str, tensor: StoredTensor, shape: ModelShape) -> NDArray[Any]:
    values = tensor.read()
    if shape.architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
        values = interleave_rope(values, shape.heads if ".q_proj." in name else shape.kv_heads)
    if values.ndim == 1:
        return np.ascontiguousarray(values, dtype=np.float32)
    if tensor.dtype != "F16" and float(np.abs(values).max()) > MAX_F16:
        raise UserError(
            f"tensor {name} exceeds the range of float16", where=str(tensor.path), hint="use `engine: vllm`"
        )
    return np.ascontiguousarray(values, dtype=np.float16)


def _write_shape(writer: Any, shape: ModelShape) -> None:
    writer.add_file_type(MOSTLY_F16)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(shape.rms_eps)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_vocab_size(shape.vocab)
