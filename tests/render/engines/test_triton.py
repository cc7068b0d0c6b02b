"""Triton: the repository's files say what the plan says, and stand where Triton looks for them."""

from __future__ import annotations

import json
from pathlib import Path

from fairlead.render.build import Build, Object
from fairlead.render.engines import triton
from fairlead.render.engines.settings import settings
from fairlead.render.engines.site import Site, sites
from fairlead.render.engines.vllm import vllm

from ..plans import SERVICE, built
from .oracle import judged, named, objects, parts

LLAMA = "chat-llama-8b"


def site_of(build: Build) -> Site:
    """llama-8b."""
    [site] = [each for each in sites(build) if each.served == "llama-8b"]
    return site


def pod_of(build: Build) -> Object:
    """Its pod's spec."""
    return dict(named(parts(triton.triton, build), "Deployment", LLAMA)["spec"]["template"]["spec"])


def test_the_judges_find_nothing(tmp_path: Path) -> None:
    judged({"triton": parts(triton.triton)}, tmp_path)


def test_model_json_is_what_vllm_would_be_told() -> None:
    build = built(target="triton")
    told = json.loads(triton.repository(site_of(build))["model.json"])
    assert settings(site_of(build)).items() <= told.items()
    assert told["enable_prefix_caching"] is True
    assert "trust_remote_code" not in told
    plain = named(parts(vllm), "Deployment", LLAMA)["spec"]["template"]["spec"]["containers"][0]
    assert told["model"] == plain["command"][-1]
    assert f"--tensor-parallel-size={told['tensor_parallel_size']}" in plain["args"]
    assert f"--max-model-len={told['max_model_len']}" in plain["args"]


def test_config_pbtxt_is_protobufs_text() -> None:
    assert triton.repository(site_of(built(target="triton")))["config.pbtxt"] == (
        'name: "llama-8b"\n'
        'backend: "vllm"\n'
        "instance_group {\n  count: 1\n  kind: KIND_MODEL\n}\n"
        'parameters {\n  key: "REPORT_CUSTOM_METRICS"\n  value {\n    string_value: "true"\n  }\n}\n'
    )


def test_triton_finds_the_files_and_only_those() -> None:
    """A ConfigMap that is mounted as a whole holds `..data`: Triton would load it as a model, fail and end."""
    pod = pod_of(built(target="triton"))
    [container] = pod["containers"]
    mine = {each["mountPath"]: each["subPath"] for each in container["volumeMounts"] if each["name"] == "repository"}
    assert mine == {
        "/repository/llama-8b/config.pbtxt": "config.pbtxt",
        "/repository/llama-8b/1/model.json": "model.json",
    }
    assert "--model-repository=/repository" in container["args"]
    [volume] = [each["configMap"]["name"] for each in pod["volumes"] if each["name"] == "repository"]
    stored = named(parts(triton.triton), "ConfigMap", volume)["data"]
    assert {*stored} == {*mine.values()}


def test_a_changed_setting_is_rolled_out() -> None:
    """A file that is mounted by itself is never renewed in a running pod: the name has to change."""
    maps = [
        {each["metadata"]["name"] for each in objects(parts(triton.triton, build), "ConfigMap")}
        for build in (built(), built(SERVICE.replace("8B-Instruct@main", "8B-Instruct@v2")))
    ]
    assert len(maps[0] & maps[1]) == 1


def test_the_port_is_the_services_and_the_name_is_the_folders() -> None:
    build = built(target="triton")
    [container] = pod_of(build)["containers"]
    assert "--openai-port=8000" in container["args"]
    assert container["ports"] == [{"name": "http", "containerPort": 8000, "protocol": "TCP"}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/health/ready", "port": "http"}
    found = triton.upstream(build.spec, "llama-8b")
    assert (found.service, found.port, found.health_path) == (LLAMA, 8000, "/health/ready")


def test_the_tokenizer_is_the_models_own() -> None:
    [container] = pod_of(built(target="triton"))["containers"]
    told = json.loads(triton.repository(site_of(built(target="triton")))["model.json"])
    assert f"--tokenizer={told['model']}" in container["args"]


def test_no_cache_is_declared_that_triton_would_refuse() -> None:
    made = parts(triton.triton)
    assert not [text for text in made.texts().values() if "response_cache" in text or "cache-config" in text]


def test_the_repository_is_there_as_a_folder_too() -> None:
    made = parts(triton.triton).whole
    assert made["triton/llama-8b/1/model.json"] == triton.repository(site_of(built()))["model.json"]
    assert "triton/llama-8b/config.pbtxt" in made
