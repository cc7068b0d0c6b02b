"""The files of batches in PostgreSQL: an upload in pieces of a mebibyte; what a batch made is read out of its rows.

Nobody sees a file before all of its bytes are there. A file that is deleted is first seen by nobody; its bytes go
later, some at a time, by whichever gateway finds it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, LiteralString

import msgspec

from fairlead.store.batches import File, InUse, Piece
from fairlead.store.contract import StoreUnavailable
from fairlead.store.postgres import Database

if TYPE_CHECKING:
    from fairlead.store.postgres import Cursor

CHUNK_BYTES = 1024 * 1024
ROWS_AT_ONCE = 100  # that are read together
CHUNKS_PURGED, ROWS_PURGED = 32, 5000  # that are deleted together
PURGE_S = 1.0
ARRIVES_WITHIN_S = 24 * 3600  # an upload that is not whole by then has no client any more
COLUMNS = ("id", "tenant", "created_at", "expires_at", "bytes", "filename", "purpose")
NAMES: LiteralString = "id, tenant, created_at, expires_at, bytes, filename, purpose"
FILE: LiteralString = f"SELECT {NAMES} FROM fairlead.batch_files WHERE ready AND tenant = %s"  # noqa: S608 - our names
HIDE: LiteralString = """
    UPDATE fairlead.batch_files AS f SET ready = false, expires_at = 0 WHERE expires_at <= %s AND expires_at > 0
    AND NOT EXISTS (SELECT FROM fairlead.batches b WHERE NOT b.ended AND b.tenant = f.tenant AND b.input_file = f.id)
"""
PURGE_CHUNKS: LiteralString = """
    DELETE FROM fairlead.batch_chunks WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM fairlead.batch_chunks WHERE file = %s LIMIT %s))
"""
PURGE_ROWS: LiteralString = """
    DELETE FROM fairlead.batch_rows WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM fairlead.batch_rows WHERE batch = %s AND good = %s LIMIT %s))
"""


class PostgresFiles:
    """Files of all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def receive(self, file_id: str) -> PostgresIncoming:
        """Begin an upload."""
        return PostgresIncoming(self._database, file_id)

    def read(self, file_id: str, mark: int = 0) -> Piece:
        """A piece of a file. Raises FileNotFoundError when it is gone."""
        with self._database.transaction() as cursor:
            row: Any = cursor.execute(
                "SELECT batch, good, bytes FROM fairlead.batch_files WHERE ready AND id = %s", (file_id,)
            ).fetchone()
            if row is None:
                raise FileNotFoundError(file_id)
            batch, good, size = row
            return chunk_of(cursor, file_id, mark, size) if batch is None else rows_of(cursor, batch, mark, good=good)

    def file(self, tenant: str, file_id: str) -> File | None:
        """A tenant's file."""
        if "\0" in file_id:  # no text of PostgreSQL's
            return None
        with self._database.transaction() as cursor:
            row = cursor.execute(f"{FILE} AND id = %s", (tenant, file_id)).fetchone()
        return file_of(row) if row else None

    def files(self, tenant: str) -> list[File]:
        """All of a tenant's files, the newest first."""
        with self._database.transaction() as cursor:
            rows = cursor.execute(f'{FILE} ORDER BY created_at DESC, id COLLATE "C" DESC', (tenant,)).fetchall()
        return [file_of(row) for row in rows]

    def stored_bytes(self, tenant: str) -> int:
        """How much all of a tenant's files have."""
        with self._database.transaction() as cursor:
            return stored(cursor, tenant)

    def drop_file(self, tenant: str, file_id: str) -> bool:
        """Delete a file; whether there was one. Raises InUse."""
        with self._database.transaction() as cursor:
            lock_tenant(cursor, tenant)
            used = "SELECT FROM fairlead.batches WHERE NOT ended AND tenant = %s AND input_file = %s"
            if cursor.execute(used, (tenant, file_id)).fetchone() is not None:
                raise InUse
            hidden = "UPDATE fairlead.batch_files SET ready = false, expires_at = 0 WHERE ready AND tenant = %s"
            gone = cursor.execute(f"{hidden} AND id = %s", (tenant, file_id)).rowcount
        return bool(gone)

    def purge(self, now: float) -> bool:
        """Delete what is past its time, but for the inputs of batches that have not ended; whether there is more.

        It takes a second or so at most: leases are renewed by the same thread.
        """
        with self._database.transaction() as cursor:
            cursor.execute(HIDE, (int(now),))
        end = time.monotonic() + PURGE_S
        while time.monotonic() < end:
            if not self._purge_some():
                return False
        return True

    def _purge_some(self) -> bool:
        """Some bytes of a file that nobody sees any more, then its record; whether there was one."""
        with self._database.transaction() as cursor:
            row: Any = cursor.execute(
                "SELECT id, batch, good FROM fairlead.batch_files WHERE NOT ready AND expires_at = 0"
                " LIMIT 1 FOR UPDATE SKIP LOCKED"
            ).fetchone()
            if row is None:
                return False
            file_id, batch, good = row
            if batch is None:
                deleted = cursor.execute(PURGE_CHUNKS, (file_id, CHUNKS_PURGED)).rowcount
            else:
                deleted = cursor.execute(PURGE_ROWS, (batch, good, ROWS_PURGED)).rowcount
            if not deleted:
                cursor.execute("DELETE FROM fairlead.batch_files WHERE id = %s", (file_id,))
        return True


