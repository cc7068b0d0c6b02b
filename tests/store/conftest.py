"""One PostgreSQL for all tests that leave it running, with a database for each; those that kill it start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.postgres import Postgres, postgres
from servers.redis import RedisServer, redis_server


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture
def database_url(shared_postgres: Postgres) -> str:
    """The URL of an empty database."""
    return shared_postgres.new_database()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that may be killed."""
    with postgres() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that may be killed; it remembers."""
    with redis_server() as server:
        yield server
