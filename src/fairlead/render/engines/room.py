"""What a replica's pod asks for: its GPUs' part of what the node leaves, so that a full node is exactly full."""

from __future__ import annotations

import math

from fairlead.catalog.accelerators import GIB
from fairlead.catalog.allocatable import Room
from fairlead.render import kube
from fairlead.render.build import Object
from fairlead.render.engines.site import Site

MIB = 2**20
SHM_A_GPU = 2 * GIB
"""Tensors that the workers of a replica hand to each other; with one GPU there is nobody to hand them to."""
SHM_PART = 0.25
"""It counts as memory of the pod, so it may not be all of it."""


def room(site: Site) -> Room:
    """Cores and bytes of one host of a replica."""
    return site.build.plan.share_of(site.placement)


def resources(site: Site, *, cores: float = 0.0, memory_bytes: float = 0.0) -> Object:
    """The engine's container, less what others in its pod need."""
    mine = room(site)
    return kube.resources(
        cpu=f"{math.floor(1000 * (mine.cores - cores))}m",
        memory=f"{math.floor((mine.memory_bytes - memory_bytes) / MIB)}Mi",
        gpus=site.gpus_a_host,
    )


def shm_size(site: Site) -> str:
    """Size of /dev/shm."""
    wanted = GIB if site.placement.gpus == 1 else SHM_A_GPU * site.gpus_a_host
    return f"{math.floor(min(wanted, SHM_PART * room(site).memory_bytes) / MIB)}Mi"
