"""The command line that the rendered Job's container has runs here: rows out of an object store, answers back into it.

Only addresses are replaced, as a cluster's network would: the gateway's and the object store's. The gateway and the
engine behind it are real; the run's name and the key are given as the kubelet gives them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # comes with moto
import pytest
from moto.server import ThreadedMotoServer

from fairlead.engine.commands import Openvino, openvino_command
from fairlead.engine.source import fetch
from fairlead.render.targets import rendered
from gateway.harness import compiled, free_port, running
from gateway.upstream import eventually
from render.plans import built
from render.test_live import START_S, answers

from .conftest import lines_of, row

HERE = Path(sys.executable).parent
RUN = "chat-batch-nightly-29394840"
ROWS = 6


def container() -> dict[str, Any]:
    """The one of the CronJob."""
    [job] = [each.object for each in rendered(built()).documents if each.title == "CronJob/chat-batch-nightly"]
    [found] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    whole: dict[str, Any] = found
    return whole


def command(url: str) -> list[str]:
    """Its words: the variables that the kubelet puts in are in, and the gateway is ours."""
    made = container()
    words = [word.replace("$(RUN)", RUN) for word in (*made["command"], *made["args"])]
    changed = [re.sub("^--url=.*", f"--url={url}", word) for word in words]
    assert sum(old != new for old, new in zip(words, changed, strict=True)) == 1
    return [str(HERE / changed[0]), *changed[1:]]


@contextmanager
def engine(folder: Path) -> Iterator[str]:
    """The embedded engine with the demo model, under the name that the rows ask for; its URL."""
    weights, port = fetch("demo:v1", folder / "sources", base=folder, progress=None), free_port()
    told = Openvino(
        model=weights, names=("llama-8b",), port=port, kv_cache_bytes=64 * 2**20, cache_dir=folder / "cache"
    )
    process = subprocess.Popen(openvino_command(told).argv)
    url = f"http://127.0.0.1:{port}"
    try:
        assert eventually(partial(answers, url, process), within_s=START_S), f"{url} does not answer"
        yield url
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def bucket() -> Iterator[tuple[dict[str, str], Any]]:
    """An object store with the job's buckets; what the environment says of it, and a client."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    named = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    options = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **options)
    try:
        for name in ("rows", "answers"):
            client.create_bucket(Bucket=name)
        yield named, client
    finally:
        server.stop()


def rows() -> Iterator[dict[str, Any]]:
    """Rows for the job's model, and one for another."""
    for number in range(ROWS):
        each = row(number)
        yield {**each, "body": {**each["body"], "model": "llama-8b"}}
    yield row(ROWS)


@pytest.mark.timeout(180)
def test_the_jobs_command_line_answers_its_rows(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with engine(tmp_path) as url, bucket() as (store, client):
        client.put_object(Bucket="rows", Key="questions.jsonl", Body=lines_of(rows()))
        config = compiled(tmp_path / "state", {"llama-8b": [], "m0": []})
        for model in config["models"].values():
            model["upstreams"] = [url]
        with running(config, tmp_path) as gateway:
            [key] = [each["name"] for each in container()["env"] if "secretKeyRef" in each.get("valueFrom", {})]
            environ = {**os.environ, **store, key: gateway.key, "RUN": RUN}
            first = subprocess.run(
                command(gateway.url), cwd=work, env=environ, capture_output=True, text=True, check=False
            )
            assert first.returncode == 0, first.stdout + first.stderr
            again = subprocess.run(
                command(gateway.url), cwd=work, env=environ, capture_output=True, text=True, check=False
            )
        out = client.get_object(Bucket="answers", Key=f"{RUN}.jsonl")["Body"].read()
        bad = client.get_object(Bucket="answers", Key=f"{RUN}.errors.jsonl")["Body"].read()
    answered = {each["custom_id"]: each["response"] for each in map(json.loads, out.splitlines())}
    assert set(answered) == {f"row-{number}" for number in range(ROWS)}
    assert all(each["body"]["choices"][0]["message"]["content"] for each in answered.values())
    [wrong] = map(json.loads, bad.splitlines())
    assert "The rows are for llama-8b, this one is for 'm0'" in wrong["error"]["message"]
    assert again.returncode == 0, again.stdout + again.stderr
    assert "is there already" in again.stdout
    assert list(work.iterdir()) == []
