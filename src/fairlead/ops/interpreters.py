"""The Pythons that engines run in have what they need: told before anything is fetched or started."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from fairlead.errors import EXIT_FAILED, Problem, UserError
from fairlead.ops.machine import interpreter
from fairlead.ops.ray import ray_models
from fairlead.spec.ray import Ray
from fairlead.spec.types import Spec, VllmModel

FIND = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
INSTALL = {"ray": "pip install 'ray[serve,data]' vllm", "vllm": "pip install vllm"}
PATIENCE_S = 60.0


def check_interpreters(spec: Spec, base: Path) -> None:
    """`base`: the folder of the spec's file. Raises UserError with every Python that cannot run what it should."""
    problems = [
        Problem(told, subject=field, hint=f"{INSTALL[module]}; or name another with {field}")
        for field, python, module in needed(spec)
        if (told := lack(interpreter(python, base), module))
    ]
    if problems:
        raise UserError(problems=problems, exit_code=EXIT_FAILED)


def needed(spec: Spec) -> Iterator[tuple[str, str | None, str]]:
    """Field, the Python that it names, and the module that has to be there."""
    ray = spec.ray or Ray()
    if ray_models(spec) and not ray.address:
        yield "ray.python", ray.python, "ray"
    for name, model in spec.models.items():
        if isinstance(model, VllmModel):
            yield f"models.{name}.python", model.python, "vllm"


def lack(python: str, module: str) -> str:
    """What is wrong with an interpreter; "" where it has the module."""
    try:
        done = subprocess.run([python, "-c", FIND, module], capture_output=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} cannot be run: {getattr(error, 'strerror', None) or error}"
    return f"{python} has no module {module}" if done.returncode else ""
