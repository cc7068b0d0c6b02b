"""What a renderer looks at and what it gives: all of them are pure functions from a `Build` to parts of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.plan.service import ServicePlan
from fairlead.spec.types import Spec

Object = dict[str, Any]
"""A Kubernetes object, or another document of YAML or JSON."""
Part = tuple[str, Object | str]
"""A path below the output folder, `/` between its parts; and one more document of that file, or its whole text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One rendering: the spec, its plan, its compiled `gateway.json`, and the name of the target."""

    spec: Spec
    plan: ServicePlan
    gateway: Mapping[str, Any]
    target: str


Renderer = Callable[[Build], Iterator[Part]]
"""Each yields its parts in the order in which they stand in the files; two of them never share a path."""
