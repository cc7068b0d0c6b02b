"""A scheduler in small: every pod on a node of the pools that Terraform makes, or pending with the reason.

It filters as the real one does (node selector, required affinity, taints, requests against what a node has left for
pods) and grows pools up to their maximum, as the cluster's autoscaler does. It prefers nothing: the largest pods first,
each on the first node that takes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairlead.catalog.allocatable import allocatable
from fairlead.plan.service import Pool
from fairlead.render import kube, names
from fairlead.render.build import Object
from fairlead.render.workloads import Workload
from fairlead.units import format_bytes, parse_bytes, parse_cores

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Size:
    """CPU cores, bytes of memory, GPUs."""

    cores: float = 0.0
    memory: float = 0.0
    gpus: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.cores + other.cores, self.memory + other.memory, self.gpus + other.gpus)

    def largest(self, other: Size) -> Size:
        """The larger of each."""
        return Size(max(self.cores, other.cores), max(self.memory, other.memory), max(self.gpus, other.gpus))

    def lacking(self, free: Size) -> list[str]:
        """What of this is more than `free`, in words."""
        found = []
        if self.cores > free.cores + 1e-9:
            found.append(f"{self.cores:g} cores of {free.cores:.2f}")
        if self.memory > free.memory:
            found.append(f"{shown_bytes(self.memory)} of memory of {shown_bytes(free.memory)}")
        if self.gpus > free.gpus:
            found.append(f"{self.gpus} GPUs of {free.gpus}")
        return found


@dataclass(slots=True)
class Node:
    """A node of a pool, what pods may still request of it, and how many of each workload it has."""

    pool: Pool
    number: int
    free: Size
    pods: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Pending:
    """Pods that no node takes: how many, and for each pool why not."""

    workload: Workload
    count: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The nodes in use, and what is pending."""

    nodes: tuple[Node, ...]
    pending: tuple[Pending, ...]


def schedule(workloads: Iterable[Workload], pools: Sequence[Pool], *, fullest: bool) -> Schedule:
    """Place all pods: of each workload its `maximum` where `fullest`, else its `minimum`."""
    counted = [(each, each.maximum if fullest else each.minimum) for each in workloads]
    ordered = sorted(counted, key=lambda pair: (_weight(request(pair[0].pod)), pair[0].title), reverse=True)
    nodes = [_node(pool, number) for pool in pools for number in range(pool.minimum)]
    pending: list[Pending] = []
    for workload, count in ordered:
        placed = sum(1 for _ in range(count) if _placed(workload, nodes, pools))
        if placed < count:
            reasons = tuple(f"{pool.name}: {why}" for pool in pools for why in why_not(workload, pool, nodes))
            pending.append(Pending(workload, count - placed, reasons))
    return Schedule(tuple(nodes), tuple(pending))


def request(pod: Object) -> Size:
    """What a pod requests: its containers together, or its largest init container (kubernetes.io, Init Containers)."""
    running, starting = Size(), Size()
    for container in pod.get("containers", ()):
        running += _request(container)
    for container in pod.get("initContainers", ()):
        if container.get("restartPolicy") == "Always":
            running += _request(container)
        else:
            starting = starting.largest(_request(container))
    return running.largest(starting)


def capacity(pool: Pool) -> Size:
    """What pods may request on one node of the pool."""
    room = allocatable(pool.instance)
    return Size(room.cores, room.memory_bytes, pool.instance.gpus)


def why_not(workload: Workload, pool: Pool, nodes: Sequence[Node]) -> list[str]:
    """Why a pool takes no further pod of a workload; empty where it does."""
    unmet = [
        f"the pod wants {key}={value}"
        for key, value in selector_of(workload.pod).items()
        if labels(pool).get(key) != value
    ]
    if unmet:
        return unmet[:1]
    kept_off = [taint for taint in kube.taints(pool) if not tolerated(workload.pod, taint)]
    if kept_off:
        return [f"the taint {kept_off[0]['key']}={kept_off[0]['value']} is not tolerated"]
    wanted = request(workload.pod)
    lacking = wanted.lacking(capacity(pool))
    if lacking:
        return [f"a pod wants {', '.join(lacking)} that a node of {pool.instance.name} has for pods"]
    mine = [node for node in nodes if node.pool.name == pool.name]
    if len(mine) >= pool.maximum and not any(not wanted.lacking(node.free) for node in mine):
        return [f"all of its {pool.maximum} nodes are full"]
    return []


