"""A tiny random model with the served model's vocabulary, to try grammars on without touching the batch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import gguf
import numpy as np

from fairlead.engine.openvino.gguf_vocabulary import write_vocabulary
from fairlead.engine.openvino.grammar import AnswerGrammar
from fairlead.engine.openvino.openvino_api import load_genai, open_pipeline, structured_output, token_tensor

LAYERS = 1
WIDTH = 64  # hidden size, head size and FFN size alike


def open_canary(tokens: Sequence[bytes], end_id: int) -> Callable[[AnswerGrammar], None]:
    """A function that raises RuntimeError when a grammar does not compile for these tokens."""
    with tempfile.TemporaryDirectory(prefix="fairlead-canary-") as folder:
        path = Path(folder) / "canary.gguf"
        _write(path, tokens, end_id)
        pipeline = open_pipeline(path, kv_blocks=4, max_num_seqs=1)
    genai = load_genai()

    def compile_grammar(grammar: AnswerGrammar) -> None:
        config = genai.GenerationConfig()
        config.max_new_tokens = 1
        config.structured_output_config = structured_output(grammar)
        pipeline.generate([token_tensor([0])], [config])

    return compile_grammar


def _write(path: Path, tokens: Sequence[bytes], end_id: int) -> None:
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_file_type(1)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    write_vocabulary(writer, tokens, end_id)
    rng = np.random.default_rng(0)
    writer.add_tensor("token_embd.weight", rng.standard_normal((len(tokens), WIDTH)).astype(np.float16))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, dtype=np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            matrix = rng.standard_normal((WIDTH, WIDTH)).astype(np.float16)
            writer.add_tensor(f"blk.{layer}.{name}.weight", matrix)
        for part in "qkv":
            writer.add_tensor(f"blk.{layer}.attn_{part}.bias", np.zeros(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
