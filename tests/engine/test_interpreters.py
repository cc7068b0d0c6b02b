"""An engine whose Python lacks it is told at once, with its field and what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fairlead.errors import UserError
from fairlead.ops.interpreters import check_interpreters
from fairlead.spec.load import load

HEAD = "apiVersion: fairlead/v1\nname: demo\n"
VLLM = "{engine: vllm, source: 'hf://org/a@v1'"
RAY = "{engine: ray, source: 'hf://org/a@v1'}"


def told(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    """Field and message of each problem."""
    path = tmp_path / "fairlead.yaml"
    path.write_text(HEAD + text)
    with pytest.raises(UserError) as refusal:
        check_interpreters(load(path), tmp_path)
    assert all("pip install" in problem.hint for problem in refusal.value.problems)
    return [(problem.subject, problem.message) for problem in refusal.value.problems]


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    """The interpreter of these tests has neither; another one is not there."""
    text = f"models: {{a: {VLLM}}}, b: {VLLM}, python: ./none/python}}, c: {RAY}}}"
    assert told(tmp_path, text) == [
        ("ray.python", f"{sys.executable} has no module ray"),
        ("models.a.python", f"{sys.executable} has no module vllm"),
        ("models.b.python", f"{tmp_path / 'none/python'} cannot be run: No such file or directory"),
    ]


def test_where_the_module_is_nothing_is_told(tmp_path: Path) -> None:
    """A joined cluster has its own Python; an interpreter that has the module is found by its path."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$1" "$2" json\n')
    python.chmod(0o755)
    path = tmp_path / "fairlead.yaml"
    joined = "ray: {address: 'http://127.0.0.1:8265', serve_url: 'http://127.0.0.1:8000'}"
    path.write_text(f"{HEAD}models: {{a: {VLLM}, python: ./python}}, b: {RAY}}}\n{joined}\n")
    check_interpreters(load(path), tmp_path)
