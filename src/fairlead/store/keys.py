"""API keys: shown once, stored as a hash. A key is `sk-fl-<id>-<secret>`; the id is public, the secret is not."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal

from fairlead.errors import EXIT_FAILED, UserError
from fairlead.store.sqlite import connect, transaction

Freshness = Literal["fresh", "stale", "expired"]
PREFIX = "sk-fl-"
ID_LENGTH = 12
SECRET_BYTES = 24  # 192 random bits: a fast hash is enough, there is nothing to guess

MIGRATIONS = (
    """CREATE TABLE keys (
        id TEXT PRIMARY KEY, hash BLOB NOT NULL, tenant TEXT NOT NULL, role TEXT NOT NULL, note TEXT NOT NULL,
        created_at REAL NOT NULL, expires_at REAL, revoked_at REAL, replaces TEXT
    ) STRICT""",
)


@dataclass(frozen=True, slots=True)
class Key:
    """A stored key. Times are seconds since 1970; `expires_at` None means never."""

    id: str
    hash: bytes
    tenant: str
    role: str
    note: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    replaces: str | None

    def state(self, now: float) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:  # whatever the clock of the machine that revoked it said
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


def hash_of(secret: bytes) -> bytes:
    """What is stored of a key: SHA-256 of the whole secret."""
    return hashlib.sha256(secret).digest()


def id_of(secret: str) -> str:
    """The public part of a key; "" when it does not look like one."""
    body = secret.removeprefix(PREFIX)
    return body[:ID_LENGTH] if body != secret and body[ID_LENGTH : ID_LENGTH + 1] == "-" else ""


def new_key(
    now: float, *, tenant: str, role: str, note: str, max_age_s: float | None, replaces: str | None
) -> tuple[str, Key]:
    """A fresh secret, and what is stored of it."""
    key_id = secrets.token_hex(ID_LENGTH // 2)
    secret = f"{PREFIX}{key_id}-{secrets.token_urlsafe(SECRET_BYTES)}"
    expires = None if max_age_s is None else now + max_age_s
    return secret, Key(key_id, hash_of(secret.encode()), tenant, role, note, now, expires, None, replaces)


def active(key: Key | None, key_id: str, now: float) -> Key:
    """The key, when it may still be changed. Raises UserError when there is none, or it has ended."""
    if key is None:
        raise UserError(f"no key {key_id!r}", hint="`fairlead keys list` shows the ids", exit_code=EXIT_FAILED)
    state = key.state(now)
    if state != "active":
        raise UserError(f"key {key_id!r} is {state} already", exit_code=EXIT_FAILED)
    return key


class KeyStore:
    """The keys of one service in SQLite; every process opens its own."""

    def __init__(self, path: Path) -> None:
        self._database = connect(path, MIGRATIONS)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def version(self) -> int:
        """A number that changes when another process has written."""
        return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    def freshness(self) -> Freshness:
        """This is the database itself and no copy of one."""
        return "fresh"

    def all(self) -> list[Key]:
        """Every key, the oldest first, revoked and expired ones too."""
        rows = self._database.execute("SELECT * FROM keys ORDER BY created_at, id").fetchall()
        return [Key(**dict(row)) for row in rows]

    def create(
        self, *, tenant: str, role: str, note: str = "", max_age_s: float | None = None, replaces: str | None = None
    ) -> tuple[str, Key]:
        """Make a key. Returns the secret, which nothing can show again, and what is stored of it."""
        secret, key = new_key(time.time(), tenant=tenant, role=role, note=note, max_age_s=max_age_s, replaces=replaces)
        with transaction(self._database):
            insert(self._database, key)
        return secret, key

    def rotate(self, key_id: str, *, overlap_s: float, max_age_s: float | None) -> tuple[str, Key]:
        """Make a successor; the old key works for `overlap_s` more seconds. Raises UserError for a dead key."""
        now = time.time()
        with transaction(self._database) as database:
            old = active(self._get(key_id), key_id, now)
            secret, key = new_key(
                now, tenant=old.tenant, role=old.role, note=old.note, max_age_s=max_age_s, replaces=old.id
            )
            insert(database, key)
            end = now + overlap_s
            database.execute(
                "UPDATE keys SET expires_at = min(coalesce(expires_at, ?), ?) WHERE id = ?", (end, end, key_id)
            )
        return secret, key

    def revoke(self, key_id: str) -> Key:
        """End a key now. Raises UserError when there is no such active key."""
        now = time.time()
        with transaction(self._database) as database:
            key = active(self._get(key_id), key_id, now)
            database.execute("UPDATE keys SET revoked_at = ? WHERE id = ?", (now, key_id))
        return key

    def replace(self, keys: Sequence[Key]) -> None:
        """Become a copy of another store: exactly these keys, in one step."""
        with transaction(self._database) as database:
            database.execute("DELETE FROM keys")
            for key in keys:
                insert(database, key)

    def _get(self, key_id: str) -> Key | None:
        row = self._database.execute("SELECT * FROM keys WHERE id = ?", (key_id,)).fetchone()
        return None if row is None else Key(**dict(row))


def insert(database: sqlite3.Connection, key: Key) -> None:
    """Write one key as it is."""
    database.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(key))
