"""Every pod has a node that takes it: its pool exists, its taints are tolerated, and it is not larger than a node."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names
from fairlead.render.checks.frame import Fault, Rendering, dig, listed
from fairlead.render.schedule_pods import request, schedule, selector_of, tolerated
from fairlead.render.workloads import Workload
from fairlead.spec.problems import nearest
from fairlead.units import QuantityError, parse_bytes

BY_THE_KUBELET = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
FROM_THE_PLAN = "its pool has other bounds, or the model other replicas: see hardware.pools and autoscaling"


def pools(rendering: Rendering) -> Iterator[Fault]:
    """The pool that a pod asks for is one of the plan's; a pod with GPUs asks for one."""
    known = {pool.name: pool for pool in rendering.build.plan.pools}
    for workload in rendering.workloads:
        wanted = selector_of(workload.pod).get(names.POOL)
        gpus = request(workload.pod).gpus
        if wanted is not None and wanted not in known:
            yield Fault(workload.document, f"asks for a pool that is not there: {wanted!r}", nearest(wanted, known))
        elif gpus and wanted is None:
            yield Fault(workload.document, "has GPUs, and asks for no pool", f"give it a node selector {names.POOL}")
        elif wanted is not None and gpus > known[wanted].instance.gpus:
            has = known[wanted].instance.gpus
            message = f"a pod wants {gpus} GPUs, and a node of {wanted!r} has {has}"
            yield Fault(workload.document, message, "a larger instance, or less tensor parallelism")


def taints(rendering: Rendering) -> Iterator[Fault]:
    """Pods tolerate what their pool's nodes have; and no taint that no node has, which is a mistyped one."""
    every = {taint["key"] for pool in rendering.build.plan.pools for taint in kube.taints(pool)}
    known = {pool.name: pool for pool in rendering.build.plan.pools}
    for workload in rendering.workloads:
        pool = known.get(selector_of(workload.pod).get(names.POOL, ""))
        for taint in kube.taints(pool) if pool else ():
            if not tolerated(workload.pod, taint):
                message = f"does not tolerate the taint {taint['key']}={taint['value']} of its pool"
                yield Fault(workload.document, message, "tolerate it")
        for toleration in listed(workload.pod, "tolerations"):
            key = toleration.get("key")
            if key and key not in every and not key.startswith(BY_THE_KUBELET):
                yield Fault(workload.document, f"tolerates {key!r}, a taint that no node has", nearest(key, every))


def schedulable(rendering: Rendering) -> Iterator[Fault]:
    """At their most and at their least all pods find a node: nothing is pending for ever."""
    told: set[str] = set()
    for fullest in (True, False):
        made = schedule(rendering.workloads, rendering.build.plan.pools, fullest=fullest)
        for pending in made.pending:
            if pending.workload.title not in told:
                told.add(pending.workload.title)
                when = "all replicas that there may be" if fullest else "the fewest replicas"
                message = f"with {when}, {pending.count} of its pods stay pending: {'; '.join(pending.reasons)}"
                yield Fault(pending.workload.document, message, FROM_THE_PLAN)


def gpu_limits(rendering: Rendering) -> Iterator[Fault]:
    """Kubernetes wants a GPU's request and limit alike, and memory that has a limit is not taken from neighbours."""
    for workload in rendering.workloads:
        for container in workload.containers:
            resources = container.get("resources") or {}
            limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
            asked, limit = requests.get(names.GPU_RESOURCE), limits.get(names.GPU_RESOURCE)
            if asked is not None and str(asked) != str(limit):
                message = f"{container['name']}: requests {asked} GPUs with a limit of {limit or 'none'}"
                yield Fault(workload.document, message, "give both the same number")
            if limits and "memory" not in limits:
                yield Fault(workload.document, f"{container['name']}: has no memory limit", "limit it to its request")


def memory_volumes(rendering: Rendering) -> Iterator[Fault]:
    """Shared memory and an object store count against the container's memory limit."""
    for workload in rendering.workloads:
        for container in workload.containers:
            limit = dig(container, "resources", "limits", "memory")
            if limit is None:
                continue
            held = sum(size for _, size in _in_memory(workload, container["name"]))
            if held >= parse_bytes(limit):
                message = f"{container['name']}: volumes in memory of {held} bytes in a limit of {limit}"
                yield Fault(workload.document, message, "more memory, or smaller volumes")


def _in_memory(workload: Workload, container: str) -> Iterator[tuple[str, int]]:
    mounts = {
        mount["name"]
        for each in workload.containers
        if each["name"] == container
        for mount in listed(each, "volumeMounts")
    }
    for volume in listed(workload.pod, "volumes"):
        if dig(volume, "emptyDir", "medium") == "Memory" and volume.get("name") in mounts:
            try:
                yield volume["name"], parse_bytes(dig(volume, "emptyDir", "sizeLimit") or 0)
            except QuantityError:
                continue
