"""API keys in PostgreSQL. The tables count every change, so that a replica's mirror sees it with one small look."""

from __future__ import annotations

import time
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from fairlead.store.keys import Key, active, new_key
from fairlead.store.postgres import Database

if TYPE_CHECKING:
    from fairlead.store.postgres import Cursor

COLUMNS = "id, hash, tenant, role, note, created_at, expires_at, revoked_at, replaces"


class PostgresKeys:
    """The keys of one service."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        self._database = Database(url, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def version(self) -> int:
        """A number that changes when anybody has changed a key."""
        with self._database.transaction() as cursor:
            row = cursor.execute("SELECT number FROM fairlead.key_changes").fetchone()
        return int(str(row[0])) if row else 0

    def all(self) -> list[Key]:
        """Every key, the oldest first, revoked and expired ones too."""
        with self._database.transaction() as cursor:
            rows: list[Any] = cursor.execute(f"SELECT {COLUMNS} FROM fairlead.keys ORDER BY created_at, id").fetchall()  # noqa: S608 - our names
        return [Key(*row) for row in rows]

    def create(
        self, *, tenant: str, role: str, note: str = "", max_age_s: float | None = None, replaces: str | None = None
    ) -> tuple[str, Key]:
        """Make a key. Returns the secret, which nothing can show again, and what is stored of it."""
        secret, key = new_key(time.time(), tenant=tenant, role=role, note=note, max_age_s=max_age_s, replaces=replaces)
        with self._database.transaction() as cursor:
            insert(cursor, key)
        return secret, key

    def rotate(self, key_id: str, *, overlap_s: float, max_age_s: float | None) -> tuple[str, Key]:
        """Make a successor; the old key works for `overlap_s` more seconds. Raises UserError for a dead key."""
        now = time.time()
        with self._database.transaction() as cursor:
            old = active(locked(cursor, key_id), key_id, now)
            secret, key = new_key(
                now, tenant=old.tenant, role=old.role, note=old.note, max_age_s=max_age_s, replaces=old.id
            )
            insert(cursor, key)
            cursor.execute(
                "UPDATE fairlead.keys SET expires_at = least(expires_at, %s) WHERE id = %s", (now + overlap_s, key_id)
            )  # least() leaves out a null: a key without an end gets one
        return secret, key

    def revoke(self, key_id: str) -> Key:
        """End a key now. Raises UserError when there is no such active key."""
        now = time.time()
        with self._database.transaction() as cursor:
            key = active(locked(cursor, key_id), key_id, now)
            cursor.execute("UPDATE fairlead.keys SET revoked_at = %s WHERE id = %s", (now, key_id))
        return key


def insert(cursor: Cursor, key: Key) -> None:
    """Write one key as it is."""
    cursor.execute(
        f"INSERT INTO fairlead.keys ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",  # noqa: S608 - our names
        astuple(key),
    )


def locked(cursor: Cursor, key_id: str) -> Key | None:
    """The key, which nobody else changes until the transaction ends."""
    row: Any = cursor.execute(
        f"SELECT {COLUMNS} FROM fairlead.keys WHERE id = %s FOR UPDATE",  # noqa: S608 - our names
        (key_id,),
    ).fetchone()
    return None if row is None else Key(*row)
