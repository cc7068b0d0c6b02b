"""The stores as `gateway.json` says them: names of variables, never what they hold; seconds."""

from __future__ import annotations

from typing import Any

from fairlead.spec.store import Postgres, Redis, Store


def store(store: Store | None) -> dict[str, Any]:
    """Each store, or null for what stays in the service's folder or the gateway's memory."""
    if store is None:
        return {"postgres": None, "redis": None}
    return {"postgres": postgres(store.postgres), "redis": redis(store.redis)}


def postgres(postgres: Postgres | None) -> dict[str, Any] | None:
    """Keys and usage."""
    if postgres is None:
        return None
    return {"url_env": postgres.url_env, "keys_stale_for_s": postgres.keys_stale_for}


def redis(redis: Redis | None) -> dict[str, Any] | None:
    """Shared limits."""
    return None if redis is None else {"url_env": redis.url_env, "lease_s": redis.lease, "when_gone": redis.when_gone}
