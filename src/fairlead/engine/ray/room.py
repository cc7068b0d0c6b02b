"""Whether the models fit the nodes, told before anything is deployed: Ray itself would wait without end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Resources = dict[str, float]


def shortages(config: Mapping[str, Any], nodes: Sequence[Mapping[str, float]]) -> list[str]:
    """What cannot be placed, one sentence a model. `nodes` has each node's free resources by Ray's names.

    The largest replicas are placed first, each on the first node that has room: what this finds fits; that there is
    no other way to place them is certain only where it says that a replica is larger than every node.
    """
    free = [dict(node) for node in nodes]
    found = []
    wanted = sorted(_replicas(config), key=lambda each: -sum(_total(each[1]).values()))
    for name, bundles, is_together in wanted:
        if not any(_fits(_total(bundles), dict(node)) for node in nodes) and is_together:
            largest = ", ".join(_text(_asked(node, bundles)) for node in nodes) or "none"
            found.append(f"{name}: a replica needs {_text(_total(bundles))} on one node; the nodes have {largest}")
        elif not _place(bundles, free, is_together=is_together):
            left = ", ".join(_text(_asked(node, bundles)) for node in free) or "none"
            found.append(f"{name}: no room left for a replica of {_text(_total(bundles))}; the nodes have left {left}")
    return list(dict.fromkeys(found))


def _replicas(config: Mapping[str, Any]) -> Iterator[tuple[str, list[Resources], bool]]:
    """(model, bundles, whether they have to be on one node) of each replica that has to be there from the start."""
    for application in config["applications"]:
        for model in application["args"]["llm_configs"]:
            placement, deployment = model["placement_group_config"], model["deployment_config"]
            scaling = deployment.get("autoscaling_config", {})
            count = int(deployment.get("num_replicas") or scaling.get("min_replicas", 1))
            for _ in range(count):
                name = model["model_loading_config"]["model_id"]
                yield name, placement["bundles"], placement["strategy"] == "STRICT_PACK"


def _place(bundles: Sequence[Resources], free: list[Resources], *, is_together: bool) -> bool:
    for part in [_total(bundles)] if is_together else bundles:
        node = next((node for node in free if _fits(part, node)), None)
        if node is None:
            return False
        for name, amount in part.items():
            node[name] = node.get(name, 0.0) - amount
    return True


def _fits(part: Resources, node: Resources) -> bool:
    return all(node.get(name, 0.0) + 1e-9 >= amount for name, amount in part.items())


def _total(bundles: Sequence[Resources]) -> Resources:
    names = dict.fromkeys(name for bundle in bundles for name in bundle)
    return {name: sum(bundle.get(name, 0.0) for bundle in bundles) for name in names}


def _asked(node: Mapping[str, float], bundles: Sequence[Resources]) -> Resources:
    return {name: node.get(name, 0.0) for name in _total(bundles)}


def _text(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items())
