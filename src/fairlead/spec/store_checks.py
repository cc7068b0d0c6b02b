"""What would be declared and shared by nobody, or be multiplied by the replicas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.spec.problems import Finding
from fairlead.spec.store import Store
from fairlead.spec.types import Gateway

LAST_PORT = 65_535


def findings(store: Store | None, gateway: Gateway | None, consumption: Mapping[str, Any]) -> Iterator[Finding]:
    """Every contradiction. `consumption`: limits and budgets that are counted, by their place in the file."""
    if store is not None and store.postgres is None and store.redis is None:
        yield Finding(("store",), "stores nothing", "give it postgres, redis or both", at_key=True)
    redis = store.redis if store else None
    if redis is not None and not consumption:
        yield Finding(("store", "redis"), "there is nothing to share", "add limits or budgets", at_key=True)
    if gateway is None:
        return
    if gateway.replicas > 1 and redis is None and consumption:
        message = f"each of {gateway.replicas} replicas would give the whole of {', '.join(sorted(consumption))}"
        yield Finding(("gateway", "replicas"), message, "add store.redis, so that they share it")
    ports = range(gateway.admin_port, gateway.admin_port + gateway.replicas)
    if gateway.replicas > 1 and (gateway.port in ports or ports[-1] > LAST_PORT):
        message = f"{gateway.replicas} replicas take the admin ports {ports[0]} to {ports[-1]}"
        yield Finding(("gateway", "replicas"), message, "one for each; choose another admin_port")
