"""A real service (`fairlead up`: a real model, an engine process, the gateway) and the official clients beside it.

BASE_URL, API_KEY and MODEL in the environment name another service to run against.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "clients"


@dataclass(frozen=True, slots=True)
class Service:
    """Where it is, and a key that works."""

    url: str
    key: str
    model: str

    def environ(self) -> dict[str, str]:
        return {**os.environ, "BASE_URL": self.url, "API_KEY": self.key, "MODEL": self.model}


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    told = os.environ
    if "BASE_URL" in told:
        yield Service(told["BASE_URL"], told["API_KEY"], told.get("MODEL", "demo"))
        return
    folder = tmp_path_factory.mktemp("service")
    fairlead(folder, "init")
    file = folder / "fairlead.yaml"
    file.write_text(with_free_ports(file.read_text()))
    try:
        ready = json.loads(fairlead(folder, "up", "--detach", "--json"))
        yield Service(ready["url"], ready["key"], "demo")
    finally:
        fairlead(folder, "down")


def fairlead(folder: Path, *arguments: str) -> str:
    """Run a command of ours in `folder`; what it printed."""
    command = Path(sys.executable).with_name("fairlead")
    done = subprocess.run([command, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def with_free_ports(text: str) -> str:
    """The file that `fairlead init` writes, on ports that nobody uses."""
    with socket.socket() as first, socket.socket() as second:
        for probe, name in ((first, "port"), (second, "admin_port")):
            probe.bind(("127.0.0.1", 0))
            text, found = re.subn(rf"(?m)^  {name}: \d+", f"  {name}: {probe.getsockname()[1]}", text)
            assert found == 1, name
    return text


def python_with(version: str) -> Path:
    """The interpreter of a virtual environment that has this version of the client; made once."""
    folder = CACHE / f"openai-{version}"
    python = folder / "bin" / "python"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # the tests run in several processes
        if not (folder / "ready").exists():
            uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
            subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), f"openai=={version}"], check=True)
            (folder / "ready").touch()
    return python


def node_with_client() -> tuple[str, Path]:
    """Node and the folder whose node_modules has the client of package-lock.json; made once for each lock."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("no `node` and `npm` on PATH")
    folder, source = CACHE / "node", Path(__file__).with_name("node")
    lock = (source / "package-lock.json").read_text()
    marker = folder / "installed.json"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not marker.exists() or marker.read_text() != lock:
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, folder)
            subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True)
            marker.write_text(lock)
    return node, folder
