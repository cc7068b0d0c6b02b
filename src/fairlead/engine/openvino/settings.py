"""The worker's settings are one value, read from the command line once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.errors import UserError


@dataclass(frozen=True, slots=True)
class Settings:
    """`names[0]` labels the metrics; the others are aliases. `max_model_len` 0: what the model was trained for."""

    model: Path
    names: tuple[str, ...]
    host: str
    port: int
    max_num_seqs: int
    max_queue: int
    max_model_len: int
    kv_cache_bytes: int
    cache_dir: Path


def parse(argv: Sequence[str]) -> Settings:
    """The settings in `argv`; argparse ends the process with status 2 on a wrong one."""
    parser = argparse.ArgumentParser(prog="python -m fairlead.engine.openvino", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder or a .gguf file")
    parser.add_argument("--served-model-name", action="append", required=True, help="repeat it for aliases")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-num-seqs", type=_positive, default=32, help="sequences generated at the same time")
    parser.add_argument("--max-queue", type=_natural, default=64, help="sequences that may wait; more get a 429")
    parser.add_argument("--max-model-len", type=_natural, default=0, help="tokens of prompt and answer; 0: the model's")
    parser.add_argument("--kv-cache-bytes", type=_positive, default=256 << 20)
    parser.add_argument("--cache-dir", type=Path, required=True, help="where converted models are kept")
    given = parser.parse_args(argv)
    return Settings(
        model=given.model,
        names=tuple(given.served_model_name),
        host=given.host,
        port=given.port,
        max_num_seqs=given.max_num_seqs,
        max_queue=given.max_queue,
        max_model_len=given.max_model_len,
        kv_cache_bytes=given.kv_cache_bytes,
        cache_dir=given.cache_dir,
    )


def context_tokens(asked: int, trained: int, where: Path) -> int:
    """The longest sequence to serve. Raises UserError when more is asked than the model was trained for."""
    if asked > trained:
        raise UserError(
            f"--max-model-len {asked} exceeds the {trained} tokens that the model was trained for",
            where=str(where),
            hint=f"use at most {trained}",
        )
    return asked or trained


def kv_blocks(cache_bytes: int, block_bytes: int, block_tokens: int, max_model_len: int, where: Path) -> int:
    """Whole blocks that fit `cache_bytes`. Raises UserError when not even one longest sequence fits."""
    blocks = cache_bytes // block_bytes
    needed = -(-max_model_len // block_tokens) + 1
    if blocks < needed:
        raise UserError(
            f"a KV cache of {cache_bytes} bytes cannot hold one sequence of {max_model_len} tokens",
            where=str(where),
            hint=f"use --kv-cache-bytes {needed * block_bytes} or more, or a smaller --max-model-len",
        )
    return blocks


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def _natural(text: str) -> int:
    if (value := int(text)) < 0:
        raise ValueError(text)
    return value
