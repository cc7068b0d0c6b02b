"""A real worker process on a free port of loopback, for tests."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

READY_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(model: Path, cache: Path, port: int, options: Sequence[str] = ()) -> list[str]:
    fixed = ["--model", str(model), "--served-model-name", "tiny", "--served-model-name", "alias"]
    place = ["--host", "127.0.0.1", "--port", str(port), "--cache-dir", str(cache)]
    return [sys.executable, "-m", "fairlead.engine.openvino", *fixed, *place, *options]


@contextmanager
def worker(model: Path, cache: Path, *options: str) -> Iterator[httpx.Client]:
    """A client of a worker that is ready; the worker has to end with status 0 when asked to."""
    port = free_port()
    process = subprocess.Popen(command(model, cache, port, options))
    limits = httpx.Limits(max_connections=None)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits, trust_env=False) as client:
            wait_for(lambda: answers(client, process), READY_S)
            yield client
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def answers(client: httpx.Client, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"the worker ended with {process.returncode}"
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def wait_for(true: Callable[[], bool], seconds: float) -> None:
    """Ask until it is so; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def gauge(client: httpx.Client, name: str) -> float:
    """The sum of a metric's samples in the worker's /metrics."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith((name + "{", name + " "))]
    assert lines, f"no metric {name}"
    return sum(float(line.rpartition(" ")[2]) for line in lines)
