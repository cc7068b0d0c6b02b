"""The gateway as it is rendered is the one that runs on a laptop, with other upstreams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.gateway.config import load
from fairlead.render import names
from fairlead.render.targets import TARGETS, rendered

from .plans import SERVICE, built, spec

PATH = "manifests/gateway.yaml"


def objects(kind: str) -> list[dict[str, Any]]:
    return [each.object for each in rendered(built()).manifests if each.object["kind"] == kind]


def test_the_gateway_reads_what_the_config_map_holds(tmp_path: Any) -> None:
    [config] = objects("ConfigMap")
    file = tmp_path / "gateway.json"
    file.write_text(config["data"]["gateway.json"])
    loaded = load(file, {})
    assert (loaded.listen.host, loaded.listen.port, loaded.admin.port) == ("0.0.0.0", 8080, 9090)
    assert loaded.models["llama-8b"].upstreams == ("http://chat-llama-8b.chat.svc.cluster.local:8000",)
    assert loaded.models["far"].upstreams == ("https://far.example.com",)


def test_each_variable_of_the_gateway_comes_from_its_secret() -> None:
    [deployment] = [each for each in objects("Deployment") if each["metadata"]["name"] == names.gateway(spec())]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    references = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"]}
    secret = names.gateway_secret(spec())
    assert references == {name: {"name": secret, "key": name} for name in ("DATABASE_URL", "FAR_API_KEY")}


def test_the_same_build_gives_the_same_bytes() -> None:
    first, second = rendered(built()).texts(), rendered(built()).texts()
    assert json.dumps(first) == json.dumps(second)


BULK = "user: {models: ['*']}\n    bulk: {models: ['*'], operations: [chat, batch]}"
BATCHES = SERVICE.replace('user: {models: ["*"]}', BULK) + "fairness: {max_in_flight: 64}\nbatches: {concurrency: 4}\n"


@pytest.mark.parametrize("target", TARGETS)
def test_a_batch_api_needs_no_volume_and_no_way_that_was_not_open(target: str) -> None:
    without = rendered(built(SERVICE, target)).manifests
    having = rendered(built(BATCHES, target)).manifests
    for kind in ("NetworkPolicy", "PersistentVolumeClaim", "PersistentVolume"):
        before, after = ([each.object for each in some if each.object["kind"] == kind] for some in (without, having))
        assert before == after
    [config] = [each.object for each in having if "gateway.json" in each.object.get("data", {})]
    assert json.loads(config["data"]["gateway.json"])["batches"]["concurrency"] == 4
