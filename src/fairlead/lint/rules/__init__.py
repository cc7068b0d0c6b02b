"""Every check by its rule's id. A check is a function from a folder to hits; its words stand in `lint/words`."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.lint.rule import Check
from fairlead.lint.rules import (
    capacity,
    claims,
    clouds,
    cluster,
    kserve,
    monitoring,
    pipelines,
    python_code,
    ray,
    scripts,
    vllm,
)

MODULES = (ray, kserve, vllm, cluster, scripts, clouds, capacity, monitoring, pipelines, python_code, claims)
CHECKS: Mapping[str, Check] = {rule: check for module in MODULES for rule, check in module.CHECKS.items()}
