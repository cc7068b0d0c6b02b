"""The vocabulary inside a GGUF that we write: what each token id spells, byte for byte, for structured output only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gguf

from fairlead.engine.openvino.detokenize import BYTE_OF_CHAR

CHAR_OF_BYTE = {byte: char for char, byte in BYTE_OF_CHAR.items()}


def write_vocabulary(writer: Any, table: Sequence[bytes], end_id: int) -> None:
    """Tokens without text (special and unused ones) stay empty: a grammar never admits them inside an answer.

    OpenVINO GenAI accepts the byte-level kind alone; spelling bytes makes SentencePiece vocabularies fit it as well.
    Its reader fails without one control token and one merge, so the end token is the
    one, and a merge without use is the other.
    """
    tokens = ["".join([CHAR_OF_BYTE[byte] for byte in raw]) for raw in table]
    types = [int(gguf.TokenType.NORMAL if raw else gguf.TokenType.UNUSED) for raw in table]
    tokens[end_id], types[end_id] = f"<|end-{end_id}|>", int(gguf.TokenType.CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(["! !"])
    writer.add_eos_token_id(end_id)
