"""Pods on nodes as a scheduler places them, and the reasons for those that it does not."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.catalog.instances import instance
from fairlead.plan.service import Pool
from fairlead.render.files import Document
from fairlead.render.schedule_pods import Size, request, schedule
from fairlead.render.workloads import Workload, workloads

from .planned import NAMES, planned, rendered
from .plans import GENERAL

GPU = Pool(name="l4", instance=instance("g6.2xlarge"), spot=False, minimum=0, nodes=0, maximum=2)
CPU = Pool(name="general", instance=GENERAL, spot=False, minimum=1, nodes=1, maximum=2)
TAINTS = [
    {"key": "fairlead.dev/pool", "operator": "Equal", "value": "l4", "effect": "NoSchedule"},
    {"key": "nvidia.com/gpu", "operator": "Exists"},
]


def pods(
    count: int, *, pool: str = "", gpus: int = 0, cpu: str = "1", memory: str = "1Gi", tolerations: Any = ()
) -> Workload:
    limits = {"memory": memory, **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    spec = {
        "containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}, "limits": limits}}],
        "tolerations": list(tolerations),
        **({"nodeSelector": {"fairlead.dev/pool": pool}} if pool else {}),
    }
    item = {"kind": "Deployment", "metadata": {"name": "x", "namespace": "x"}}
    return Workload(
        document=Document("a", item), at="spec.template.spec", labels={}, pod=spec, minimum=1, maximum=count
    )


PENDING = {
    "a pool that is not there": (pods(1, pool="h100"), 1, "the pod wants fairlead.dev/pool=h100"),
    "a taint": (pods(1, pool="l4", gpus=1), 1, "the taint fairlead.dev/pool=l4 is not tolerated"),
    "more GPUs than a node has": (pods(1, pool="l4", gpus=2, tolerations=TAINTS), 1, "2 GPUs of 1"),
    "more GPUs than the pool has": (pods(5, pool="l4", gpus=1, tolerations=TAINTS), 3, "all of its 2 nodes are full"),
    "more cores than a node has": (pods(1, cpu="4"), 1, "4 cores of 3.6"),
    "more memory than a node has": (pods(1, memory="15Gi"), 1, "15Gi of memory of"),
}


@pytest.mark.parametrize(("workload", "count", "reason"), PENDING.values(), ids=PENDING)
def test_pending(workload: Workload, count: int, reason: str) -> None:
    [pending] = schedule([workload], [CPU, GPU], fullest=True).pending
    assert pending.count == count
    assert any(reason in each for each in pending.reasons), pending.reasons


def test_pools_grow_up_to_their_maximum() -> None:
    made = schedule([pods(6)], [CPU, GPU], fullest=True)
    assert not made.pending
    assert [node.pool.name for node in made.nodes] == ["general", "general"]


def test_the_fewest_replicas_leave_a_pool_at_its_minimum() -> None:
    made = schedule([pods(6)], [CPU, GPU], fullest=False)
    assert [sum(node.pods.values()) for node in made.nodes] == [1]


def test_a_pod_requests_what_runs_together_or_what_starts_it() -> None:
    def each(cpu: str, **fields: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}, **fields}

    pod = {"containers": [each("1"), each("500m")], "initContainers": [each("3"), each("250m", restartPolicy="Always")]}
    assert request(pod) == Size(3.0, 3 * 2**30, 0)


def test_bounds_come_from_the_autoscaler() -> None:
    deployment = {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"template": {"spec": {}}}}
    scaled = {
        "kind": "ScaledObject",
        "spec": {"scaleTargetRef": {"name": "a"}, "minReplicaCount": 2, "maxReplicaCount": 7},
    }
    [found] = workloads([Document("a", deployment), Document("a", scaled)])
    assert (found.minimum, found.maximum) == (2, 7)


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_of_every_example_has_a_node(name: str) -> None:
    page = rendered(name).texts["NODES.md"]
    assert "pending" not in page
    for pool in planned(name).pools:
        assert f"- {pool.name}: " in page
