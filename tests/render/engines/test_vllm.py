"""Plain vLLM: what the command line, the probes, the node and the Service say is one and the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fairlead.catalog.allocatable import allocatable
from fairlead.plan.service import Placement, ServicePlan
from fairlead.render.build import Build
from fairlead.render.engines.vllm import vllm
from fairlead.units import parse_bytes, parse_cores

from ..plans import SERVICE, built, plan
from .oracle import judged, named, objects, parts, walk

LLAMA = "chat-llama-8b"


def changed(build: Build, **fields: Any) -> Build:
    """The same build with another placement of llama-8b."""
    [first, *others] = build.plan.placements
    return replace(build, plan=replace(build.plan, placements=(replace(first, **fields), *others)))


def pod_of(build: Build | None = None, name: str = LLAMA) -> dict[str, Any]:
    """The pod's spec."""
    spec: dict[str, Any] = named(parts(vllm, build), "Deployment", name)["spec"]["template"]["spec"]
    return spec


def engine_of(build: Build | None = None) -> dict[str, Any]:
    """The engine's container."""
    [container] = pod_of(build)["containers"]
    return dict(container)


def test_the_judges_find_nothing(tmp_path: Path) -> None:
    judged({"plain": parts(vllm)}, tmp_path)


def test_the_engine_is_told_what_was_planned() -> None:
    words = engine_of()["args"]
    assert words[0] == "--served-model-name=llama-8b"
    assert {"--max-model-len=8192", "--max-num-seqs=32", "--tensor-parallel-size=1", "--dtype=bfloat16"} <= {*words}
    assert "--gpu-memory-utilization=0.92" in words
    assert not [word for word in words if "remote-code" in word]


def test_port_path_and_names_agree() -> None:
    made = parts(vllm)
    deployment, service = named(made, "Deployment", LLAMA), named(made, "Service", LLAMA)
    engine = deployment["spec"]["template"]["spec"]["containers"][0]
    assert f"--port={engine['ports'][0]['containerPort']}" in engine["args"]
    assert service["spec"]["ports"][0]["targetPort"] == engine["ports"][0]["name"] == "http"
    assert service["spec"]["ports"][0]["port"] == 8000
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]


def test_the_model_is_fetched_to_where_the_engine_looks() -> None:
    pod = pod_of()
    [fetch] = pod["initContainers"]
    source, cache, link = fetch["args"]
    assert source == "hf://meta-llama/Llama-3.1-8B-Instruct@main"
    assert pod["containers"][0]["command"] == ["vllm", "serve", f"{cache}/{link}"]
    token = {each["name"]: each for each in fetch["env"]}["HF_TOKEN"]
    assert token["valueFrom"]["secretKeyRef"] == {"name": "chat-hub-token", "key": "HF_TOKEN"}
    assert "HF_TOKEN" not in [each["name"] for each in pod["containers"][0]["env"]]


def test_another_revision_is_another_folder() -> None:
    """Pods of the old version that share the volume keep their weights while a rollout runs."""
    other = built(SERVICE.replace("8B-Instruct@main", "8B-Instruct@v2"))
    assert engine_of()["command"] != engine_of(other)["command"]


def test_every_mount_is_a_volume_and_the_root_cannot_be_written() -> None:
    pod = pod_of()
    volumes = {each["name"] for each in pod["volumes"]}
    for container in (*pod["containers"], *pod["initContainers"]):
        assert {each["name"] for each in container["volumeMounts"]} <= volumes
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("tp", [1, 2, 4])
def test_as_many_gpus_as_workers_and_a_full_node_is_exactly_full(tp: int) -> None:
    build = four_gpus(built(), tp)
    engine = engine_of(build)
    limits, requests = engine["resources"]["limits"], engine["resources"]["requests"]
    assert limits["nvidia.com/gpu"] == requests["nvidia.com/gpu"] == str(tp)
    assert f"--tensor-parallel-size={tp}" in engine["args"]
    pool = build.plan.pool_of(build.plan.placements[0])
    whole, pods = allocatable(pool.instance), pool.instance.gpus // tp
    assert whole.cores - 0.01 < pods * parse_cores(requests["cpu"]) + 0.005 * pods <= whole.cores + 0.01 * pods
    assert pods * parse_bytes(requests["memory"]) <= whole.memory_bytes


