"""How much may be used, as `gateway.json` says it: rates per period, money in billionths, times in seconds."""

from __future__ import annotations

import msgspec


class Flow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`count` in each `period_s` seconds, `burst` at once."""

    count: float
    period_s: float
    burst: float


class RateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit for whom the lists name (empty: everybody), with a state of its own for each value of `per`."""

    per: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    requests: Flow | None = None
    tokens: Flow | None = None
    concurrent: int | None = None


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Billionths of the currency per million tokens."""

    prompt_nano: int
    cached_nano: int
    completion_nano: int


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`amount_nano` in each `period` (h, day, week, month) of a timezone's calendar; `warn_at`: a share of it."""

    amount_nano: int
    period: str
    timezone: str = "UTC"
    warn_at: float = 0.8
    warn_webhook: str = ""  # told when `warn_at` is reached; "" for nobody
    per: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


class Idempotency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long an answer is kept for its Idempotency-Key, and how many bytes of answers are."""

    lifetime_s: float = 86_400.0
    memory_bytes: int = 64 * 2**20


class Fairness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How tenants share a full engine. `max_in_flight`: running requests a replica, 0 for the model's own number.

    `batch_beside`: of those, requests of batch while others use the model; 0: one now and then, for their share.
    """

    queue: int = 256
    max_wait_s: float = 10.0
    max_in_flight: int = 0
    batch_share: float = 0.05
    batch_beside: int = 1
    batch_roles: tuple[str, ...] = ()
    tenants: dict[str, float] = {}
    roles: dict[str, float] = {}
