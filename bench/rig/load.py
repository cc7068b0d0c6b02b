"""One run of the load generator against one target gives one frozen sample, CPU and memory of the target included."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rig import meter
from bench.rig.build import binary
from bench.rig.process import pinned

TAIL_S = 0.15  # the accounts are read this much before the load generator leaves
PATH = "/v1/chat/completions"
SENTENCE = "You are a support assistant. Summarise the following ticket and say which team owns it. "


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent. `rate_per_s` 0 is a closed loop: a connection asks again as soon as it is answered."""

    streaming: bool = False
    connections: int = 64
    rate_per_s: float = 0.0
    prompt_bytes: int = 800  # the body is then about 1 KB
    tokens: int = 200


@dataclass(frozen=True, slots=True)
class Target:
    """Where it is sent, and whose CPU is counted. `rig_pids` are the rig's own processes (the mock)."""

    port: int
    pid: int
    rig_pids: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """How long, on which core the load generator runs, and where its program lies."""

    seconds: float
    warmup_s: float
    core: int
    cache: Path


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave. Times in microseconds; `failures` counts errors, bad statuses and short streams."""

    requests: int
    rps: float
    latency_p50_us: float
    latency_p99_us: float
    chunks_per_s: float
    chunk_delay_p50_us: float
    chunk_delay_p99_us: float
    failures: int
    first_error: str
    target_cores: float
    rig_cores: float
    foreign_cores: float
    pss_mib: float


def chat_body(load: Load) -> bytes:
    """The request body, in the order of keys that OpenAI's own client uses."""
    text = (SENTENCE * (load.prompt_bytes // len(SENTENCE) + 1))[: load.prompt_bytes]
    asked = {
        "messages": [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": text}],
        "model": "m0",
        "max_tokens": load.tokens,
        "temperature": 0.7,
        "top_p": 0.9,
        "stream": load.streaming,
    }
    return json.dumps(asked | ({"stream_options": {"include_usage": True}} if load.streaming else {})).encode()


def measure(load: Load, target: Target, window: Window) -> Figures:
    """Run the load generator once and read the accounts while it measures."""
    body = window.cache / "body.json"
    body.write_bytes(chat_body(load))
    argv = pinned(_argv(load, target, window, body), window.core)
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as generator:
        time.sleep(window.warmup_s)
        pids, rig = meter.tree(target.pid), [*target.rig_pids, generator.pid]
        before = meter.read(pids, rig)
        time.sleep(max(0.0, window.seconds - TAIL_S))
        used = meter.usage(before, meter.read(pids, rig))
        pss = meter.pss_mib(pids)
        printed, _ = generator.communicate(timeout=60)
    return figures(json.loads(printed), used, pss, load)


def figures(printed: dict[str, Any], used: meter.Usage, pss_mib: float, load: Load) -> Figures:
    """Bring what the load generator printed and what the meters read into one value."""
    delay = printed.get("chunk_delay_us", {})
    return Figures(
        requests=printed["requests"],
        rps=printed["rps"],
        latency_p50_us=printed["latency_us"]["p50"],
        latency_p99_us=printed["latency_us"]["p99"],
        chunks_per_s=printed.get("chunks_per_s", 0.0),
        chunk_delay_p50_us=delay.get("p50", 0.0),
        chunk_delay_p99_us=delay.get("p99", 0.0),
        failures=failures(printed, load.tokens),
        first_error=printed.get("error_body", ""),
        target_cores=round(used.target_cores, 4),
        rig_cores=round(used.rig_cores, 4),
        foreign_cores=round(used.foreign_cores, 4),
        pss_mib=round(pss_mib, 1),
    )


def failures(printed: dict[str, Any], tokens: int) -> int:
    """Broken connections, bad statuses, streams without `[DONE]`, and streams with a wrong number of tokens."""
    bad = printed["errors"] + printed["http_errors"] + printed.get("streams_without_done", 0)
    fewest, most = printed.get("chunks_per_stream", [0, 0])
    wrong = most > 0 and (fewest, most) != (tokens, tokens)
    return int(bad + wrong)


def _argv(load: Load, target: Target, window: Window, body: Path) -> Sequence[str]:
    options = {
        "--port": target.port,
        "--path": PATH,
        "--mode": "sse" if load.streaming else "json",
        "--conns": load.connections,
        "--rate": load.rate_per_s,
        "--duration": window.seconds,
        "--warmup": window.warmup_s,
        "--body": body,
    }
    flat = [str(word) for pair in options.items() for word in pair]
    headers = [word for header in target.headers for word in ("--header", header)]
    return [str(binary("loadgen", window.cache / "rig")), *flat, *headers]
