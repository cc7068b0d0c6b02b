"""Where keys, usage and shared limits live when one folder is not enough, and what happens when it is away."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fairlead.spec.fields import Closed, EnvironmentVariable
from fairlead.units import Seconds


class Postgres(Closed):
    """Keys, the usage ledger, files and batches of all replicas, in one PostgreSQL database."""

    url_env: EnvironmentVariable
    """Name of the environment variable that holds postgresql://user:password@host:5432/name."""
    keys_stale_for: Seconds = Field(3600.0, gt=3, le=30 * 86_400)
    """While the database is away keys work on from each replica's copy, this long; then callers get 503."""


class Redis(Closed):
    """Limits and budgets that all replicas share, in Redis or Valkey."""

    url_env: EnvironmentVariable
    """Name of the environment variable that holds redis://host:6379/0, or rediss:// for TLS."""
    lease: Seconds = Field(1.0, ge=0.2, le=5)
    """How long a replica's slice of a limit lasts at its present demand: longer is fewer questions, larger slices."""
    when_gone: Literal["share", "deny"] = "share"
    """While Redis is away each replica goes on with its fair share (limit / replicas), or answers with 503."""


class Store(Closed):
    """What the replicas of a service share. Without it, a folder beside this file is all there is."""

    postgres: Postgres | None = None
    """Keys, usage, files and batches. Default: SQLite and files in the service's folder."""
    redis: Redis | None = None
    """Limits and budgets. Default: in the gateway's memory, so that only a single gateway can keep them."""
