"""Which kinds are custom: the groups that Kubernetes serves itself are known, and every other is a definition's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BUILT_IN = frozenset(
    f"{name}.k8s.io"
    for name in (
        *("admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization"),
        *("certificates", "coordination", "discovery", "events", "flowcontrol.apiserver", "internal.apiserver"),
        *("networking", "node", "rbac.authorization", "resource", "scheduling", "storage", "storagemigration"),
    )
)
"""Groups with a dot that Kubernetes serves itself; those without one are all its own."""


def is_custom(item: Mapping[str, Any]) -> bool:
    """Whether an object is of a kind that some definition brings, and not Kubernetes itself."""
    group = group_of(item)
    return "." in group and group not in BUILT_IN


def group_of(item: Mapping[str, Any]) -> str:
    """The group of an object's apiVersion; empty for the core."""
    return str(item.get("apiVersion", "")).rpartition("/")[0]
