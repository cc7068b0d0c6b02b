"""From a spec to Ray: the processes of a cluster on this machine, or the one that deploys to a cluster that runs.

In both cases the gateway sees one upstream for all models, Ray Serve's proxy.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from fairlead.batch.ray_engine import UNDER_WAY
from fairlead.engine.commands import GIB, LOOPBACK
from fairlead.engine.ray.commands import (
    HEAD_HEALTH,
    KEEPER_HEALTH,
    NODE_HEALTH,
    Cluster,
    head_command,
    keeper_command,
    node_command,
)
from fairlead.engine.ray.keeper import Settings
from fairlead.engine.supervisor import WorkerSpec
from fairlead.ops import runfile
from fairlead.ops.layout import Layout
from fairlead.ops.machine import free_ports, interpreter
from fairlead.render import serve_config
from fairlead.render.serve_config import Http, Replicas, ServedModel
from fairlead.render.serve_keys import unknown_keys
from fairlead.spec.ray import Ray
from fairlead.spec.types import RayModel, Spec

HEAD = "ray-head"  # there where the cluster is our own
KEEPER = "ray-serve"  # its process, by which `status` finds it
CLUSTER = "cluster.json"  # how a further process joins the cluster of a service


def ray_models(spec: Spec) -> dict[str, RayModel]:
    """The models that run on Ray."""
    return {name: model for name, model in spec.models.items() if isinstance(model, RayModel)}


def fetched_here(spec: Spec) -> dict[str, RayModel]:
    """The models whose weights are brought to this disk. Nodes of a joined cluster fetch theirs from where they are;
    a folder is one that every node has under the same path."""
    is_joined = spec.ray is not None and spec.ray.address is not None
    return {
        name: model
        for name, model in ray_models(spec).items()
        if not (is_joined and model.source.startswith(("hf://", "s3://", "gs://")))
    }


def ray_workers(spec: Spec, layout: Layout, folders: Mapping[str, Path]) -> tuple[list[WorkerSpec], str]:
    """The processes to start and the URL of Serve's proxy. `folders`: model name -> its fetched weights."""
    ray, timeout_s = spec.ray or Ray(), max(model.start_timeout for model in ray_models(spec).values())
    layout.ray.mkdir(mode=0o700, exist_ok=True)
    for left in layout.ray.glob(f"{UNDER_WAY}*"):
        shutil.rmtree(left)
    if ray.address and ray.serve_url:
        (port,) = free_ports(1)
        config = configuration(spec, folders, Http(host="0.0.0.0", port=8000))  # noqa: S104 - in the cluster's own network
        del config["proxy_location"], config["http_options"]  # the cluster's own
        settings = Settings(ray.address, port, spec.name, config, token_env=ray.token_env or "")
        return [keeper(settings, layout, timeout_s)], ray.serve_url
    ports = free_ports(5 + ray.nodes)
    serve_port, keeper_port = next(ports), next(ports)
    cluster = Cluster(
        python=interpreter(ray.python, layout.file.parent),
        folder=own_folder(layout),
        token=own_token(layout),
        port=next(ports),
        dashboard=next(ports),
        client=next(ports),
        agents=tuple(ports),
        cpus=ray.cpus,
    )
    runfile.replace(layout.ray / CLUSTER, msgspec.json.encode(cluster.joined))
    # proxy and router on the head: another node that dies takes along what it ran, and nothing else
    http = Http(host=LOOPBACK, port=serve_port, proxies="HeadOnly")
    config = configuration(spec, folders, http, router=serve_config.HEAD)
    token_file = str(cluster.token)
    settings = Settings(cluster.dashboard_url, keeper_port, spec.name, config, ray.nodes, token_file=token_file)
    nodes = [node(cluster, number, layout, timeout_s) for number in range(ray.nodes)]
    return [*nodes, keeper(settings, layout, timeout_s)], f"http://{LOOPBACK}:{serve_port}"


