"""One builder of Ray Serve's configuration, and the keys that Ray would ignore in silence."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from fairlead.render.serve_config import HEAD, Http, Replicas, ServedModel, serve_config
from fairlead.render.serve_keys import unknown_keys

SMALL = ServedModel(
    name="small",
    source="/models/small",
    device="cpu",
    engine={"max_model_len": 512, "enforce_eager": True},
    env={"VLLM_CPU_KVCACHE_SPACE": "1"},
)
LARGE = ServedModel(
    name="large",
    source="org/large",
    engine={"tensor_parallel_size": 4, "quantization": "fp8"},
    replicas=Replicas(minimum=0, maximum=8, target_ongoing_requests=24.0),
    cpus=2.0,
    accelerator="H100",
    resources={"pool-h100": 0.001},
)
HTTP = Http(host="127.0.0.1", port=8000, proxies="HeadOnly")


def config(*models: ServedModel) -> dict[str, Any]:
    return serve_config(models, app="llm", http=HTTP)


def llm_configs(*models: ServedModel) -> list[dict[str, Any]]:
    configs: list[dict[str, Any]] = config(*models)["applications"][0]["args"]["llm_configs"]
    return configs


def test_a_model_on_a_cpu_asks_for_cpus_and_no_accelerator() -> None:
    (small,) = llm_configs(SMALL)
    assert small["placement_group_config"] == {"bundles": [{"CPU": 1.0}], "strategy": "STRICT_PACK"}
    assert "accelerator_type" not in small
    assert small["runtime_env"] == {"env_vars": {"VLLM_CPU_KVCACHE_SPACE": "1"}}
    assert small["deployment_config"]["num_replicas"] == 1
    assert "autoscaling_config" not in small["deployment_config"]


def test_a_model_on_gpus_asks_for_one_each_in_its_pool() -> None:
    (large,) = llm_configs(LARGE)
    bundle = {"CPU": 2.0, "GPU": 1, "pool-h100": 0.001}
    assert large["placement_group_config"] == {"bundles": [bundle] * 4, "strategy": "STRICT_PACK"}
    assert large["accelerator_type"] == "H100"
    assert large["deployment_config"]["autoscaling_config"]["target_ongoing_requests"] == 24.0
    assert large["deployment_config"]["autoscaling_config"]["min_replicas"] == 0
    assert large["deployment_config"]["autoscaling_config"]["initial_replicas"] == 1


def test_pipeline_stages_may_lie_on_several_nodes() -> None:
    (piped,) = llm_configs(ServedModel(name="p", source="org/p", engine={"pipeline_parallel_size": 2}))
    assert piped["placement_group_config"]["strategy"] == "PACK"
    assert len(piped["placement_group_config"]["bundles"]) == 2


def test_nothing_but_the_models_workers_asks_for_a_cpu() -> None:
    application = config(SMALL, LARGE)["applications"][0]
    assert application["args"]["ingress_deployment_config"]["ray_actor_options"] == {"num_cpus": 0}
    for model in application["args"]["llm_configs"]:
        assert model["deployment_config"]["ray_actor_options"] == {"num_cpus": 0}


def test_the_router_may_be_kept_on_the_head() -> None:
    application = serve_config([SMALL], app="llm", http=HTTP, ingress_resources=HEAD)["applications"][0]
    options = application["args"]["ingress_deployment_config"]["ray_actor_options"]
    assert options == {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}


def test_streams_are_never_held_back() -> None:
    assert all(
        model["experimental_configs"] == {"stream_batching_interval_ms": 0} for model in llm_configs(SMALL, LARGE)
    )


def test_the_same_models_give_the_same_bytes_in_whatever_order() -> None:
    assert json.dumps(config(SMALL, LARGE)) == json.dumps(config(LARGE, SMALL))


def test_what_is_built_holds_no_key_that_ray_would_ignore() -> None:
    assert unknown_keys(config(SMALL, LARGE)) == []


FIRST = ("applications", 0, "args", "llm_configs", 0)
MISTAKES: dict[str, tuple[tuple[str | int, ...], str]] = {
    "at the top": ((), "proxy_locations"),
    "http": (("http_options",), "prt"),
    "application": (("applications", 0), "importpath"),
    "arguments of the builder": (("applications", 0, "args"), "llm_config"),
    "ingress": (("applications", 0, "args", "ingress_deployment_config"), "num_replica"),
    "model": (FIRST, "accelerator"),
    "loading": ((*FIRST, "model_loading_config"), "source"),
    "engine": ((*FIRST, "engine_kwargs"), "max_model_length"),
    "deployment": ((*FIRST, "deployment_config"), "autoscaling"),
    "actor": ((*FIRST, "deployment_config", "ray_actor_options"), "num_cpu"),
    "placement": ((*FIRST, "placement_group_config"), "bundle"),
    "removed from autoscaling": (
        (*FIRST, "deployment_config", "autoscaling_config"),
        "target_num_ongoing_requests_per_replica",
    ),
}


@pytest.mark.parametrize(("place", "key"), MISTAKES.values(), ids=MISTAKES)
def test_an_unknown_key_is_found_wherever_it_is(place: tuple[str | int, ...], key: str) -> None:
    wrong = copy.deepcopy(config(LARGE))
    part: Any = wrong
    for step in place:
        part = part[step]
    part[key] = 1
    ((path, message),) = unknown_keys(wrong)
    assert path.endswith(key)
    assert "ignore it in silence" in message


def test_a_key_that_is_nearly_right_is_named() -> None:
    ((_, message),) = unknown_keys({"applicatons": []})
    assert "did you mean 'applications'?" in message


def test_arguments_of_an_application_that_is_not_rays_are_its_own() -> None:
    assert unknown_keys({"applications": [{"name": "a", "import_path": "mine:app", "args": {"anything": 1}}]}) == []


def test_the_builder_for_two_phases_takes_its_own_arguments() -> None:
    arguments = {"prefill_config": {"model_loading_config": {"model_id": "a"}}, "llm_configs": []}
    application = {"name": "a", "import_path": "ray.serve.llm:build_pd_openai_app", "args": arguments}
    ((path, _),) = unknown_keys({"applications": [application]})
    assert path == "applications[0].args.llm_configs"
