"""Ideal work to expected seconds, with few constants.

An iteration takes the sum of its parts, each with one factor:

    compute / C + weights / M + experts / (M E) + cache / (M K) + attention / (C A)
    + traffic / L + reduces x R + layers / 64 x O + routers x X + H + sequences x S

C (compute), M (memory) and O (overhead) belong to a generation of accelerators; E, K, A, X and H (host) are shared by
all; L and R belong to a kind of link; S to the way requests arrive: over HTTP as a stream, or offline. All of it is
divided by the speed of the engine's kernels, that of vLLM being 1. That the parts add, instead of the larger one hiding
the smaller as in the textbook's roofline, is what the measurements say: an L2 norm of compute and weights predicts
tables that it has not seen worse than their sum (median error 11.7 % against 9.7 %).

The sum is linear in the work: a whole benchmark is one row of work, and fitting is a small least-squares problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fairlead.plan.deployment import Deployment
from fairlead.plan.work import Array, crosses_nodes

REFERENCE_LAYERS = 64  # the overhead constant is for a model of so many layers
LOCAL = ("compute", "memory", "overhead_ms")
SHARED = (
    "experts",
    "cache",
    "attention",
    "link",
    "link_pcie",
    "link_node",
    "reduce_us",
    "reduce_pcie_us",
    "reduce_node_us",
    "step_ms",
    "router_us",
    "sequence_us",
    "sequence_served_us",
    "request_ms",
    "engine_sglang",
    "engine_trtllm",
)
REFERENCE_ENGINE = "vllm"


@dataclass(frozen=True, slots=True)
class Constants:
    """`local` maps the name of an accelerator or a generation to its LOCAL constants; `shared` has the SHARED ones."""

    local: Mapping[str, Mapping[str, float]]
    shared: Mapping[str, float]

    def of(self, plan: Deployment) -> Mapping[str, float]:
        """All constants for `plan`: its accelerator's, else its generation's, else those of the unmeasured."""
        for name in (plan.gpu.name, plan.gpu.generation):
            if name in self.local:
                return {**self.shared, **self.local[name]}
        return {**self.shared, **self.local["unmeasured"]}


def factors(plan: Deployment, constants: Mapping[str, float], *, served: bool) -> Array:
    """One factor for each of work's PARTS; `served`: requests come over HTTP and answers are streamed."""
    compute, memory = constants["compute"], constants["memory"]
    kind = link_kind(plan)
    speed = 1.0 if plan.engine.name == REFERENCE_ENGINE else constants[f"engine_{plan.engine.name}"]
    parts = np.array(
        [
            1 / compute,
            1 / memory,
            1 / (memory * constants["experts"]),
            1 / (memory * constants["cache"]),
            1 / (compute * constants["attention"]),
            1 / constants[f"link{kind}"],
            constants[f"reduce{kind}_us"] * 1e-6,
            constants["overhead_ms"] * 1e-3 / REFERENCE_LAYERS,
            constants["router_us"] * 1e-6,
            constants["step_ms"] * 1e-3,
            constants["sequence_served_us" if served else "sequence_us"] * 1e-6,
        ]
    )
    each: Array = parts / speed
    return each


def link_kind(plan: Deployment) -> str:
    """The suffix of the link's constants."""
    if crosses_nodes(plan):
        return "_node"
    return "" if plan.gpu.has_fast_link else "_pcie"
