"""The network of a node as a pod without devices for RDMA has it: what KV caches travel over where pods are ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fairlead.catalog.files import table


@dataclass(frozen=True, slots=True)
class Network:
    """`gbit_s` in one direction, of a whole node."""

    gbit_s: float
    source: str


@cache
def networks() -> Mapping[str, Network]:
    """What is known, by the instance's name."""
    return {
        row["instance"]: Network(gbit_s=float(row["gbit_s"]), source=f"{row['source']}, {row['date']}")
        for row in table("networks.csv")
    }


def network(instance: str) -> Network | None:
    """Of an instance; None where nothing is known."""
    return networks().get(instance)
