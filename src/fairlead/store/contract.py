"""What every store of keys and usage can do, whichever database is behind it. `store/stores.py` lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fairlead.errors import EXIT_FAILED, UserError
from fairlead.store.keys import Freshness, Key

GROUPS = ("tenant", "key", "model", "day")


class StoreUnavailable(UserError):
    """The database does not answer, or not in time. Trying again later is right; nothing is lost meanwhile."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="docs/runbooks/postgres-down.md", exit_code=EXIT_FAILED)


class KnownKeys(Protocol):
    """What a gateway lets callers in by: the database beside it, or its own copy of one."""

    def version(self) -> object:
        """What changes when a key or the freshness does."""

    def freshness(self) -> Freshness:
        """`fresh`: as good as the database. `stale`: that is away. `expired`: away for too long."""

    def all(self) -> list[Key]:
        """Every key; none once they have expired."""


class Unshipped(Protocol):
    """What a gateway knows of its ledger."""

    def unshipped_bytes(self) -> int:
        """How much of the journal is not in the ledger yet."""


class Keys(Protocol):
    """API keys. What changes is committed when a call returns."""

    def close(self) -> None:
        """Close the database."""

    def version(self) -> int:
        """A number that changes when anybody has changed a key."""

    def all(self) -> list[Key]:
        """Every key, the oldest first, revoked and expired ones too."""

    def create(
        self, *, tenant: str, role: str, note: str = "", max_age_s: float | None = None, replaces: str | None = None
    ) -> tuple[str, Key]:
        """Make a key. Returns the secret, which nothing can show again, and what is stored of it."""

    def rotate(self, key_id: str, *, overlap_s: float, max_age_s: float | None) -> tuple[str, Key]:
        """Make a successor; the old key works for `overlap_s` more seconds. Raises UserError for a dead key."""

    def revoke(self, key_id: str) -> Key:
        """End a key now. Raises UserError when there is no such active key."""


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over a group of requests. Times are means in milliseconds."""

    group: str
    requests: int
    errors: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    ttft_ms: float | None
    duration_ms: float
    cost_nano: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """What a key of a tenant has cost by using a model, in billionths of the currency."""

    tenant: str
    key: str
    model: str
    cost_nano: int


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """What one key of a tenant used of a model on a day (UTC), by one operation. `estimated`: of the requests."""

    day: str
    tenant: str
    key: str
    model: str
    operation: str
    requests: int
    errors: int
    estimated: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_nano: int = 0


class Ledger(Protocol):
    """Usage, filled from this replica's journal: each record once, whatever dies meanwhile."""

    def close(self) -> None:
        """Close the database."""

    def ship(self, max_bytes: int = 1 << 62) -> int:
        """Move at most about `max_bytes` of the journal into the ledger; returns how many bytes were moved."""

    def unshipped_bytes(self) -> int:
        """How much of the journal is not in the ledger yet."""

    def totals(self, by: str, since: float = 0.0) -> list[Total]:
        """Sums by one of GROUPS over requests that ended at or after `since`."""

    def spent(self, since: float, until: float) -> Sequence[Spent]:
        """What was spent by requests that ended at or after `since` and before `until`; nothing that is 0."""

    def charge_lines(self, since: float = 0.0) -> Sequence[ChargeLine]:
        """The chargeback of requests that ended at or after `since`; its sums are the ledger's."""
