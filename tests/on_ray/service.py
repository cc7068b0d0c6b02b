"""`fairlead up` with models on Ray, in a folder of its own, on ports of its own; a start takes a minute or more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from contract.engines import VLLM_PYTHON
from contract.serving import free_port

PATIENCE_S = 600.0
POLL_S = 0.2
MODEL = "{engine: ray, source: %s, device: cpu, max_model_len: 512, max_num_seqs: 32, cpus: 2.0, start_timeout: 15m}"
ANOTHER = "{engine: vllm, source: %s, device: cpu, max_model_len: 512, max_num_seqs: 32, start_timeout: 15m}"


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs."""

    folder: Path
    url: str
    key: str
    keeper: str = ""

    def status(self) -> dict[str, Any]:
        """What `fairlead status --json` says, whether it is well or not."""
        done = command(self.folder, "status", "--json")
        assert done.stdout, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def cluster(self) -> dict[str, Any]:
        """What the cluster's keeper says; nothing while nobody can say."""
        try:
            told: dict[str, Any] = httpx.get(self.keeper + "/status", trust_env=False, timeout=30.0).json()
        except (httpx.HTTPError, ValueError):
            return {"state": "", "nodes": [], "deployments": []}
        return told

    def process(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(each for each in self.status()["services"] if each["name"] == name)
        return found

    def chat(self, client: httpx.Client, model: str, **options: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "What is Fairlead?"}], "temperature": 0}
        headers = {"authorization": f"Bearer {self.key}"}
        return client.post(f"{self.url}/v1/chat/completions", json={**body, **options}, headers=headers)

    def processes(self) -> list[psutil.Process]:
        """`up` and everything below it."""
        top = psutil.Process(self.status()["pid"])
        return [top, *top.children(recursive=True)]


@contextmanager
def service(
    folder: Path, models: Mapping[str, str], ray: str, environ: Mapping[str, str] | None = None, *, named: bool = True
) -> Iterator[Service]:
    """Up at the beginning of the block; down, with all its processes gone, at its end.

    `named`: the file names the engine; else the command line does, whatever the file names.
    """
    file(folder, models, ray, MODEL if named else ANOTHER)
    engine = () if named else ("--engine", "ray")
    done = command(folder, "up", *engine, "--detach", "--json", environ=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    ready = json.loads(done.stdout)
    running = Service(folder, ready["url"], ready["key"])
    running = replace(running, keeper=running.process("ray-serve")["url"])
    processes = running.processes()
    try:
        yield running
    finally:
        processes += running.processes()
        command(folder, "down")
        until(lambda: not any(alive(process) for process in processes), "the end of every process")


def file(folder: Path, models: Mapping[str, str], ray: str, model: str = MODEL) -> Path:
    """The service's file."""
    assert VLLM_PYTHON.exists(), "run `make test-ray`: it sets up Ray and vLLM first"
    path = folder / "fairlead.yaml"
    lines = ["apiVersion: fairlead/v1", "name: fleet", "models:"]
    lines += [f"  {name}: {model % source}" for name, source in models.items()]
    lines += [f"ray: {ray}", f"gateway: {{port: {free_port()}, admin_port: {free_port()}}}"]
    path.write_text("\n".join(lines) + "\n")
    return path


def command(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of ours in `folder`."""
    argv = [str(Path(sys.executable).with_name("fairlead")), *arguments]
    env = {**os.environ, **(environ or {})}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=900, check=False)


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Begin a command of ours in `folder`."""
    argv = [str(Path(sys.executable).with_name("fairlead")), *arguments]
    return subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def own_cluster(nodes: int) -> str:
    return f"{{python: {VLLM_PYTHON}, nodes: {nodes}, cpus: 2.0}}"


def until(condition: Callable[[], bool], what: str, every_s: float = POLL_S) -> None:
    """Ask again and again, up to the limit of patience."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(every_s)


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
