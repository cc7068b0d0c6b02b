"""What Ray emits on its own port: its nodes, its Serve deployments, and vLLM's metrics under names of its own."""

from __future__ import annotations

from dataclasses import replace

from fairlead.signals import Kind, Signal
from fairlead.signals.engine import VLLM

SYSTEM = "docs.ray.io, ray-observability/reference/system-metrics, Ray 2.60"
SERVE = "docs.ray.io, serve/monitoring, Ray 2.60"
DEPLOYMENT = ("deployment", "application")


def in_ray(signal: Signal) -> Signal:
    """A metric of vLLM as Ray Serve LLM passes it on: Ray's names take no colon and begin with `ray_`."""
    return replace(signal, name=f"ray_{signal.name.replace(':', '_')}", source=SERVE)


def _system(name: str, labels: tuple[str, ...], help_text: str) -> Signal:
    return Signal(f"ray_{name}", "gauge", labels, help_text, source=SYSTEM)


def _serve(name: str, kind: Kind, help_text: str) -> Signal:
    return Signal(f"ray_serve_{name}", kind, DEPLOYMENT, help_text, source=SERVE)


ACTIVE_NODES = _system("cluster_active_nodes", ("node_type",), "Nodes that are up, by the autoscaler's node type.")
FAILED_NODES = _system("cluster_failed_nodes", ("node_type",), "Nodes that the autoscaler knows to have failed.")
PENDING_NODES = _system("cluster_pending_nodes", ("node_type",), "Nodes that were asked for and are not up yet.")
NODE_CPU = _system("node_cpu_utilization", ("instance",), "CPU in use on a node, in per cent.")
NODE_MEMORY_USED = _system("node_mem_used", ("instance",), "Memory in use on a node, in bytes.")
NODE_MEMORY_TOTAL = _system("node_mem_total", ("instance",), "Memory of a node, in bytes.")
RESOURCES = _system("resources", ("Name", "State"), "Logical resources by name (CPU, GPU) and state (USED, AVAILABLE).")
OBJECT_STORE = _system("object_store_memory", ("Location",), "Object store memory, in bytes.")
REPLICA_HEALTHY = _serve("deployment_replica_healthy", "gauge", "1 where a replica of a deployment is healthy.")
QUEUED = _serve("deployment_queued_queries", "gauge", "Requests that wait for a replica.")
PROCESSING = _serve("replica_processing_queries", "gauge", "Requests that a replica works on.")
SERVE_ERRORS = _serve("deployment_error_counter_total", "counter", "Requests that raised an exception in a replica.")

RAY: tuple[Signal, ...] = (
    ACTIVE_NODES,
    FAILED_NODES,
    PENDING_NODES,
    NODE_CPU,
    NODE_MEMORY_USED,
    NODE_MEMORY_TOTAL,
    RESOURCES,
    OBJECT_STORE,
    REPLICA_HEALTHY,
    QUEUED,
    PROCESSING,
    SERVE_ERRORS,
    *(in_ray(signal) for signal in VLLM),
)
