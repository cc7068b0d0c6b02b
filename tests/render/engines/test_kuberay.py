"""KubeRay: what Serve asks for is what the workers offer, and what the gateway calls is where traffic is shared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from fairlead.catalog.components import component
from fairlead.render import yaml
from fairlead.render.build import Build, Object
from fairlead.render.engines import ray_clock
from fairlead.render.engines.kuberay import kuberay, upstream
from fairlead.render.files import files
from fairlead.render.serve_keys import unknown_keys
from fairlead.units import parse_bytes

from ..oracles import judge
from ..plans import SERVICE, built
from .oracle import judged, named, parts, written

REDIS = '  ray: {redis: "redis.data.svc:6379"}\n'
SECRET = "Secret/chat-ray-secrets"


def service(build: Build | None = None) -> Object:
    """The RayService's spec."""
    return dict(named(parts(kuberay, build), "RayService", "chat-ray")["spec"])


def serve(build: Build | None = None) -> dict[str, Any]:
    """Its Serve configuration, read."""
    return dict(YAML(typ="safe", pure=True).load(service(build)["serveConfigV2"]))


def models(build: Build | None = None) -> dict[str, dict[str, Any]]:
    """Its models, by name."""
    [application] = serve(build)["applications"]
    return {each["model_loading_config"]["model_id"]: each for each in application["args"]["llm_configs"]}


def groups(build: Build | None = None) -> dict[str, Object]:
    """Its worker groups, by name."""
    return {each["groupName"]: each for each in service(build)["rayClusterConfig"]["workerGroupSpecs"]}


def with_ray(gateway_class: str = "istio") -> Build:
    """With Redis, and a class for renewals."""
    return built(SERVICE.replace(REDIS, REDIS.replace("}", f", gateway_class: {gateway_class}}}")))


BUILDS = {"plain": built(), "steps": with_ray(), "twice": with_ray("gke-l7-rilb")}


def test_the_judges_find_nothing(tmp_path: Path) -> None:
    made = {name: files([*kuberay(build), *ray_clock.clock(build)]) for name, build in BUILDS.items()}
    judged(made, tmp_path, SECRET)


def test_ray_itself_takes_the_configuration_and_knows_every_key(tmp_path: Path) -> None:
    for name, build in BUILDS.items():
        written(parts(kuberay, build), tmp_path / name)
        assert unknown_keys(serve(build)) == []
    raised = ray_clock.raised(built(), built().spec.deploy.schedules["day"])  # type: ignore[union-attr]
    assert unknown_keys(raised) == []
    (tmp_path / "raised.yaml").write_text(yaml.dump(raised))
    judge("serve", tmp_path)


def test_every_model_is_told_what_was_planned() -> None:
    build = built()
    for placed in build.plan.placements:
        model = models(build)[placed.model]
        told, scaling = model["engine_kwargs"], model["deployment_config"]["autoscaling_config"]
        assert (told["max_model_len"], told["max_num_seqs"]) == (placed.max_model_len, placed.max_num_seqs)
        assert told["tensor_parallel_size"] == placed.deployment.tp == len(model["placement_group_config"]["bundles"])
        assert scaling["target_ongoing_requests"] == placed.ongoing
        assert (scaling["min_replicas"], scaling["max_replicas"]) == (placed.minimum, placed.maximum)
        assert "trust_remote_code" not in told


def test_what_a_replica_asks_for_is_on_its_pool_and_nowhere_else() -> None:
    offered = {name: group.get("resources", {}) for name, group in groups().items()}
    for model in models().values():
        for bundle in model["placement_group_config"]["bundles"]:
            fitting = [
                name for name, has in offered.items() if all(float(has.get(key, 0)) >= bundle[key] for key in bundle)
            ]
            assert fitting == ["l4"]


