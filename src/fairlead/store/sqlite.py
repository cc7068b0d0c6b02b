"""One way to open an embedded database: WAL, a busy timeout, and numbered migrations that run once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

BUSY_MS = 5000


def connect(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """Open (and create, readable by its owner alone) the database, and bring it to the newest migration."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.row_factory = sqlite3.Row
    database.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    migrate(database, migrations)
    return database


def migrate(database: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Run the migrations that this database has not seen; `user_version` counts them."""
    if database.execute("PRAGMA user_version").fetchone()[0] >= len(migrations):
        return
    with transaction(database):
        seen = database.execute("PRAGMA user_version").fetchone()[0]
        for number, statement in enumerate(migrations[seen:], start=seen + 1):
            database.execute(statement)
            database.execute(f"PRAGMA user_version = {number}")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A write transaction that other processes wait for; rolled back when the block raises."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
