"""What replicas share, as `gateway.json` says it: names of variables, times in seconds."""

from __future__ import annotations

from typing import Literal

import msgspec


class Postgres(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys and usage. `url_env` names the variable that holds the URL."""

    url_env: str
    keys_stale_for_s: float = 3600.0


class Redis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits and budgets. `lease_s` is how long a slice lasts."""

    url_env: str
    lease_s: float = 1.0
    when_gone: Literal["share", "deny"] = "share"


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None: in the service's folder, and in the gateway's memory."""

    postgres: Postgres | None = None
    redis: Redis | None = None
