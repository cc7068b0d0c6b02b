"""No field without a place that enforces it: for each field of the spec, the function or class that acts on it.

`Part.field` -> `module:name`. A test walks every part, imports every place and looks for the field in its source: a
field whose enforcement is taken away fails it.
"""

from __future__ import annotations

from collections.abc import Mapping

_GATEWAY = "fairlead.render.gateway"
_KEYS = "fairlead.cli.keys_commands"
_WORKERS = "fairlead.ops.workers"

ENFORCED: Mapping[str, str] = {
    "Spec.apiVersion": "fairlead.spec.types:Spec",
    "Spec.name": f"{_GATEWAY}:gateway_config",
    "Spec.environment": "fairlead.spec.profiles:profile_of",
    "Spec.models": f"{_GATEWAY}:gateway_config",
    "Spec.routes": f"{_GATEWAY}:routes",
    "Spec.access": f"{_GATEWAY}:gateway_config",
    "Spec.gateway": f"{_GATEWAY}:gateway_config",
    "OpenVinoModel.engine": f"{_WORKERS}:worker",
    "OpenVinoModel.source": f"{_WORKERS}:fetch_models",
    "OpenVinoModel.replicas": f"{_WORKERS}:engines",
    "OpenVinoModel.max_model_len": f"{_WORKERS}:openvino",
    "OpenVinoModel.max_num_seqs": f"{_WORKERS}:openvino",
    "OpenVinoModel.max_queue": f"{_WORKERS}:openvino",
    "OpenVinoModel.kv_cache": f"{_WORKERS}:openvino",
    "OpenVinoModel.operations": f"{_GATEWAY}:model",
    "VllmModel.engine": f"{_WORKERS}:worker",
    "VllmModel.source": f"{_WORKERS}:fetch_models",
    "VllmModel.replicas": f"{_WORKERS}:engines",
    "VllmModel.max_model_len": f"{_WORKERS}:vllm",
    "VllmModel.max_num_seqs": f"{_WORKERS}:vllm",
    "VllmModel.python": f"{_WORKERS}:vllm",
    "VllmModel.device": f"{_WORKERS}:vllm",
    "VllmModel.dtype": f"{_WORKERS}:vllm",
    "VllmModel.quantization": f"{_WORKERS}:vllm",
    "VllmModel.tensor_parallel_size": f"{_WORKERS}:vllm",
    "VllmModel.gpu_memory_utilization": f"{_WORKERS}:vllm",
    "VllmModel.kv_cache": f"{_WORKERS}:vllm",
    "VllmModel.start_timeout": f"{_WORKERS}:worker",
    "VllmModel.operations": f"{_GATEWAY}:model",
    "RemoteModel.engine": "fairlead.spec.types:engine_of",
    "RemoteModel.urls": f"{_GATEWAY}:model",
    "RemoteModel.model": f"{_GATEWAY}:model",
    "RemoteModel.api_key_env": f"{_GATEWAY}:model",
    "RemoteModel.health_path": f"{_GATEWAY}:model",
    "RemoteModel.operations": f"{_GATEWAY}:model",
    "Route.model": f"{_GATEWAY}:routes",
    "Route.timeout": f"{_GATEWAY}:routes",
    "Access.keys": f"{_KEYS}:create",
    "Keys.max_age": f"{_KEYS}:create",
    "Keys.rotation_overlap": f"{_KEYS}:rotate",
    "Access.roles": f"{_GATEWAY}:gateway_config",
    "Role.models": f"{_GATEWAY}:role",
    "Role.operations": f"{_GATEWAY}:role",
    "Gateway.host": f"{_GATEWAY}:gateway_config",
    "Gateway.port": f"{_GATEWAY}:gateway_config",
    "Gateway.admin_host": f"{_GATEWAY}:gateway_config",
    "Gateway.admin_port": f"{_GATEWAY}:gateway_config",
    "Gateway.timeout": f"{_GATEWAY}:routes",
    "Gateway.drain_timeout": f"{_GATEWAY}:gateway_config",
    "Gateway.retry": f"{_GATEWAY}:retry",
    "Gateway.limits": f"{_GATEWAY}:gateway_config",
    "Retry.attempts": f"{_GATEWAY}:retry",
    "Retry.budget": f"{_GATEWAY}:retry",
    "Limits.max_connections": f"{_GATEWAY}:limits",
    "Limits.max_header": f"{_GATEWAY}:limits",
    "Limits.max_body": f"{_GATEWAY}:limits",
    "Limits.header_timeout": f"{_GATEWAY}:limits",
    "Limits.body_timeout": f"{_GATEWAY}:limits",
    "Limits.idle_timeout": f"{_GATEWAY}:limits",
}