def test_ray_counts_the_gpus_that_the_pod_has() -> None:
    group = groups()["l4"]
    [container] = group["template"]["spec"]["containers"]
    assert group["resources"]["GPU"] == container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert int(group["resources"]["CPU"]) <= int(container["resources"]["requests"]["cpu"].removesuffix("m")) / 1000


def test_the_object_store_is_a_small_part_of_the_memory() -> None:
    cluster = service()["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        memory = parse_bytes(group["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"])
        assert int(group["rayStartParams"]["object-store-memory"]) <= 0.1 * memory


def test_workers_have_the_models_where_the_engines_look() -> None:
    pod = groups()["l4"]["template"]["spec"]
    fetched = {f"{each['args'][1]}/{each['args'][2]}" for each in pod["initContainers"]}
    assert fetched == {each["model_loading_config"]["model_source"] for each in models().values()}
    assert {each["name"] for each in pod["containers"][0]["volumeMounts"]} <= {each["name"] for each in pod["volumes"]}


def test_nothing_is_added_that_the_operator_adds() -> None:
    cluster = service()["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        [container] = group["template"]["spec"]["containers"]
        assert not {"livenessProbe", "readinessProbe", "startupProbe", "command"} & container.keys()
        assert "/dev/shm" not in {each["mountPath"] for each in container["volumeMounts"]}


def test_the_head_takes_no_work_and_no_requests() -> None:
    spec = service()
    assert spec["rayClusterConfig"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert spec["excludeHeadPodFromServeSvc"] is True


def test_only_who_has_the_token_submits_code() -> None:
    cluster = service()["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] == component("ray").version


def test_the_head_is_renewed_without_losing_what_it_knew() -> None:
    options = service(with_ray())["rayClusterConfig"]["gcsFaultToleranceOptions"]
    assert options["redisAddress"] == "redis.data.svc:6379"
    reference = options["redisPassword"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": "chat-ray-secrets", "key": "RAY_REDIS_PASSWORD"}
    assert "gcsFaultToleranceOptions" not in service(built(SERVICE.replace(REDIS, "")))["rayClusterConfig"]


RENEWALS = {
    "no word of it": (built(), "NewCluster", "chat-ray-serve-svc", 8000),
    "by steps": (with_ray("istio"), "NewClusterWithIncrementalUpgrade", "chat-ray-gateway-istio", 80),
    "by steps, cilium": (with_ray("cilium"), "NewClusterWithIncrementalUpgrade", "cilium-gateway-chat-ray-gateway", 80),
    "a class whose Services nobody knows": (with_ray("gke-l7-rilb"), "NewCluster", "chat-ray-serve-svc", 8000),
}


@pytest.mark.parametrize(("build", "how", "asked", "port"), RENEWALS.values(), ids=RENEWALS)
def test_the_gateway_calls_what_shares_out_the_traffic(build: Build, how: str, asked: str, port: int) -> None:
    assert service(build)["upgradeStrategy"]["type"] == how
    found = upstream(build.spec, "llama-8b")
    assert (found.service, found.port, found.health_path) == (asked, port, "/-/healthz")


def test_workers_are_as_many_as_the_pool_has_nodes() -> None:
    group = groups()["l4"]
    assert (group["minReplicas"], group["maxReplicas"]) == (2, 8)  # one replica at least of each of the two models
    assert groups()["general"]["minReplicas"] == 2


def test_a_pool_of_many_gpus_is_counted_in_nodes() -> None:
    from fairlead.catalog.instances import instance

    build = built()
    pools = [
        replace(each, instance=instance("g6.12xlarge")) if each.name == "l4" else each for each in build.plan.pools
    ]
    build = replace(build, plan=replace(build.plan, pools=tuple(pools)))
    assert groups(build)["l4"]["minReplicas"] == 1
    assert groups(build)["l4"]["resources"]["GPU"] == "4"


def test_the_same_build_gives_the_same_bytes() -> None:
    assert json.dumps(service()) == json.dumps(service())