def labels(pool: Pool) -> dict[str, str]:
    """The labels of a pool's nodes that pods may choose by."""
    return {
        **names.pool_selector(pool.name),
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": pool.instance.name,
    }


def selector_of(pod: Object) -> dict[str, str]:
    """What a pod demands of a node's labels: its selector, and required affinity to single values."""
    found: dict[str, str] = dict(pod.get("nodeSelector") or {})
    affinity: Any = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or []
    for expression in terms[0].get("matchExpressions", ()) if len(terms) == 1 else ():
        if expression.get("operator") == "In" and len(expression.get("values", ())) == 1:
            found[expression["key"]] = expression["values"][0]
    return found


def tolerated(pod: Object, taint: Mapping[str, str]) -> bool:
    """Whether one of the pod's tolerations matches a taint."""
    return any(
        toleration.get("key") in (None, taint["key"])
        and toleration.get("effect") in (None, "", taint["effect"])
        and (
            toleration.get("operator") == "Exists"
            or (toleration.get("key") and toleration.get("value", "") == taint["value"])
        )
        for toleration in pod.get("tolerations") or ()
    )


def shown_bytes(size: float) -> str:
    """A size in whole MiB."""
    return format_bytes(round(size / MIB) * MIB)


def _placed(workload: Workload, nodes: list[Node], pools: Sequence[Pool]) -> bool:
    """Put one pod on the first node that takes it, a new one of a pool that may grow if need be."""
    wanted = request(workload.pod)
    fit = [pool for pool in pools if _suits(workload, pool)]
    for node in nodes:
        if node.pool in fit and not wanted.lacking(node.free):
            _put(workload, wanted, node)
            return True
    for pool in fit:
        count = sum(1 for node in nodes if node.pool.name == pool.name)
        if count < pool.maximum:
            node = _node(pool, count)
            nodes.append(node)
            _put(workload, wanted, node)
            return True
    return False


def _suits(workload: Workload, pool: Pool) -> bool:
    selector = selector_of(workload.pod).items()
    return (
        selector <= labels(pool).items()
        and all(tolerated(workload.pod, taint) for taint in kube.taints(pool))
        and not request(workload.pod).lacking(capacity(pool))
    )


def _put(workload: Workload, wanted: Size, node: Node) -> None:
    node.free = Size(node.free.cores - wanted.cores, node.free.memory - wanted.memory, node.free.gpus - wanted.gpus)
    node.pods[workload.title] += 1


def _node(pool: Pool, number: int) -> Node:
    return Node(pool, number, capacity(pool))


def _request(container: Object) -> Size:
    """Requests; where only a limit is given Kubernetes takes it for the request."""
    resources = container.get("resources") or {}
    asked: Mapping[str, Any] = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return Size(
        parse_cores(_text(asked.get("cpu", 0))),
        parse_bytes(_text(asked.get("memory", 0))),
        int(asked.get(names.GPU_RESOURCE, 0)),
    )


def _text(quantity: object) -> object:
    return int(quantity) if isinstance(quantity, str) and quantity.isdecimal() else quantity


def _weight(size: Size) -> tuple[int, float, float]:
    return size.gpus, size.memory, size.cores


def table(made: Schedule) -> Iterator[tuple[str, int, dict[str, int]]]:
    """For each pool in use: its name, its nodes, and how many pods of each workload are on them."""
    for name in dict.fromkeys(node.pool.name for node in made.nodes):
        mine = [node for node in made.nodes if node.pool.name == name]
        pods: Counter[str] = Counter()
        for node in mine:
            pods += node.pods
        yield name, len(mine), dict(sorted(pods.items()))
