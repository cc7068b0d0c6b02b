"""The rendered `gateway.json` of the production example starts the real gateway, and it answers for two real engines.

Only addresses are replaced, as a cluster's network would: the engines', the gateway's own, and the folder of its state.
Stores are real ones, found by the variables that the Deployment takes from its Secret.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from fairlead.engine.commands import Openvino, openvino_command
from fairlead.engine.source import fetch
from fairlead.store.postgres_keys import PostgresKeys
from gateway.harness import Gateway, free_port
from gateway.upstream import eventually
from servers.postgres import postgres
from servers.redis import redis_server

from .planned import rendered

MODELS = ("llama-8b", "qwen-small")
START_S = 60.0


def rendered_config() -> dict[str, Any]:
    """What the gateway's pods mount."""
    made = rendered("production", "vllm")
    [config] = [each.object for each in made.files.manifests if each.title == "ConfigMap/assistants-gateway-config"]
    loaded: dict[str, Any] = json.loads(config["data"]["gateway.json"])
    return loaded


def variables() -> list[str]:
    """The variables that the gateway's container has."""
    title = "Deployment/assistants-gateway"
    [deployment] = [each.object for each in rendered("production", "vllm").files.manifests if each.title == title]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return [each["name"] for each in container["env"]]


@contextmanager
def engines(folder: Path) -> Iterator[dict[str, str]]:
    """Embedded engines with the demo model, under the models' public names; their URLs."""
    weights = fetch("demo:v1", folder / "sources", base=folder, progress=None)
    ports = {name: free_port() for name in MODELS}
    started = [subprocess.Popen(command(weights, name, port, folder / "cache" / name)) for name, port in ports.items()]
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    try:
        for process, url in zip(started, urls.values(), strict=True):
            assert eventually(partial(answers, url, process), within_s=START_S), f"{url} does not answer"
        yield urls
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)


def answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"the engine ended with {process.returncode}"
    try:
        return httpx.get(f"{url}/health", trust_env=False, verify=False).status_code == 200
    except httpx.TransportError:
        return False


def command(weights: Path, name: str, port: int, cache: Path) -> tuple[str, ...]:
    return openvino_command(
        Openvino(model=weights, names=(name,), port=port, kv_cache_bytes=64 * 2**20, cache_dir=cache)
    ).argv


@contextmanager
def serving(folder: Path) -> Iterator[Gateway]:
    """Engines, stores and the gateway."""
    config = rendered_config()
    assert set(config["models"]) == set(MODELS)
    with ExitStack() as stack:
        for name, url in stack.enter_context(engines(folder)).items():
            config["models"][name]["upstreams"] = [url]
        config["listen"] = {"host": "127.0.0.1", "port": free_port()}
        config["admin"] = {"host": "127.0.0.1", "port": free_port()}
        config["state_dir"] = str(folder / "state")
        database = stack.enter_context(postgres()).new_database()
        cache = stack.enter_context(redis_server(durable=False)).url
        environ = dict(zip(variables(), (database, cache), strict=True))
        keys = stack.enter_context(closing(PostgresKeys(database)))
        gateway = Gateway(config, folder, environ=environ, keys=keys)
        try:
            gateway.start()
            yield gateway
        finally:
            gateway.stop()


@pytest.mark.timeout(180)
def test_the_rendered_gateway_serves_both_models(tmp_path: Path) -> None:
    assert variables() == ["DATABASE_URL", "REDIS_URL"]
    with serving(tmp_path) as gateway:
        for model in MODELS:
            answer = gateway.chat(model=model, max_tokens=8)
            assert answer.status_code == 200, answer.text
            assert answer.json()["model"] == model
            assert answer.json()["choices"][0]["message"]["content"]
        assert gateway.chat(model="another").status_code == 404
        assert gateway.admin("/readyz/gateway").status_code == 200
