"""An engine's command line says what was declared, and says it in flags that the engine knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairlead.engine.commands import GIB, Openvino, Vllm, openvino_command, vllm_command

VLLM_CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "the model": ({}, "--model /m", "--enforce-eager"),
    "every name that it goes by": ({"names": ("a", "b")}, "--served-model-name a b --host", "-"),
    "only loopback": ({}, "--host 127.0.0.1 --port 8001", "0.0.0.0"),
    "its own length unless told": ({}, "--port", "--max-model-len"),
    "a length": ({"max_model_len": 4096}, "--max-model-len 4096", "-"),
    "sequences": ({"max_num_seqs": 64}, "--max-num-seqs 64", "-"),
    "several GPUs": ({"tensor_parallel_size": 4}, "--tensor-parallel-size 4", "-"),
    "the share of GPU memory": ({"gpu_memory_utilization": 0.85}, "--gpu-memory-utilization 0.85", "uni"),
    "quantised weights": ({"quantization": "awq"}, "--quantization awq", "-"),
    "a prefix cache": ({}, "--enable-prefix-caching", "--no-enable-prefix-caching"),
    "no prefix cache": ({"prefix_caching": False}, "--no-enable-prefix-caching", "-"),
    "a CPU": ({"device": "cpu"}, "--enforce-eager --distributed-executor-backend uni", "--gpu-memory-utilization"),
    "what else is asked for, last": ({"extra_args": ("--seed", "7")}, "--seed 7", "-"),
    "another interpreter": (
        {"python": "/venv/bin/python"},
        "/venv/bin/python -m vllm.entrypoints.openai.api_server",
        "-",
    ),
}


@pytest.mark.parametrize(("options", "there", "absent"), VLLM_CASES.values(), ids=VLLM_CASES)
def test_vllm_command(options: dict[str, Any], there: str, absent: str) -> None:
    fields: dict[str, Any] = {"model": Path("/m"), "names": ("a",), "port": 8001, **options}
    argv, _ = vllm_command(Vllm(**fields))
    assert there in " ".join(argv)
    assert absent not in argv


def test_vllm_on_a_cpu_gets_its_cache_in_whole_gib() -> None:
    small = Vllm(model=Path("/m"), names=("a",), port=1, device="cpu", kv_cache_bytes=1000)
    large = Vllm(model=Path("/m"), names=("a",), port=1, device="cpu", kv_cache_bytes=5 * GIB)
    assert vllm_command(small).env["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert vllm_command(large).env["VLLM_CPU_KVCACHE_SPACE"] == "5"


def test_no_engine_phones_home() -> None:
    vllm = vllm_command(Vllm(model=Path("/m"), names=("a",), port=1)).env
    openvino = openvino_command(worker()).env
    assert vllm["VLLM_NO_USAGE_STATS"] == vllm["HF_HUB_OFFLINE"] == "1"
    assert openvino["HF_HUB_OFFLINE"] == openvino["DO_NOT_TRACK"] == "1"


def test_openvino_command() -> None:
    argv, _ = openvino_command(worker())
    assert argv == (
        *("python", "-m", "fairlead.engine.openvino", "--model", "/m"),
        *("--served-model-name", "a", "--served-model-name", "b", "--host", "127.0.0.1", "--port", "8001"),
        *("--max-num-seqs", "32", "--max-queue", "64", "--max-model-len", "512", "--kv-cache-bytes", "1000"),
        *("--cache-dir", "/c"),
    )


def worker() -> Openvino:
    return Openvino(
        model=Path("/m"),
        names=("a", "b"),
        port=8001,
        max_model_len=512,
        kv_cache_bytes=1000,
        cache_dir=Path("/c"),
        python="python",
    )
