"""The official OpenAI clients talk to a real service: they get answers, usage and the right class of exception."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest

from .conftest import Service, node_with_client, python_with

PYTHON_CLIENTS = ("1.109.1", "2.54.0", "3.52.0")
COMMON = (
    "models",
    "chat",
    "stream_with_usage",
    "stream_without_usage",
    "completions",
    "structured_output",
    "wrong_key",
    "unknown_model",
    "too_long_prompt",
)
PYTHON_ONLY = ("raw_answer_has_a_request_id", "asynchronous_streams", "too_large_request", "bad_parameter")
NODE_ONLY = ("a_stream_left_early",)
HERE = Path(__file__).parent


@cache  # one run of a client gives all its verdicts
def python_verdicts(service: Service, version: str) -> dict[str, str]:
    return verdicts([str(python_with(version)), str(HERE / "openai_python.py")], service.environ())


@cache
def node_verdicts(service: Service) -> dict[str, str]:
    node, folder = node_with_client()
    script = str(HERE / "node" / "openai_node.mjs")
    return verdicts([node, script], {**service.environ(), "CLIENT_FOLDER": str(folder)})


def verdicts(argv: list[str], environ: dict[str, str]) -> dict[str, str]:
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("check", COMMON + PYTHON_ONLY)
@pytest.mark.parametrize("version", PYTHON_CLIENTS)
def test_openai_for_python(service: Service, version: str, check: str) -> None:
    told = python_verdicts(service, version)
    assert told["version"] == version
    assert told[check] == "ok"


@pytest.mark.parametrize("check", COMMON + NODE_ONLY)
def test_openai_for_node(service: Service, check: str) -> None:
    assert node_verdicts(service)[check] == "ok"


def test_no_check_of_a_script_is_left_out(service: Service) -> None:
    assert set(python_verdicts(service, PYTHON_CLIENTS[-1])) == {"version", *COMMON, *PYTHON_ONLY}
