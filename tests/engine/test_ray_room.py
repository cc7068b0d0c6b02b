"""What does not fit is told before Ray waits for it; metrics have one dialect; the cluster's view is one value."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.engine.ray.dialect import in_plain_names, queued
from fairlead.engine.ray.keeper import Settings, explained, token
from fairlead.engine.ray.room import shortages
from fairlead.engine.ray.view import Deployment, View, others, view
from fairlead.errors import UserError


def config(name: str, bundles: list[dict[str, float]], replicas: int = 1, strategy: str = "STRICT_PACK") -> Any:
    model = {
        "model_loading_config": {"model_id": name},
        "placement_group_config": {"bundles": bundles, "strategy": strategy},
        "deployment_config": {"num_replicas": replicas},
    }
    return {"applications": [{"args": {"llm_configs": [model]}}]}


TWO = [{"CPU": 4.0, "GPU": 2.0}, {"CPU": 4.0, "GPU": 2.0}]
ROOM: dict[str, tuple[Any, list[dict[str, float]], str]] = {
    "fits": (config("a", [{"CPU": 1, "GPU": 1}] * 2, replicas=2), TWO, ""),
    "larger than any node": (config("a", [{"GPU": 1}] * 4), TWO, "a replica needs 4 GPU on one node; the nodes have 2"),
    "spread over nodes": (config("a", [{"GPU": 1}] * 4, strategy="PACK"), TWO, ""),
    "one replica too many": (config("a", [{"GPU": 1}] * 2, replicas=3), TWO, "no room left for a replica of 2 GPU"),
    "no such resource": (config("a", [{"pool-l4": 0.001}]), TWO, "0 pool-l4"),
    "no nodes": (config("a", [{"CPU": 1}]), [], "the nodes have none"),
}


@pytest.mark.parametrize(("asked", "nodes", "told"), ROOM.values(), ids=ROOM)
def test_room(asked: Any, nodes: list[dict[str, float]], told: str) -> None:
    found = shortages(asked, nodes)
    assert (told in found[0]) if told else found == []


def test_the_least_number_of_replicas_has_to_fit() -> None:
    scaled = config("a", [{"GPU": 1}])
    scaled["applications"][0]["args"]["llm_configs"][0]["deployment_config"] = {
        "autoscaling_config": {"min_replicas": 2, "max_replicas": 99}
    }
    assert shortages(scaled, [{"GPU": 2.0}]) == []
    assert len(shortages(scaled, [{"GPU": 1.0}])) == 1


PAGE = """# HELP ray_vllm_generation_tokens_total Tokens.
# TYPE ray_vllm_generation_tokens_total counter
ray_vllm_generation_tokens_total{NodeAddress="10.0.0.%d",WorkerId="w",engine="0",model_name="a"} 5.0
# HELP ray_vllm_e2e_request_latency_seconds Latency.
# TYPE ray_vllm_e2e_request_latency_seconds histogram
ray_vllm_e2e_request_latency_seconds_bucket{WorkerId="w%d",le="1.0",model_name="a"} 1.0
ray_vllm_e2e_request_latency_seconds_bucket{WorkerId="w%d",le="+Inf",model_name="a"} 2.0
ray_vllm_e2e_request_latency_seconds_count{WorkerId="w%d",model_name="a"} 2.0
ray_vllm_e2e_request_latency_seconds_sum{WorkerId="w%d",model_name="a"} 3.5
# HELP ray_serve_deployment_queued_queries Queue.
# TYPE ray_serve_deployment_queued_queries gauge
ray_serve_deployment_queued_queries{deployment="x"} 3.0
"""


def test_every_nodes_metrics_are_summed_under_vllms_names() -> None:
    pages = [PAGE % ((number,) * 5) for number in (1, 2)]
    lines = in_plain_names(pages).splitlines()
    assert "# TYPE vllm:generation_tokens_total counter" in lines
    assert 'vllm:generation_tokens_total{model_name="a"} 10.0' in lines
    assert 'vllm:e2e_request_latency_seconds_bucket{le="+Inf",model_name="a"} 4.0' in lines
    assert 'vllm:e2e_request_latency_seconds_sum{model_name="a"} 7.0' in lines
    assert 'vllm:num_requests_running{model_name="a"} 0.0' in lines, "an engine that does nothing tells no gauges"
    assert not any("ray_" in line for line in lines)
    assert in_plain_names(["# nothing yet"]) == ""
    assert queued(pages) == 6


NODE = {
    "raylet": {
        "nodeManagerAddress": "127.0.0.1",
        "nodeId": "abcdef0123456789",
        "isHeadNode": True,
        "resourcesTotal": {"CPU": 2.0},
    }
}
SERVE: dict[str, Any] = {
    "applications": {
        "ours": {
            "status": "UNHEALTHY",
            "message": "",
            "deployments": {
                "LLMServer:a": {
                    "name": "LLMServer:a",
                    "status": "UNHEALTHY",
                    "message": "a node died",
                    "target_num_replicas": 2,
                    "replicas": [
                        {"state": "RUNNING", "node_id": "abcdef0123456789"},
                        {"state": "STARTING", "node_id": None},
                    ],
                }
            },
        },
        "theirs": {},
    }
}


def test_the_view_of_a_cluster() -> None:
    seen = view("ours", [NODE], SERVE, 4)
    expected = Deployment("LLMServer:a", "UNHEALTHY", 2, {"RUNNING": 1, "STARTING": 1}, ("abcdef01",), "a node died")
    assert seen.deployments == (expected,)
    assert (seen.state, seen.queued, seen.nodes[0].resources) == ("UNHEALTHY", 4, {"CPU": 2.0})
    assert explained(seen) == "LLMServer:a: a node died"
    assert view("ours", [], {}, 0) == View("", "")
    assert others("ours", SERVE) == ["theirs"]


def test_a_token_that_is_named_has_to_be_there() -> None:
    settings = Settings("http://h", 1, "a", {}, token_env="TOKEN")
    assert token(settings, {"TOKEN": "secret"}) == "secret"
    with pytest.raises(UserError, match="TOKEN is not set"):
        token(settings, {})
    assert token(Settings("http://h", 1, "a", {}), {}) == ""
