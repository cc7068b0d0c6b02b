"""What a Ray cluster and its models are like now, as `fairlead status` shows it. Pure: pages of the dashboard in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

UP = "RUNNING"  # of an application all of whose deployments are healthy
HOPELESS = "DEPLOY_FAILED"
OWN_RESOURCES = ("CPU", "GPU")


class Node(msgspec.Struct, frozen=True):
    """`id` is the beginning of Ray's; resources are those that the node offers."""

    id: str
    ip: str
    is_head: bool
    resources: Mapping[str, float]


class Deployment(msgspec.Struct, frozen=True):
    """`replicas` counts them by state (RUNNING, STARTING, ...); `nodes` has the nodes of those that run."""

    name: str
    status: str
    target: int
    replicas: Mapping[str, int]
    nodes: tuple[str, ...]
    message: str = ""


class View(msgspec.Struct, frozen=True):
    """`state` is Ray's word for the application; "" while there is none. `queued` requests wait for a replica."""

    state: str
    message: str
    nodes: tuple[Node, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    queued: int = 0


def view(app: str, nodes: Sequence[Mapping[str, Any]], serve: Mapping[str, Any], queued: int) -> View:
    """The cluster as one value."""
    found = serve.get("applications", {}).get(app, {})
    return View(
        state=found.get("status", ""),
        message=found.get("message", ""),
        nodes=tuple(sorted(map(node, nodes), key=lambda each: (not each.is_head, each.id))),
        deployments=tuple(deployment(found["deployments"][name]) for name in sorted(found.get("deployments", {}))),
        queued=queued,
    )


def node(page: Mapping[str, Any]) -> Node:
    """One node."""
    raylet = page["raylet"]
    total = raylet.get("resourcesTotal", {})
    resources = {name: total[name] for name in OWN_RESOURCES if name in total}
    return Node(short(raylet["nodeId"]), raylet["nodeManagerAddress"], bool(raylet.get("isHeadNode")), resources)


def deployment(page: Mapping[str, Any]) -> Deployment:
    """One deployment: a model, or the router in front of all."""
    replicas = page.get("replicas", [])
    running = {short(each["node_id"]) for each in replicas if each["state"] == "RUNNING" and each.get("node_id")}
    return Deployment(
        name=page["name"],
        status=page["status"],
        target=page.get("target_num_replicas", 0),
        replicas=dict(sorted(Counter(each["state"] for each in replicas).items())),
        nodes=tuple(sorted(running)),
        message=page.get("message", ""),
    )


def resources(page: Mapping[str, Any]) -> Mapping[str, float]:
    """What a node offers, by Ray's names."""
    found: Mapping[str, float] = page["raylet"].get("resourcesTotal", {})
    return found


def others(app: str, serve: Mapping[str, Any]) -> list[str]:
    """Applications that are not ours."""
    return sorted(set(serve.get("applications", {})) - {app})


def short(node_id: str) -> str:
    """Enough of a node's id to know it by."""
    return node_id[:8]