def configuration(
    spec: Spec, folders: Mapping[str, Path], http: Http, router: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """What Serve is told. Raises ValueError where it holds a key that Ray would ignore: a mistake of ours."""
    models = [served_model(name, model, folders.get(name)) for name, model in ray_models(spec).items()]
    config = serve_config.serve_config(models, app=spec.name, http=http, ingress_resources=router)
    if found := unknown_keys(config):
        raise ValueError(found)
    return config


def served_model(name: str, model: RayModel, folder: Path | None) -> ServedModel:
    """A model as the builder takes it. Without a `folder` the nodes fetch it themselves."""
    replicas = Replicas(minimum=model.replicas, maximum=model.replicas)
    if model.scaling:
        replicas = Replicas(
            minimum=model.replicas,
            maximum=model.scaling.max,
            target_ongoing_requests=model.scaling.target_ongoing_requests,
            upscale_delay_s=model.scaling.upscale_delay,
            downscale_delay_s=model.scaling.downscale_delay,
        )
    return ServedModel(
        name=name,
        source=str(folder) if folder else model.source.removeprefix("hf://").partition("@")[0],
        device=model.device,
        engine=dict(engine_arguments(model, fetched=folder is not None)),
        replicas=replicas,
        cpus=model.cpus,
        env=dict(environment(model)),
    )


def engine_arguments(model: RayModel, *, fetched: bool) -> Iterator[tuple[str, Any]]:
    """vLLM's arguments by their Python names."""
    yield "dtype", model.dtype
    yield "max_num_seqs", model.max_num_seqs
    yield "tensor_parallel_size", model.tensor_parallel_size
    yield "enable_prefix_caching", True
    yield "enable_prompt_tokens_details", True  # cached tokens in `usage`: the ledger bills by it
    if model.max_model_len is not None:
        yield "max_model_len", model.max_model_len
    if model.quantization is not None:
        yield "quantization", model.quantization
    if model.device == "gpu":
        yield "gpu_memory_utilization", model.gpu_memory_utilization
    else:
        yield "enforce_eager", True  # compiling takes minutes on a CPU and gains little for small models
    if not fetched and model.source.startswith("hf://"):
        yield "revision", model.source.partition("@")[2]


def environment(model: RayModel) -> Iterator[tuple[str, str]]:
    """Environment variables of a replica."""
    yield "VLLM_NO_USAGE_STATS", "1"
    if model.device == "cpu":
        yield "TORCHDYNAMO_DISABLE", "1"
        yield "VLLM_CPU_KVCACHE_SPACE", str(model.kv_cache // GIB)


def node(cluster: Cluster, number: int, layout: Layout, timeout_s: float) -> WorkerSpec:
    """One node of our own cluster; the first is the head."""
    name = f"ray-node-{number}" if number else HEAD
    command = node_command(cluster, number) if number else head_command(cluster)
    url = f"http://{LOOPBACK}:{cluster.agents[number]}" if number else cluster.dashboard_url
    health = NODE_HEALTH if number else HEAD_HEALTH
    return WorkerSpec(name, command.argv, command.env, url, health, layout.logs / f"{name}.log", timeout_s)


def keeper(settings: Settings, layout: Layout, timeout_s: float) -> WorkerSpec:
    """What deploys, and tells how it goes."""
    path = layout.ray / "serve.json"
    runfile.replace(path, msgspec.json.format(msgspec.json.encode(settings)))
    command = keeper_command(path)
    url = f"http://{LOOPBACK}:{settings.port}"
    log = layout.logs / f"{KEEPER}.log"
    return WorkerSpec(KEEPER, command.argv, command.env, url, KEEPER_HEALTH, log, timeout_s)


def own_token(layout: Layout) -> Path:
    """A file with a new token, for its owner's eyes."""
    path = layout.ray / "token"
    runfile.replace(path, secrets.token_hex(32).encode())
    return path


def own_folder(layout: Layout) -> Path:
    """The empty folder of a new start."""
    folder = ray_folder(layout)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def ray_folder(layout: Layout) -> Path:
    """Ray's sessions and sockets while it runs. Not in the state's folder: a socket's path must be short."""
    digest = hashlib.sha256(str(layout.state).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"fairlead-ray-{digest}"