def four_gpus(build: Build, tp: int) -> Build:
    """llama-8b alone on nodes of four L4."""
    from fairlead.catalog.instances import instance

    pools = tuple(
        replace(pool, instance=instance("g6.12xlarge")) if pool.name == "l4" else pool for pool in plan().pools
    )
    first: Placement = build.plan.placements[0]
    placement = replace(first, deployment=replace(first.deployment, tp=tp))
    service: ServicePlan = replace(build.plan, pools=pools, placements=(placement,))
    return replace(build, plan=service)


def test_shared_memory_counts_as_memory_of_the_pod() -> None:
    for tp in (1, 2, 4):
        pod = pod_of(four_gpus(built(), tp))
        [shm] = [each["emptyDir"] for each in pod["volumes"] if each["name"] == "shm"]
        assert shm["medium"] == "Memory"
        memory = parse_bytes(pod["containers"][0]["resources"]["limits"]["memory"])
        assert parse_bytes(shm["sizeLimit"]) <= memory / 4


def test_a_start_may_take_twice_what_is_expected() -> None:
    for seconds in (60.0, 900.0):
        build = changed(built(), startup_s=seconds)
        probe = engine_of(build)["startupProbe"]
        assert probe["failureThreshold"] * probe["periodSeconds"] >= 2 * seconds
        deployment = named(parts(vllm, build), "Deployment", LLAMA)["spec"]
        assert deployment["progressDeadlineSeconds"] > probe["failureThreshold"] * probe["periodSeconds"]


def test_a_pod_ends_only_after_the_requests_that_it_has() -> None:
    pod = pod_of(built(SERVICE.replace("{replicas: 2}", "{replicas: 2, drain_timeout: 5m}")))
    engine = pod["containers"][0]
    assert "--shutdown-timeout=300" in engine["args"]
    assert pod["terminationGracePeriodSeconds"] > 300 + engine["lifecycle"]["preStop"]["sleep"]["seconds"]


def test_on_a_spot_node_it_ends_before_the_cloud_ends_it() -> None:
    build = built(SERVICE.replace("{replicas: 2}", "{replicas: 2, drain_timeout: 5m}"))
    pools = tuple(replace(pool, spot=True) if pool.name == "l4" else pool for pool in build.plan.pools)
    for cloud, notice in (("aws", 120), ("gcp", 30), ("azure", 30)):
        spot = replace(build, plan=replace(build.plan, cloud=cloud, pools=pools))
        assert pod_of(spot)["terminationGracePeriodSeconds"] <= notice


def test_a_rollout_does_not_wait_for_gpus_that_the_pool_cannot_have() -> None:
    """8 nodes of one GPU hold 4 + 4 replicas at most: a ninth pod would stay pending, and the rollout with it."""
    rollout = named(parts(vllm), "Deployment", LLAMA)["spec"]["strategy"]["rollingUpdate"]
    assert rollout == {"maxSurge": 0, "maxUnavailable": 1}
    roomy = changed(built(), maximum=3)
    rollout = named(parts(vllm, roomy), "Deployment", LLAMA)["spec"]["strategy"]["rollingUpdate"]
    assert rollout == {"maxSurge": 1, "maxUnavailable": 0}


def test_an_autoscaler_is_not_undone_by_the_next_rendering() -> None:
    assert "replicas" not in named(parts(vllm), "Deployment", LLAMA)["spec"]
    text = SERVICE[: SERVICE.index("  schedules:")]
    assert "replicas" not in named(parts(vllm, changed(built(), minimum=3, maximum=3)), "Deployment", LLAMA)["spec"]
    fixed = changed(built(text), minimum=3, maximum=3)
    assert named(parts(vllm, fixed), "Deployment", LLAMA)["spec"]["replicas"] == 3


def test_pods_stand_on_their_pool_and_tolerate_its_taints() -> None:
    pod = pod_of()
    assert pod["nodeSelector"] == {"fairlead.dev/pool": "l4"}
    assert {each["key"] for each in pod["tolerations"]} == {"fairlead.dev/pool", "nvidia.com/gpu"}


def test_no_secret_is_written_in_clear() -> None:
    for item in objects(parts(vllm), "Deployment"):
        for value in walk(item):
            if isinstance(value, dict) and value.get("name") == "HF_TOKEN":
                assert "value" not in value
