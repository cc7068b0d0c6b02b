"""Every check by its rule's id. A check is a function from a folder to hits; its words stand in `lint/words`."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.lint.rule import Check
from fairlead.lint.rules import (
    capacity,
    claims,
    clouds,
    cluster,
    gateways,
    kserve,
    kserve_webhook,
    kuberay,
    monitoring,
    pipelines,
    python_code,
    ray,
    scripts,
    secrets,
    serve_config,
    vllm,
    vllm_settings,
    workloads,
)

MODULES = (
    ray, serve_config, kuberay, kserve, kserve_webhook, vllm, vllm_settings, cluster, workloads, scripts, secrets,
    clouds, capacity, monitoring, pipelines, python_code, claims, gateways,
)  # fmt: skip
CHECKS: Mapping[str, Check] = {rule: check for module in MODULES for rule, check in module.CHECKS.items()}
