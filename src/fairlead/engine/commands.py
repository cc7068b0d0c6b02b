"""An engine's command line is a pure function of what was declared; nothing here looks at the machine.

One builder per engine. Both give an OpenAI-compatible server on loopback whose GET /health is 200 when it is ready and
whose /metrics carries vLLM's names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

HEALTH_PATH = "/health"
LOOPBACK = "127.0.0.1"
GIB = 1 << 30
# Engines send nothing to anybody: models are fetched by us, usage statistics stay off.
QUIET: Mapping[str, str] = {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


class Command(NamedTuple):
    """`env` is added to the environment that the process inherits."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Openvino:
    """The embedded worker. `model` is a Hugging Face folder or a `.gguf` file; `names` are what callers may say.

    `max_model_len` None takes the model's own.
    """

    model: Path
    names: Sequence[str]
    port: int
    kv_cache_bytes: int
    cache_dir: Path
    max_model_len: int | None = None
    max_num_seqs: int = 32
    max_queue: int = 64
    python: str = sys.executable


@dataclass(frozen=True, slots=True, kw_only=True)
class Vllm:
    """A vLLM server. `python` may be another interpreter, of an environment that has vLLM.

    None leaves a choice to vLLM. A GPU's cache is set by `gpu_memory_utilization`, the CPU build's by `kv_cache_bytes`.
    """

    model: Path
    names: Sequence[str]
    port: int
    device: Literal["cuda", "cpu"] = "cuda"
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    gpu_memory_utilization: float | None = None
    kv_cache_bytes: int | None = None
    tensor_parallel_size: int = 1
    dtype: str = "auto"
    quantization: str | None = None
    prefix_caching: bool = True
    python: str = sys.executable
    extra_args: Sequence[str] = ()


def openvino_command(engine: Openvino) -> Command:
    """The command line of our own worker."""
    argv = (
        *(engine.python, "-m", "fairlead.engine.openvino", "--model", str(engine.model)),
        *(word for name in engine.names for word in ("--served-model-name", name)),
        *("--host", LOOPBACK, "--port", str(engine.port)),
        *("--max-num-seqs", str(engine.max_num_seqs), "--max-queue", str(engine.max_queue)),
        *(("--max-model-len", str(engine.max_model_len)) if engine.max_model_len is not None else ()),
        *("--kv-cache-bytes", str(engine.kv_cache_bytes), "--cache-dir", str(engine.cache_dir)),
    )
    return Command(argv, QUIET)


def vllm_command(engine: Vllm) -> Command:
    """The command line of a vLLM 0.32 server. By module: the `vllm` script of the CPU build does not start."""
    argv = (engine.python, "-m", "vllm.entrypoints.openai.api_server", *_vllm_flags(engine), *engine.extra_args)
    return Command(argv, {**QUIET, "VLLM_NO_USAGE_STATS": "1", **dict(_vllm_device_env(engine))})


def _vllm_flags(engine: Vllm) -> Iterator[str]:
    yield from ("--model", str(engine.model))
    yield from ("--served-model-name", *engine.names)
    yield from ("--host", LOOPBACK, "--port", str(engine.port))
    yield from ("--dtype", engine.dtype, "--tensor-parallel-size", str(engine.tensor_parallel_size))
    yield "--enable-prefix-caching" if engine.prefix_caching else "--no-enable-prefix-caching"
    yield "--enable-prompt-tokens-details"  # cached tokens in `usage`: the ledger bills by it
    yield "--disable-uvicorn-access-log"  # the gateway logs requests; health checks would fill the file
    if engine.max_model_len is not None:
        yield from ("--max-model-len", str(engine.max_model_len))
    if engine.max_num_seqs is not None:
        yield from ("--max-num-seqs", str(engine.max_num_seqs))
    if engine.quantization is not None:
        yield from ("--quantization", engine.quantization)
    yield from _vllm_device_flags(engine)


def _vllm_device_flags(engine: Vllm) -> Iterator[str]:
    if engine.device == "cuda":
        if engine.gpu_memory_utilization is not None:
            yield from ("--gpu-memory-utilization", f"{engine.gpu_memory_utilization:g}")
    else:
        # Compiling takes minutes on a CPU and gains little for small models; `uni`: one worker, no tensor parallelism.
        yield from ("--enforce-eager", "--distributed-executor-backend", "uni")


def _vllm_device_env(engine: Vllm) -> Iterator[tuple[str, str]]:
    if engine.device != "cpu":
        return
    yield "TORCHDYNAMO_DISABLE", "1"  # else the first request for log probabilities waits half a minute for a compiler
    if engine.kv_cache_bytes is not None:
        yield "VLLM_CPU_KVCACHE_SPACE", str(max(1, engine.kv_cache_bytes // GIB))  # it takes whole GiB, at least one
