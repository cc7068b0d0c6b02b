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


def test_the_gateway_fills_the_engines_as_far_as_they_are_told_to_go() -> None:
    """Requests that run at once, the longest context and the number of engines: the plan's, in both places."""
    made = rendered(built())
    [config] = objects("ConfigMap")
    model = json.loads(config["data"]["gateway.json"])["models"]["llama-8b"]
    [engine] = [each.object for each in made.manifests if each.object["metadata"]["name"] == "chat-llama-8b"
                and each.object["kind"] == "Deployment"]  # fmt: skip
    words = engine["spec"]["template"]["spec"]["containers"][0]["args"]
    told = dict(word.split("=", 1) for word in words if "=" in word)
    assert str(model["max_num_seqs"]) == told["--max-num-seqs"]
    assert str(model["max_model_len"]) == told["--max-model-len"]
    [placement] = [each for each in built().plan.placements if each.model == "llama-8b"]
    assert model["engines"] == placement.maximum


def test_administration_is_reached_from_outside_where_a_role_may_do_any() -> None:
    assert public_paths("chat") == ["/v1"]
    assert public_paths("chat, 'admin:usage'") == ["/v1", "/admin"]


def public_paths(operations: str) -> list[str]:
    """The paths of the route, where the only role may do these."""
    role = f"user: {{models: ['*'], operations: [{operations}]}}"
    made = rendered(built(SERVICE.replace('user: {models: ["*"]}', role)))
    routes = [each.object for each in made.manifests if each.object["kind"] == "HTTPRoute"]
    [route] = [each for each in routes if each["metadata"]["name"] == names.gateway(spec())]
    return [match["path"]["value"] for match in route["spec"]["rules"][0]["matches"]]
