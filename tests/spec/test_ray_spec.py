"""What is said about Ray: refused where it contradicts itself, and deployed as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import UserError
from fairlead.ops.layout import Layout
from fairlead.ops.ray import configuration, fetched_here, ray_models
from fairlead.ops.workers import engines
from fairlead.render.gateway import gateway_config
from fairlead.render.serve_config import Http
from fairlead.spec.load import load

from .conftest import Tell, Write

CPU = "models: {a: {engine: ray, source: demo:v1, device: cpu}}\n"
GPU = "models: {a: {engine: ray, source: 'hf://org/a@v1'}}\n"
JOINED = "ray: {address: 'http://127.0.0.1:8265', serve_url: 'http://127.0.0.1:8000'}\n"
ROLES = "access: {roles: {user: {models: ['*']}}}\n"
REMOTE = "models: {r: {engine: remote, urls: ['http://127.0.0.1:8000']}}\n"
EXAMPLES = Path(__file__).parents[2] / "examples"
HTTP = Http(host="127.0.0.1", port=8000)

CONTRADICTIONS = {
    "nobody uses it": (
        REMOTE + "ray: {nodes: 2}",
        "ray",
        "every model is remote",
    ),
    "no proxy": (GPU + "ray: {address: 'http://127.0.0.1:8265'}", "ray", "no serve_url"),
    "a proxy of nothing": (GPU + "ray: {serve_url: 'http://127.0.0.1:8000'}", "ray.serve_url", "no effect"),
    "a token of nothing": (GPU + "ray: {token_env: TOKEN}", "ray.token_env", "no effect"),
    "nodes of others": (GPU + JOINED.replace("}", ", nodes: 2}"), "ray.nodes", "no effect"),
    "CPUs of others": (GPU + JOINED.replace("}", ", cpus: 2.0}"), "ray.cpus", "no effect"),
    "a Python of others": (GPU + JOINED.replace("}", ", python: python3}"), "ray.python", "no effect"),
    "GPUs counted twice": (GPU + "ray: {nodes: 2}", "ray.nodes", "GPUs twice"),
    "a GGUF file": (CPU.replace("demo:v1", "./a.gguf"), "models.a.source", "folder of weights"),
    "a GPU's memory on a CPU": (
        CPU.replace("cpu}", "cpu, gpu_memory_utilization: 0.5}"),
        "models.a.gpu_memory_utilization",
        "no effect",
    ),
    "a CPU's memory on a GPU": (GPU.replace("'}", "', kv_cache: 2Gi}"), "models.a.kv_cache", "no effect"),
    "scaling to fewer": (
        GPU.replace("'}", "', replicas: 4, scaling: {max: 4, target_ongoing_requests: 8.0}}"),
        "models.a.scaling.max",
        "more than replicas",
    ),
    "a source that Ray cannot fetch": (GPU.replace("hf://org/a@v1", "az://c/a") + JOINED, "models.a.source", "az://"),
    "a token in clear": (
        "environment: staging\n" + GPU + ROLES + JOINED.replace("127.0.0.1:8265", "ray.example.com:8265"),
        "ray.address",
        "plain HTTP",
    ),
    "responses": (CPU.replace("cpu}", "cpu, operations: [responses]}"), "models.a.operations[0]", "responses"),
}


@pytest.mark.parametrize(("text", "subject", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_told_at_its_field(tell: Tell, text: str, subject: str, message: str) -> None:
    told = tell(text)
    assert [problem.subject for problem in told] == [subject]
    assert message in told[0].message + told[0].hint


def test_what_is_declared_is_what_ray_is_told(write: Write) -> None:
    spec = load(
        write(
            """
            models:
              a:
                engine: ray
                source: hf://org/a@v1
                replicas: 2
                scaling: {max: 6, target_ongoing_requests: 24.0, upscale_delay: 10s, downscale_delay: 5m}
                dtype: bfloat16
                quantization: fp8
                tensor_parallel_size: 2
                gpu_memory_utilization: 0.8
                max_model_len: 4096
                max_num_seqs: 48
                cpus: 3.0
            """
        )
    )
    (model,) = configuration(spec, {"a": Path("/w/a")}, HTTP)["applications"][0]["args"]["llm_configs"]
    assert model["model_loading_config"] == {"model_id": "a", "model_source": "/w/a"}
    assert model["deployment_config"]["autoscaling_config"] == {
        "min_replicas": 2,
        "initial_replicas": 2,
        "max_replicas": 6,
        "target_ongoing_requests": 24.0,
        "upscale_delay_s": 10.0,
        "downscale_delay_s": 300.0,
    }
    assert model["placement_group_config"] == {"bundles": [{"CPU": 3.0, "GPU": 1}] * 2, "strategy": "STRICT_PACK"}
    told = {"dtype": "bfloat16", "quantization": "fp8", "tensor_parallel_size": 2, "gpu_memory_utilization": 0.8}
    assert model["engine_kwargs"] == {
        **told,
        "max_model_len": 4096,
        "max_num_seqs": 48,
        "enable_prefix_caching": True,
        "enable_prompt_tokens_details": True,
    }


def test_a_cpus_memory_is_told_in_its_environment(write: Write) -> None:
    spec = load(write(CPU.replace("cpu}", "cpu, kv_cache: 3Gi}")))
    (model,) = configuration(spec, {"a": Path("/w")}, HTTP)["applications"][0]["args"]["llm_configs"]
    assert model["runtime_env"]["env_vars"]["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert "gpu_memory_utilization" not in model["engine_kwargs"]


def test_nodes_of_a_joined_cluster_fetch_the_weights_themselves(write: Write) -> None:
    spec = load(write(GPU + JOINED))
    assert fetched_here(spec) == {}
    (model,) = configuration(spec, {}, HTTP)["applications"][0]["args"]["llm_configs"]
    assert model["model_loading_config"]["model_source"] == "org/a"
    assert model["engine_kwargs"]["revision"] == "v1"
    assert list(fetched_here(load(write(GPU)))) == ["a"]


def test_a_folder_is_one_that_the_nodes_of_a_joined_cluster_have(write: Write) -> None:
    path = write(CPU + JOINED)
    layout = Layout.beside(path)
    layout.make()
    assert list(fetched_here(load(path))) == ["a"]
    engines(load(path), layout, {"a": Path("/w/demo")})
    assert '"model_source": "/w/demo"' in (layout.ray / "serve.json").read_text()


def test_a_joined_cluster_is_left_as_it_is(write: Write) -> None:
    """One process here; nothing of the cluster's own proxies is changed; the gateway calls where it was told."""
    path = write(GPU + JOINED.replace("}", ", token_env: RAY_CLUSTER_TOKEN}"))
    layout = Layout.beside(path)
    layout.make()
    made = engines(load(path), layout, {})
    assert [worker.name for worker in made.workers] == ["ray-serve"]
    assert made.upstreams == {"a": ("http://127.0.0.1:8000",)}
    settings = (layout.ray / "serve.json").read_text()
    assert "http_options" not in settings
    assert "proxy_location" not in settings
    assert '"token_env": "RAY_CLUSTER_TOKEN"' in settings
    compiled = gateway_config(load(path), state_dir=layout.state, upstreams=made.upstreams)
    assert compiled["models"]["a"]["health_path"] == "/-/healthz"


