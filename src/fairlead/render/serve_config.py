"""The one builder of a Ray Serve LLM configuration: the same for RayService's `serveConfigV2` and for `serve deploy`.

    config = serve_config([served_model, ...], app="llm", http=Http(host="0.0.0.0", port=8000))

Sources: ServeDeploySchema, LLMServingArgs and LLMConfig of Ray 2.60.0 (ray/serve/schema.py, ray/llm/_internal/serve).
`render/serve_keys.py` says which keys Ray would ignore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

IMPORT_PATH = "ray.serve.llm:build_openai_app"
HEALTH_PATH = "/-/healthz"  # Ray Serve's proxies answer it; /health is a 404
PLENTY = 1_000_000_000  # Ray Serve LLM's own default: the engine queues, not Ray
PLACED = 0.001  # a share of a custom resource so small that it places a replica and uses nothing up

HEAD: Mapping[str, float] = {"node:__internal_head__": PLACED}  # Ray's own name for a resource that the head has

ProxyLocation = Literal["HeadOnly", "EveryNode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """How many there are. `target_ongoing_requests` in a replica is what Ray scales by; times are seconds.

    Where minimum and maximum are equal the number is fixed and Ray has nothing to decide.
    """

    minimum: int = 1
    maximum: int = 1
    target_ongoing_requests: float = 16.0
    upscale_delay_s: float = 30.0
    downscale_delay_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A model on Ray. `source`: a folder on every node, org/name on the hub, or s3://, gs://, abfss://.

    `engine` is what vLLM is told, by the names of its Python arguments (`max_model_len`, `kv_cache_dtype`, ...). Each
    of its workers (tensor x pipeline parallel size) asks the cluster for `cpus`, on device gpu also for one GPU, and
    for each custom resource in `resources`, by which a pool is chosen (`{"pool-l4": PLACED}`; the nodes of the pool
    offer it). `accelerator` is Ray's own name of a GPU: L4, H100.
    """

    name: str
    source: str
    device: Literal["cpu", "gpu"] = "gpu"
    engine: Mapping[str, Any] = field(default_factory=dict)
    replicas: Replicas = Replicas()
    cpus: float = 1.0
    accelerator: str | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """Where the proxies listen: one on the head, or one on every node that has a replica."""

    host: str
    port: int
    proxies: ProxyLocation = "EveryNode"


def serve_config(
    models: Sequence[ServedModel],
    *,
    app: str,
    http: Http,
    ingress_replicas: int = 1,
    ingress_resources: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The whole configuration, all `models` in one application at /v1; the same value for the same arguments.

    The router has `ingress_replicas`, each on a node that offers `ingress_resources` (HEAD: the head).
    """
    return {
        "proxy_location": http.proxies,
        "http_options": {"host": http.host, "port": http.port},
        "applications": [application(app, models, ingress(ingress_replicas, ingress_resources or {}))],
    }


def application(name: str, models: Sequence[ServedModel], router: Mapping[str, Any]) -> dict[str, Any]:
    """The OpenAI-compatible application."""
    return {
        "name": name,
        "route_prefix": "/",
        "import_path": IMPORT_PATH,
        "args": {
            "llm_configs": [llm_config(model) for model in sorted(models, key=lambda model: model.name)],
            "ingress_deployment_config": dict(router),
        },
    }


def ingress(replicas: int, resources: Mapping[str, float]) -> dict[str, Any]:
    """The router. It asks for no CPU of its own: else a small cluster is full before its models have started."""
    actor = {"num_cpus": 0, **({"resources": dict(sorted(resources.items()))} if resources else {})}
    return {"num_replicas": replicas, "max_ongoing_requests": PLENTY, "ray_actor_options": actor}


def llm_config(model: ServedModel) -> dict[str, Any]:
    """One model."""
    return {
        "model_loading_config": {"model_id": model.name, "model_source": model.source},
        **({"accelerator_type": model.accelerator} if model.accelerator else {}),
        "engine_kwargs": dict(sorted(model.engine.items())),
        "placement_group_config": placement(model),
        "deployment_config": deployment(model.replicas),
        # by default Ray holds back a stream for 50 ms to send several tokens at once
        "experimental_configs": {"stream_batching_interval_ms": 0},
        "log_engine_metrics": True,
        **({"runtime_env": {"env_vars": dict(sorted(model.env.items()))}} if model.env else {}),
    }


def placement(model: ServedModel) -> dict[str, Any]:
    """What a replica asks the cluster for: one bundle for each of its workers.

    Several workers share one node: tensor parallelism across nodes is slower than a smaller model.
    """
    bundle = {
        "CPU": model.cpus,
        **({"GPU": 1} if model.device == "gpu" else {}),
        **dict(sorted(model.resources.items())),
    }
    workers = int(model.engine.get("tensor_parallel_size", 1)) * int(model.engine.get("pipeline_parallel_size", 1))
    is_on_one_node = int(model.engine.get("pipeline_parallel_size", 1)) == 1
    return {"bundles": [dict(bundle) for _ in range(workers)], "strategy": "STRICT_PACK" if is_on_one_node else "PACK"}


def deployment(replicas: Replicas) -> dict[str, Any]:
    """How many replicas there are; the replica's own actor asks for nothing beyond its workers' bundles."""
    return {**scaling(replicas), "max_ongoing_requests": PLENTY, "ray_actor_options": {"num_cpus": 0}}


def scaling(replicas: Replicas) -> dict[str, Any]:
    """A fixed number, or Ray's autoscaling. Ray's own default of target_ongoing_requests is never left in place."""
    if replicas.minimum == replicas.maximum:
        return {"num_replicas": replicas.minimum}
    return {
        "autoscaling_config": {
            "min_replicas": replicas.minimum,
            "initial_replicas": max(1, replicas.minimum),
            "max_replicas": replicas.maximum,
            "target_ongoing_requests": replicas.target_ongoing_requests,
            "upscale_delay_s": replicas.upscale_delay_s,
            "downscale_delay_s": replicas.downscale_delay_s,
        }
    }
