"""Engines: their defaults, as far as memory and speed depend on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fairlead.catalog.accelerators import GIB, Accelerator
from fairlead.catalog.files import sections
from fairlead.catalog.names import find

SMALL_GPU_BYTES = 70 * GIB
SMALL_GPU_TOKENS, SMALL_GPU_SEQS = 2048, 256


@dataclass(frozen=True, slots=True)
class Engine:
    """`memory_utilization` is the share of a GPU's memory that the engine takes; `kv_follows_weights`: 8-bit or smaller
    weights bring an 8-bit KV cache."""

    name: str
    max_num_batched_tokens: int
    max_num_seqs: int
    memory_utilization: float
    kv_follows_weights: bool
    date: str
    source: str

    def batch_limits(self, gpu: Accelerator) -> tuple[int, int]:
        """(tokens an iteration, sequences) by default on `gpu`: vLLM and SGLang go lower on small ones."""
        if self.name != "trtllm" and gpu.usable_bytes < SMALL_GPU_BYTES:
            return SMALL_GPU_TOKENS, SMALL_GPU_SEQS
        return self.max_num_batched_tokens, self.max_num_seqs


@cache
def engines() -> Mapping[str, Engine]:
    """Every engine, by name."""
    return {name: Engine(name=name, **row) for name, row in sections("engines.toml").items()}


def engine(name: str) -> Engine:
    """The engine that `name` names: versions and wrappers (`vllm-0.12.0`, `dynamo-sglang`) do not matter.

    Raises UserError.
    """
    plain = name.lower().replace("_", "-").replace("tensorrt-llm", "trtllm")
    family = next((known for known in engines() if known in plain), name)
    return find(engines(), family, kind="engine")