def test_a_cluster_of_our_own_is_on_loopback_behind_a_token(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = write(CPU + "ray: {nodes: 2, cpus: 2.5, python: ./ray/bin/python}")
    layout = Layout.beside(path)
    layout.make()
    made = engines(load(path), layout, {"a": Path("/w")})
    head, node, _ = made.workers
    assert [worker.name for worker in made.workers] == ["ray-head", "ray-node-1", "ray-serve"]
    assert head.argv[0] == str(path.parent / "ray" / "bin" / "python")
    assert all(worker.argv[-2:] == ("--num-cpus", "2.5") for worker in (head, node))
    for worker in (head, node):
        assert worker.env["RAY_AUTH_MODE"] == "token"
        assert Path(worker.env["RAY_AUTH_TOKEN_PATH"]).stat().st_mode & 0o077 == 0
        assert "0.0.0.0" not in " ".join(worker.argv)
    assert made.upstreams["a"][0].startswith("http://127.0.0.1:")


INSTEAD = {
    "the embedded engine": (
        "models: {a: {source: demo:v1, max_queue: 7, kv_cache: 300Mi, max_num_seqs: 5}}",
        "models: {a: {engine: ray, source: demo:v1, device: cpu, max_num_seqs: 5}}",
    ),
    "vLLM": (
        "models: {a: {engine: vllm, source: 'hf://org/a@v1', python: python3, shape: Qwen2.5-0.5B, dtype: float16}}",
        "models: {a: {engine: ray, source: 'hf://org/a@v1', dtype: float16}}",
    ),
    "Ray": (CPU, CPU),
    "somebody else's server": (REMOTE, REMOTE),
}


@pytest.mark.parametrize(("text", "same"), INSTEAD.values(), ids=INSTEAD)
def test_models_run_on_ray_instead_of_what_the_file_names(write: Write, text: str, same: str) -> None:
    assert load(write(text), engine="ray") == load(write(same))


def test_a_promise_that_ray_does_not_keep_is_refused_there(write: Write) -> None:
    path = write("models:\n  a: {engine: vllm, source: 'hf://org/a@v1', prompt_tokens: exact}")
    assert load(path).models["a"].prompt_tokens == "exact"  # type: ignore[union-attr]
    with pytest.raises(UserError) as refusal:
        load(path, engine="ray")
    (told,) = refusal.value.problems
    assert told.subject == "models.a.prompt_tokens"
    assert told.where.endswith("fairlead.yaml:4:46")


def test_the_examples_run_on_ray_as_well() -> None:
    for name in ("laptop", "roles", "limits"):
        spec = load(EXAMPLES / name / "fairlead.yaml", engine="ray")
        assert list(ray_models(spec)) == list(spec.models)


def test_an_operation_that_ray_does_not_have_is_refused_there() -> None:
    with pytest.raises(UserError, match=r"models.llama.operations\[2\]: must be .* not 'responses'"):
        load(EXAMPLES / "vllm" / "fairlead.yaml", engine="ray")
