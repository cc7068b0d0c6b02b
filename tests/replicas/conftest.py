"""Real databases for replicas that share them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.upstream import Upstream, upstream
from servers.postgres import Postgres, postgres
from servers.redis import RedisServer, redis_server


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that may be stopped."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    with redis_server(durable=False) as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that may be killed; it forgets."""
    with redis_server(durable=False) as server:
        yield server


@pytest.fixture
def engine() -> Iterator[Upstream]:
    with upstream() as one:
        yield one
