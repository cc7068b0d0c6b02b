"""API keys: shown once, stored as a hash. A key is `sk-fl-<id>-<secret>`; the id is public, the secret is not."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from fairlead.errors import EXIT_FAILED, UserError
from fairlead.store.sqlite import connect, transaction

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
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


def hash_of(secret: bytes) -> bytes:
    """What is stored of a key: SHA-256 of the whole secret."""
    return hashlib.sha256(secret).digest()


def id_of(secret: str) -> str:
    """The public part of a key; "" when it does not look like one."""
    body = secret.removeprefix(PREFIX)
    return body[:ID_LENGTH] if body != secret and body[ID_LENGTH : ID_LENGTH + 1] == "-" else ""


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

    def all(self) -> list[Key]:
        """Every key, the oldest first, revoked and expired ones too."""
        rows = self._database.execute("SELECT * FROM keys ORDER BY created_at, id").fetchall()
        return [Key(**dict(row)) for row in rows]

    def create(
        self, *, tenant: str, role: str, note: str = "", max_age_s: float | None = None, replaces: str | None = None
    ) -> tuple[str, Key]:
        """Make a key. Returns the secret, which nothing can show again, and what is stored of it."""
        key_id = secrets.token_hex(ID_LENGTH // 2)
        secret = f"{PREFIX}{key_id}-{secrets.token_urlsafe(SECRET_BYTES)}"
        now = time.time()
        expires = None if max_age_s is None else now + max_age_s
        key = Key(key_id, hash_of(secret.encode()), tenant, role, note, now, expires, None, replaces)
        with transaction(self._database):
            insert(self._database, key)
        return secret, key

    def rotate(self, key_id: str, *, overlap_s: float, max_age_s: float | None) -> tuple[str, Key]:
        """Make a successor; the old key works for `overlap_s` more seconds. Raises UserError for a dead key."""
        old = self._active(key_id)
        secret, key = self.create(tenant=old.tenant, role=old.role, note=old.note, max_age_s=max_age_s, replaces=old.id)
        end = time.time() + overlap_s
        with transaction(self._database):
            self._database.execute(
                "UPDATE keys SET expires_at = min(coalesce(expires_at, ?), ?) WHERE id = ?", (end, end, key_id)
            )
        return secret, key

    def revoke(self, key_id: str) -> Key:
        """End a key now. Raises UserError when there is no such active key."""
        key = self._active(key_id)
        with transaction(self._database):
            self._database.execute("UPDATE keys SET revoked_at = ? WHERE id = ?", (time.time(), key_id))
        return key

    def _active(self, key_id: str) -> Key:
        key = next((key for key in self.all() if key.id == key_id), None)
        if key is None:
            raise UserError(f"no key {key_id!r}", hint="`fairlead keys list` shows the ids", exit_code=EXIT_FAILED)
        state = key.state(time.time())
        if state != "active":
            raise UserError(f"key {key_id!r} is {state} already", exit_code=EXIT_FAILED)
        return key


def insert(database: sqlite3.Connection, key: Key) -> None:
    """Write one key as it is."""
    database.execute(
        "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key.id,
            key.hash,
            key.tenant,
            key.role,
            key.note,
            key.created_at,
            key.expires_at,
            key.revoked_at,
            key.replaces,
        ),
    )