class PostgresIncoming:
    """An upload on its way into the database."""

    def __init__(self, database: Database, file_id: str) -> None:
        self._database, self._id = database, file_id
        self._rest = bytearray()
        self._number = 0
        self._kept = False

    def write(self, part: bytes) -> None:
        """The next bytes. Raises StoreUnavailable."""
        self._rest += part
        while len(self._rest) >= CHUNK_BYTES:
            with self._database.transaction() as cursor:
                self._begun(cursor)
                self._put(cursor, bytes(self._rest[:CHUNK_BYTES]))
            self._number += 1
            del self._rest[:CHUNK_BYTES]

    def keep(self, file: File, storage_bytes: int) -> bool:
        """Make it a file, if its tenant has the storage; whether it has. Raises StoreUnavailable."""
        with self._database.transaction() as cursor:
            lock_tenant(cursor, file.tenant)
            if stored(cursor, file.tenant) + file.bytes > storage_bytes:
                return False
            self._begun(cursor)
            if self._rest:
                self._put(cursor, bytes(self._rest))
            values = [str(value).replace("\0", " ") if isinstance(value, str) else value for value in as_row(file)]
            done = cursor.execute(
                f"UPDATE fairlead.batch_files SET ({NAMES}, ready) = (%s, %s, %s, %s, %s, %s, %s, true)"  # noqa: S608
                " WHERE id = %s AND NOT ready AND expires_at > 0",
                (*values, file.id),
            ).rowcount
            if not done:
                raise StoreUnavailable("the upload took too long")
        self._kept = True
        return True

    def discard(self) -> None:
        """Remove what is left: now, or later where the database is away."""
        if self._kept:
            return
        with suppress(StoreUnavailable), self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE fairlead.batch_files SET expires_at = 0 WHERE id = %s AND NOT ready", (self._id,)
            )  # whoever expires next purges it

    def _begun(self, cursor: Cursor) -> None:
        """Make the record that nobody sees yet; a second time changes nothing."""
        cursor.execute(
            f"INSERT INTO fairlead.batch_files ({NAMES}, ready)"  # noqa: S608 - our names
            " VALUES (%s, '', 0, extract(epoch FROM now())::bigint + %s, 0, '', '', false) ON CONFLICT DO NOTHING",
            (self._id, ARRIVES_WITHIN_S),
        )

    def _put(self, cursor: Cursor, content: bytes) -> None:
        values = (self._id, self._number, content)
        cursor.execute("INSERT INTO fairlead.batch_chunks VALUES (%s, %s, %b)", values)


def lock_tenant(cursor: Cursor, tenant: str) -> None:
    """Until the transaction ends nobody else counts what this tenant has."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('fairlead batches of ' || %s, 0))", (tenant,))


def stored(cursor: Cursor, tenant: str) -> int:
    """How much all of a tenant's files have."""
    found = "SELECT coalesce(sum(bytes), 0)::bigint FROM fairlead.batch_files WHERE ready AND tenant = %s"
    row: Any = cursor.execute(found, (tenant,)).fetchone()
    return int(row[0])


def chunk_of(cursor: Cursor, file_id: str, number: int, size: int) -> Piece:
    """One chunk of an upload."""
    row: Any = cursor.execute(
        "SELECT content FROM fairlead.batch_chunks WHERE file = %s AND number = %s",
        (file_id, number),
        binary=True,
    ).fetchone()
    more = (number + 1) * CHUNK_BYTES < size
    return Piece(bytes(row[0]) if row else b"", number + 1 if more else None)


def rows_of(cursor: Cursor, batch: str, above: int, *, good: bool) -> Piece:
    """Some answers of a batch, in the order of their rows' lines in the input; lines are numbered from 1."""
    rows: list[Any] = cursor.execute(
        "SELECT number, line FROM fairlead.batch_rows WHERE batch = %s AND good = %s AND number > %s"
        " ORDER BY number LIMIT %s",
        (batch, good, above, ROWS_AT_ONCE),
        binary=True,
    ).fetchall()
    return Piece(b"".join(line for _, line in rows), rows[-1][0] if len(rows) == ROWS_AT_ONCE else None)


def as_row(file: File) -> tuple[object, ...]:
    """Its values, in the order of COLUMNS."""
    return tuple(getattr(file, name) for name in COLUMNS)


def file_of(row: Any) -> File:
    """A record of the database."""
    return msgspec.convert(dict(zip(COLUMNS, row, strict=True)), File)
