"""A planned service, the value that renderers take, whether a search made it or the figures of the file."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.catalog.allocatable import Room, allocatable
from fairlead.catalog.instances import Instance
from fairlead.errors import Problem
from fairlead.plan.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Equal nodes. `name` is a DNS label and stands in the nodes' label and taint.

    `minimum` and `maximum` bound how many there are, `nodes` are wanted at the stated load. `spot` nodes may be taken
    away at any time. A pool whose instance has no GPU runs the gateway, heads and operators.
    """

    name: str
    instance: Instance
    spot: bool
    minimum: int
    nodes: int
    maximum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Replicas that read prompts, and others that write answers; all of one deployment."""

    prefill: int
    decode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A model of the spec, by its public name, on a pool.

    `deployment` holds shape, quantisation, tp, pp and `replicas`, those wanted at the stated load with headroom and
    spare; `minimum` and `maximum` bound them when they scale. `max_num_seqs` sequences of `max_model_len` tokens are
    what an engine is told; `deployment.tokens` is its `max_num_batched_tokens`, `deployment.utilization` its
    `gpu_memory_utilization`. `ongoing` requests, running and queued, a replica takes within the SLO: the target of each
    autoscaler. `startup_s`: from a pod's start until it answers. `apart`: where fewer replicas do it if some only read
    prompts, how many of each (`plan/apart.py`); a target that can do so uses them in place of `replicas`.
    """

    model: str
    pool: str
    deployment: Deployment
    max_model_len: int
    max_num_seqs: int
    minimum: int
    maximum: int
    ongoing: float
    startup_s: float
    apart: Apart | None = None

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.deployment.tp * self.deployment.pp


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """Pools and what runs on them; every placement's pool is one of `pools`, and at least one pool has no GPU.

    `cloud` is aws, gcp or azure. `warnings` are what the reader should know: old prices, replicas too few for the SLO.
    """

    cloud: str
    region: str
    pools: tuple[Pool, ...]
    placements: tuple[Placement, ...]
    warnings: tuple[Problem, ...] = ()

    def pool_of(self, placement: Placement) -> Pool:
        """The pool that a placement is on."""
        return next(pool for pool in self.pools if pool.name == placement.pool)

    def share_of(self, placement: Placement) -> Room:
        """The cores and memory that a replica's pod may request: its GPUs' part of what the node leaves for pods."""
        instance = self.pool_of(placement).instance
        whole, part = allocatable(instance), min(1.0, placement.gpus / instance.gpus)
        return Room(whole.cores * part, whole.memory_bytes * part)
