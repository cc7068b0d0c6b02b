"""`python -m bench.batches`: what a batch gets out of an engine, and what it costs those who are in a hurry.

A service of its own with the demo model. Throughput: `fairlead batch run` through the gateway beside a load generator
straight at the engine, as many requests at once, in turns. Patience: TTFT of interactive streams with and without a
batch of the Batch API, in turns. Ratios are of one run; the machine's figures are not worth much alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples/batch/fairlead.yaml"
AT_ONCE = 16
LEAST_THROUGHPUT = 0.9  # of the load generator's
MOST_WAITING = 1.5  # times the p95 of TTFT without a batch
CHAT = "/v1/chat/completions"
Service = dict[str, Any]


def main(argv: Sequence[str]) -> int:
    """Measure both; prints JSON. Exit code 1 when a batch gets too little out of an engine, or costs others much."""
    parser = argparse.ArgumentParser(prog="python -m bench.batches", description=__doc__)
    parser.add_argument("--rows", type=int, default=400, help="rows of a run")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--asks", type=int, default=60, help="interactive streams of a turn")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as running:
        measured = {
            "throughput": throughput(running, Path(folder), options.rounds, options.rows),
            "patience": patience(running, options.rounds, options.asks),
        }
    sys.stdout.write(json.dumps(measured, indent=1) + "\n")
    holds = measured["throughput"]["ratio"] >= LEAST_THROUGHPUT and measured["patience"]["ratio"] <= MOST_WAITING
    return 0 if holds else 1


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """The example on free ports; its URL, the engine's, and a key that may use batches."""
    text = EXAMPLE.read_text()
    for name in ("port", "admin_port"):
        text = re.sub(rf"(?m)^  {name}: \d+", f"  {name}: {free_port()}", text)
    (folder / "fairlead.yaml").write_text(text)
    fairlead(folder, "up", "--detach", "--json")
    try:
        status = json.loads(fairlead(folder, "status", "--json"))
        made = json.loads(fairlead(folder, "keys", "create", "--tenant", "bulk", "--role", "analyst", "--json"))
        wait_for_key(status["url"], made["key"])
        engine = next(each["url"] for each in status["services"] if each["name"] == "demo-0")
        yield {"url": status["url"], "key": made["key"], "engine": engine}
    finally:
        fairlead(folder, "down")


def throughput(running: Service, folder: Path, rounds: int, rows: int) -> dict[str, float]:
    """Completion tokens a second: of the load generator, of the batch, and their ratio."""
    fresh = count()
    seen: dict[str, list[float]] = {"generator": [], "batch": []}
    for _ in range(rounds):
        bodies = [body(next(fresh)) for _ in range(rows)]
        seen["generator"].append(asyncio.run(saturate(running["engine"], bodies)))
        source, output = folder / f"in-{next(fresh)}.jsonl", folder / f"out-{next(fresh)}.jsonl"
        source.write_bytes(b"".join(as_row(body(next(fresh)), number) for number in range(rows)))
        words = ("batch", "run", str(source), str(output), "--url", running["url"], "--key", running["key"])
        report = json.loads(fairlead(folder, *words, "--concurrency", str(AT_ONCE), "--json"))
        assert report["good"] == rows, report
        seen["batch"].append(report["tokens_per_s"])
    medians = {name: statistics.median(values) for name, values in seen.items()}
    return {**medians, "ratio": medians["batch"] / medians["generator"]}


async def saturate(engine: str, bodies: list[bytes]) -> float:
    """Tokens a second of an engine that has AT_ONCE requests all the time."""
    host, port = engine.rpartition("//")[2].split(":")
    left = iter(bodies)

    async def work() -> int:
        reader, writer = await asyncio.open_connection(host, int(port))
        tokens = 0
        for each in left:
            head = f"POST {CHAT} HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\n"
            writer.write(f"{head}content-length: {len(each)}\r\n\r\n".encode() + each)
            answered = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", answered)
            assert length, answered
            tokens += json.loads(await reader.readexactly(int(length[1])))["usage"]["completion_tokens"]
        writer.close()
        return tokens

    began = time.monotonic()
    tokens = sum(await asyncio.gather(*(work() for _ in range(AT_ONCE))))
    return tokens / (time.monotonic() - began)


def patience(running: Service, rounds: int, asks: int) -> dict[str, float]:
    """TTFT of interactive streams, p50 and p95 in ms, without and with a batch; `ratio` is of the p95."""
    fresh = count()
    seen: dict[str, list[float]] = {"alone": [], "beside": []}
    headers = {"Authorization": f"Bearer {running['key']}"}
    with httpx.Client(base_url=running["url"], headers=headers, timeout=60.0, trust_env=False) as client:
        for _ in range(rounds):
            seen["alone"] += [ttft_ms(client, next(fresh)) for _ in range(asks)]
            batch = begin_batch(client, fresh)
            for _ in range(AT_ONCE):  # the callers of before did not stop: those that came into its silence are no case
                ttft_ms(client, next(fresh))
            seen["beside"] += [ttft_ms(client, next(fresh)) for _ in range(asks)]
            found = client.post(f"/v1/batches/{batch}/cancel")
            assert found.status_code == 200, f"the batch ended too early: {found.text}"
            while client.get(f"/v1/batches/{batch}").json()["status"] != "cancelled":
                time.sleep(0.05)
    figures = {f"{name}_p{share}": quantile(values, share) for name, values in seen.items() for share in (50, 95)}
    return {**figures, "ratio": figures["beside_p95"] / figures["alone_p95"]}


def begin_batch(client: httpx.Client, fresh: Iterator[int]) -> str:
    """A batch that is longer than a turn, once its first rows are answered."""
    rows = b"".join(as_row(body(next(fresh)), number) for number in range(9000))
    file = client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("rows.jsonl", rows)}).json()
    asked = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
    batch = str(client.post("/v1/batches", json=asked).json()["id"])
    while client.get(f"/v1/batches/{batch}").json()["request_counts"]["completed"] < AT_ONCE:
        time.sleep(0.05)
    return batch


def ttft_ms(client: httpx.Client, number: int) -> float:
    """From the request to the first token of its stream."""
    asked = {**json.loads(body(number)), "stream": True}
    began = time.monotonic()
    with client.stream("POST", CHAT, json=asked) as answer:
        assert answer.status_code == 200
        first = 0.0
        for line in answer.iter_lines():
            if not first and '"content":"' in line.replace(" ", "") and '"content":""' not in line.replace(" ", ""):
                first = time.monotonic()
    return (first - began) * 1e3


def quantile(values: list[float], share: int) -> float:
    """The value that `share` per cent are not above."""
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


def body(number: int) -> bytes:
    """A question that no other is like, so that no cache answers."""
    asked = {"role": "user", "content": f"{number}: What is TTFT, and what is continuous batching?"}
    return json.dumps({"model": "demo", "messages": [asked], "max_tokens": 48}).encode()


def as_row(asked: bytes, number: int) -> bytes:
    """A request as a row of a batch."""
    row = {"custom_id": f"r-{number}", "method": "POST", "url": CHAT, "body": json.loads(asked)}
    return json.dumps(row).encode() + b"\n"


def wait_for_key(url: str, key: str) -> None:
    """Until the gateway has taken it up."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
        while client.get("/v1/models").status_code == 401:
            time.sleep(0.05)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fairlead(folder: Path, *words: str) -> str:
    """A command's output."""
    argv = [sys.executable, "-m", "fairlead.cli.main", *words]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
