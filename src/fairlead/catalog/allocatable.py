"""What a node leaves for pods: its capacity without the kubelet's reservations, the eviction threshold and daemons.

Sources, read 2026-11-21: EKS, awslabs/amazon-eks-ami (nodeadm and bootstrap.sh: 11 MiB a pod + 255 MiB) and its
eni-max-pods.txt; GKE, cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes; AKS, learn.microsoft.com
azure/aks/node-resource-reservations (1.29 and later). The CPU steps of EKS and GKE are the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fairlead.catalog.accelerators import GIB
from fairlead.catalog.instances import Instance

MIB = 2**20
CPU_STEPS = ((1, 0.06), (1, 0.01), (2, 0.005), (math.inf, 0.0025))  # of so many cores this share is reserved
AKS_MILLICORES = ((1, 60), (2, 100), (4, 140), (8, 180), (16, 260), (32, 420), (64, 740))
GKE_STEPS = ((4, 0.25), (4, 0.20), (8, 0.10), (112, 0.06), (math.inf, 0.02))  # of so many GiB this share
EKS_PODS = ((8, 58), (48, 234), (math.inf, 737))  # up to so many vCPUs: pods by the number of addresses
AKS_PODS = 110
EVICTION_BYTES = 100 * MIB
DAEMON_CORES, DAEMON_BYTES = (
    0.3,
    512 * MIB,
)  # network, proxy, storage, device plugin and exporters: requests of their charts


@dataclass(frozen=True, slots=True)
class Room:
    """CPU cores and bytes of memory."""

    cores: float
    memory_bytes: float


def allocatable(instance: Instance) -> Room:
    """What pods of ours can request on a node of `instance`; nothing where the catalog does not know its size."""
    cores, gib = float(instance.vcpus or 0), float(instance.memory_gib or 0)
    if instance.cloud == "Azure":
        kept_cores, kept = aks_cores(cores), min((AKS_PODS * 20 + 50) * 1e6, 0.25 * gib * GIB)
    elif instance.cloud == "GCP":
        kept_cores, kept = stepped(cores, CPU_STEPS), stepped(gib, GKE_STEPS) * GIB
    else:
        pods = next(count for most, count in EKS_PODS if cores <= most)
        kept_cores, kept = stepped(cores, CPU_STEPS), (11 * pods + 255) * MIB
    return Room(
        max(0.0, cores - kept_cores - DAEMON_CORES),
        max(0.0, gib * GIB - kept - EVICTION_BYTES - DAEMON_BYTES),
    )


def stepped(amount: float, steps: tuple[tuple[float, float], ...]) -> float:
    """A part of each step of `amount`, summed up."""
    total = 0.0
    for size, share in steps:
        total += min(amount, size) * share
        amount = max(0.0, amount - size)
    return total


def aks_cores(cores: float) -> float:
    """Azure's table, the next larger row; its last one beyond it."""
    return next((kept for most, kept in AKS_MILLICORES if cores <= most), AKS_MILLICORES[-1][1]) / 1000
