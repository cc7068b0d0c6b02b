"""A real vLLM server keeps the contract too, and says the same as the embedded engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from contract.checks import CHECKS, text_of
from contract.endpoint import Endpoint
from contract.engines import VLLM_PYTHON, openvino, vllm
from fairlead.engine.commands import Vllm, vllm_command

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

PROMPTS = (
    "What is Fairlead?",
    "Who are you?",
    "What is a KV cache?",
    "What does TTFT mean?",
    "What is continuous batching?",
    "What is the capital of France?",
    "What is 3 plus 4?",
    "How do I start Fairlead?",
    "Tell me a story about a whale.",
    "hello",
)
# Asks vLLM's own argument parser, in vLLM's own interpreter: a list of command lines in, what it understood out.
PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser())
print(json.dumps([vars(parser.parse_args(flags)) for flags in json.load(sys.stdin)], default=str))
"""
SMALL = Vllm(model=Path("/m"), names=("a", "b"), port=8001, device="cpu", max_model_len=512, max_num_seqs=8)
LARGE = Vllm(model=Path("/m"), names=("a",), port=8001, tensor_parallel_size=2, quantization="awq", dtype="half")
SHARE = Vllm(model=Path("/m"), names=("a",), port=8001, prefix_caching=False, gpu_memory_utilization=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vllm")


@pytest.fixture(scope="module")
def endpoint(folder: Path) -> Iterator[Endpoint]:
    with vllm(folder) as running:
        yield running


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_contract(endpoint: Endpoint, check: Callable[[Endpoint], None]) -> None:
    check(endpoint)


def test_both_engines_give_the_same_greedy_answers(
    endpoint: Endpoint, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    """Same weights, same words: what is tested on the laptop holds on the cluster."""
    theirs = {prompt: text_of(endpoint.chat(prompt)) for prompt in PROMPTS}
    with openvino(folder) as own:
        ours = {prompt: text_of(own.chat(prompt)) for prompt in PROMPTS}
    record_property("greedy_answers", theirs)
    assert ours == theirs


def test_vllm_knows_every_flag_that_we_pass() -> None:
    engines = (SMALL, LARGE, SHARE)
    parsed = parsed_by_vllm([vllm_command(engine).argv[3:] for engine in engines])
    for engine, understood in zip(engines, parsed, strict=True):
        assert understood["model"] == "/m"
        assert understood["served_model_name"] == list(engine.names)
        assert understood["host"] == "127.0.0.1"
        assert understood["port"] == 8001
        assert understood["max_model_len"] == engine.max_model_len
        assert understood["max_num_seqs"] == engine.max_num_seqs
        assert understood["tensor_parallel_size"] == engine.tensor_parallel_size
        assert understood["quantization"] == engine.quantization
        assert understood["dtype"] == engine.dtype
        assert understood["enable_prefix_caching"] is engine.prefix_caching
        assert understood["enable_prompt_tokens_details"] is True
        assert understood["disable_uvicorn_access_log"] is True
        assert understood["enforce_eager"] is (engine.device == "cpu")
    assert parsed[2]["gpu_memory_utilization"] == 0.5


def parsed_by_vllm(command_lines: Sequence[Sequence[str]]) -> list[dict[str, object]]:
    done = subprocess.run(
        [VLLM_PYTHON, "-c", PARSE], input=json.dumps(command_lines), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout.splitlines()[-1])
    return found
