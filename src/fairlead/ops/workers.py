"""From a spec to the processes that serve it: one worker for each replica, and the gateway in front."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fairlead.engine.commands import HEALTH_PATH, LOOPBACK, Command, Openvino, Vllm, openvino_command, vllm_command
from fairlead.engine.source import fetch
from fairlead.engine.sources.download import Progress
from fairlead.engine.supervisor import WorkerSpec
from fairlead.ops.layout import Layout
from fairlead.ops.machine import free_ports, interpreter
from fairlead.ops.ray import fetched_here, ray_models, ray_workers
from fairlead.spec.types import LocalModel, OpenVinoModel, Spec, VllmModel

OPENVINO_START_TIMEOUT_S = 120.0  # converting a large model on its first start takes most of it
GATEWAY_START_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Engines:
    """The workers to start, and the URLs that the gateway reaches them at, by model."""

    workers: tuple[WorkerSpec, ...]
    upstreams: Mapping[str, tuple[str, ...]]


def fetch_models(spec: Spec, layout: Layout, progress: Progress | None) -> dict[str, Path]:
    """Bring every model that is served from this disk to it; model name -> folder or file. Raises UserError."""
    return {
        name: fetch(model.source, layout.cache / "sources", base=layout.file.parent, progress=progress)
        for name, model in {**local_models(spec), **fetched_here(spec)}.items()
    }


def engines(spec: Spec, layout: Layout, folders: Mapping[str, Path]) -> Engines:
    """A worker for each replica, each on a free port of its own; Ray's are Ray's own affair."""
    models = local_models(spec)
    ports = iter(free_ports(sum(model.replicas for model in models.values())))
    workers = {
        name: [
            worker(name, number, model, port=next(ports), folder=folders[name], layout=layout)
            for number in range(model.replicas)
        ]
        for name, model in models.items()
    }
    upstreams = {name: tuple(worker.url for worker in replicas) for name, replicas in workers.items()}
    own = [worker for replicas in workers.values() for worker in replicas]
    if on_ray := ray_models(spec):
        rays, url = ray_workers(spec, layout, folders)
        return Engines((*own, *rays), {**upstreams, **dict.fromkeys(on_ray, (url,))})
    return Engines(tuple(own), upstreams)


def local_models(spec: Spec) -> dict[str, OpenVinoModel | VllmModel]:
    """The models whose engines are processes of our own."""
    return {name: model for name, model in spec.models.items() if isinstance(model, OpenVinoModel | VllmModel)}


def worker(
    name: str, number: int, model: OpenVinoModel | VllmModel, *, port: int, folder: Path, layout: Layout
) -> WorkerSpec:
    """One replica."""
    command = COMMANDS[model.engine](model, name, port, folder, layout)
    return WorkerSpec(
        name=f"{name}-{number}",
        argv=command.argv,
        env=command.env,
        url=f"http://{LOOPBACK}:{port}",
        health_path=HEALTH_PATH,
        log=layout.logs / f"{name}-{number}.log",
        start_timeout_s=model.start_timeout if isinstance(model, VllmModel) else OPENVINO_START_TIMEOUT_S,
    )


def openvino(model: LocalModel, name: str, port: int, folder: Path, layout: Layout) -> Command:
    """The embedded engine."""
    assert isinstance(model, OpenVinoModel)
    return openvino_command(
        Openvino(
            model=folder,
            names=(name,),
            port=port,
            max_model_len=model.max_model_len,
            kv_cache_bytes=model.kv_cache,
            cache_dir=layout.cache / "converted",
            max_num_seqs=model.max_num_seqs,
            max_queue=model.max_queue,
        )
    )


def vllm(model: LocalModel, name: str, port: int, folder: Path, layout: Layout) -> Command:
    """A vLLM server, in this interpreter or in the one that the spec names."""
    assert isinstance(model, VllmModel)
    return vllm_command(
        Vllm(
            model=folder,
            names=(name,),
            port=port,
            device="cuda" if model.device == "gpu" else "cpu",
            max_model_len=model.max_model_len,
            max_num_seqs=model.max_num_seqs,
            gpu_memory_utilization=model.gpu_memory_utilization,
            kv_cache_bytes=model.kv_cache,
            tensor_parallel_size=model.tensor_parallel_size,
            dtype=model.dtype,
            quantization=model.quantization,
            python=interpreter(model.python, layout.file.parent),
        )
    )


COMMANDS: Mapping[str, Callable[[LocalModel, str, int, Path, Layout], Command]] = {"openvino": openvino, "vllm": vllm}


def gateway_workers(spec: Spec, layout: Layout) -> list[WorkerSpec]:
    """The gateway's processes: `gateway`, `gateway.1`, ... (no engine's name has a dot so near its end)."""
    return [gateway_worker(spec, layout, number) for number in range(spec.gateway.replicas)]


def gateway_worker(spec: Spec, layout: Layout, number: int = 0) -> WorkerSpec:
    """One of the gateway's processes."""
    name = f"gateway.{number}" if number else "gateway"
    return WorkerSpec(
        name=name,
        argv=(sys.executable, "-m", "fairlead.gateway", str(layout.gateway_json), str(number)),
        env={},
        url=admin_url(spec, number),
        health_path="/healthz",
        log=layout.logs / f"{name}.log",
        start_timeout_s=GATEWAY_START_TIMEOUT_S,
    )


def public_url(spec: Spec) -> str:
    """Where callers on this machine reach the gateway."""
    scheme = "https" if spec.gateway.tls else "http"
    return f"{scheme}://{reachable(spec.gateway.host)}:{spec.gateway.port}"


def admin_url(spec: Spec, number: int = 0) -> str:
    """Where /metrics and /status of a replica are."""
    return f"http://{reachable(spec.gateway.admin_host)}:{spec.gateway.admin_port + number}"


def reachable(host: str) -> str:
    """An address that a client can connect to where a server listens on `host`."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - recognised, not listened on
    return f"[{host}]" if ":" in host else host
