"""The only module that imports OpenVINO; it sees to it first that nothing of it phones home.

Importing `openvino` imports its model converter, which sends a usage event over the network while it is imported.
Marking both packages as absent makes OpenVINO skip the converter (its own ImportError branch), and saves 0.2 s.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from fairlead.engine.openvino.checkpoint import ModelShape
from fairlead.engine.openvino.grammar import AnswerGrammar
from fairlead.engine.openvino.sampling import Sampling
from fairlead.errors import UserError

BLOCK_TOKENS = 32  # the CPU plug-in's paged attention
KV_DTYPE_BYTES = 2  # float16


def load_genai() -> ModuleType:
    """The `openvino_genai` module, without its telemetry. Raises UserError when it is not installed."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None: "cannot be imported"
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]
    try:
        import openvino_genai
    except ImportError as error:
        raise UserError(f"OpenVINO GenAI is not installed ({error})", hint="pip install 'fairlead[local]'") from None
    module: ModuleType = openvino_genai
    return module


def kv_block_bytes(shape: ModelShape) -> int:
    """The memory of one block of the KV cache over all layers."""
    return 2 * shape.layers * shape.kv_heads * shape.head_dim * BLOCK_TOKENS * KV_DTYPE_BYTES  # keys and values


def open_pipeline(gguf: Path, *, kv_blocks: int, max_num_seqs: int) -> Any:
    """A ContinuousBatchingPipeline in float32 arithmetic: the same answers on every CPU, with bfloat16 units or not."""
    genai = load_genai()
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = kv_blocks
    scheduler.max_num_seqs = max_num_seqs
    scheduler.enable_prefix_caching = True
    try:
        return genai.ContinuousBatchingPipeline(str(gguf), scheduler, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except (RuntimeError, IndexError) as error:  # IndexError: a key that its reader needs is missing
        raise UserError(
            f"OpenVINO cannot load it: {str(error).strip().splitlines()[-1]}",
            where=str(gguf),
            hint="F16, Q4_0, Q4_1, Q8_0 and Q4_K_M files load; a smaller --kv-cache-bytes needs less memory",
        ) from None


def token_tensor(ids: Sequence[int]) -> Any:
    """The ids as the engine takes them, int64[1, n]."""
    import numpy as np
    import openvino

    return openvino.Tensor(np.array([ids], dtype=np.int64))


def generation_config(
    sampling: Sampling, *, max_tokens: int, seed: int, ends: frozenset[int], grammar: AnswerGrammar | None
) -> Any:
    """The engine's form of `sampling`. Stop strings are ours: the engine would look for them with its own tokenizer."""
    genai = load_genai()
    config = genai.GenerationConfig()
    config.max_new_tokens = max_tokens
    config.min_new_tokens = min(sampling.min_tokens, max_tokens)
    config.ignore_eos = sampling.ignore_eos
    config.stop_token_ids = set(ends | sampling.stop_token_ids)
    config.eos_token_id = min(ends)
    config.presence_penalty = sampling.presence_penalty
    config.frequency_penalty = sampling.frequency_penalty
    config.repetition_penalty = sampling.repetition_penalty
    config.logprobs = int(sampling.logprobs)
    if not sampling.greedy:
        config.do_sample = True
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        config.top_k = sampling.top_k
        config.min_p = sampling.min_p
        config.rng_seed = seed
    if grammar is not None:
        config.structured_output_config = structured_output(grammar)
    config.validate()
    return config


def structured_output(grammar: AnswerGrammar) -> Any:
    """The engine's form of a grammar. It is compiled not here but in the first step that needs it."""
    config = load_genai().StructuredOutputConfig()
    if grammar.language == "ebnf":
        config.grammar = grammar.text
    else:
        config.json_schema = grammar.text
    return config


REFUSALS = (RuntimeError, TypeError, OverflowError)  # what setting or validating a GenerationConfig raises
