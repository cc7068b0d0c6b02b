"""Files and batches of all tenants: a database of what there is, and beside it a folder of what is in them.

A record is asked for by tenant and id together: there is no way to one without saying whose it is. A file's record is
made when its bytes are on the disk, and its bytes go after its record: a death leaves at most bytes without a record,
which the next start removes.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import sqlite3
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from fairlead.errors import UserError
from fairlead.store.sqlite import connect, transaction

MIGRATIONS = (
    """CREATE TABLE files (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
        bytes INTEGER NOT NULL, filename TEXT NOT NULL, purpose TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE batches (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, created_at INTEGER NOT NULL, status TEXT NOT NULL,
        record TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX files_tenant ON files (tenant, created_at)",
    "CREATE INDEX batches_tenant ON batches (tenant, created_at)",
)


class File(msgspec.Struct, frozen=True):
    """An uploaded file, or what a batch made. Times are whole seconds since 1970."""

    id: str
    tenant: str
    created_at: int
    expires_at: int
    bytes: int
    filename: str
    purpose: str

    def shown(self) -> dict[str, object]:
        """As OpenAI's API has it."""
        fields = ("id", "bytes", "created_at", "expires_at", "filename", "purpose")
        return {"object": "file", **{name: getattr(self, name) for name in fields}, "status": "processed"}


class Counts(msgspec.Struct, frozen=True):
    """Rows of a batch: all of them, those with an answer, those with an error."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class Batch(msgspec.Struct, frozen=True):
    """A batch, who made it, and by which key: `key_id` answers for its rows."""

    id: str
    tenant: str
    key_id: str
    role: str
    endpoint: str
    input_file_id: str
    completion_window: str
    created_at: int
    expires_at: int
    status: str = "validating"
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: tuple[dict[str, str | int | None], ...] = ()
    counts: Counts = Counts()
    metadata: dict[str, str] | None = None
    stamps: dict[str, int] = {}  # `in_progress_at` and the like

    def shown(self, counts: Counts | None = None) -> dict[str, object]:
        """As OpenAI's API has it; `counts` are those of now while it runs."""
        own = ("id", "endpoint", "input_file_id", "completion_window", "status", "output_file_id", "error_file_id")
        return {
            "object": "batch",
            **{name: getattr(self, name) for name in own},
            "errors": {"object": "list", "data": list(self.errors)} if self.errors else None,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            **{name: self.stamps.get(name) for name in STAMPS},
            "request_counts": counts or self.counts,
            "metadata": self.metadata,
        }


STAMPS = (
    *("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at"),
    *("cancelling_at", "cancelled_at"),
)


class BatchStore:
    """The database and the folders. For one thread at a time; every call returns when it is on the disk."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError when another process has it open: two would ask every row twice."""
        self._files, self._parts = folder / "files", folder / "parts"
        for each in (self._files, self._parts):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise UserError("another gateway works on these batches", where=str(folder)) from None
        self._database = connect(folder / "batches.db", MIGRATIONS)

    def close(self) -> None:
        """Close the database, and let another process have it."""
        self._database.close()
        self._lock.close()

    # -- files --------------------------------------------------------------------------------------------------------

    def content(self, file_id: str) -> Path:
        """Where the bytes of a file are."""
        return self._files / file_id

    def part(self, batch_id: str) -> Path:
        """The folder of what a running batch has."""
        return self._parts / batch_id

    def add_within(self, file: File, storage_bytes: int) -> bool:
        """Make the record of a file unless its tenant's files would then be larger; whether it was made."""
        if self.stored_bytes(file.tenant) + file.bytes > storage_bytes:
            return False
        self.add_file(file)
        return True

    def add_file(self, file: File) -> None:
        """Make the record of a file whose bytes are there; a second time changes nothing."""
        values = tuple(msgspec.structs.asdict(file)[name] for name in FILE_COLUMNS)
        with transaction(self._database) as database:
            database.execute(f"INSERT OR IGNORE INTO files ({', '.join(FILE_COLUMNS)}) VALUES (?,?,?,?,?,?,?)", values)  # noqa: S608

    def file(self, tenant: str, file_id: str) -> File | None:
        """A tenant's file."""
        row = self._database.execute("SELECT * FROM files WHERE tenant = ? AND id = ?", (tenant, file_id)).fetchone()
        return file_of(row) if row else None

    def files(self, tenant: str) -> list[File]:
        """All of a tenant's files, the newest first."""
        found = "SELECT * FROM files WHERE tenant = ? ORDER BY created_at DESC, id DESC"
        return [file_of(row) for row in self._database.execute(found, (tenant,))]

    def stored_bytes(self, tenant: str) -> int:
        """How much all of a tenant's files have."""
        row = self._database.execute("SELECT coalesce(sum(bytes), 0) FROM files WHERE tenant = ?", (tenant,)).fetchone()
        return int(row[0])

    def drop_file(self, tenant: str, file_id: str) -> bool:
        """Delete a file; whether there was one."""
        with transaction(self._database) as database:
            gone = database.execute("DELETE FROM files WHERE tenant = ? AND id = ?", (tenant, file_id)).rowcount
        if gone:
            self.content(file_id).unlink(missing_ok=True)
        return bool(gone)

    # -- batches ------------------------------------------------------------------------------------------------------

    def save(self, batch: Batch) -> None:
        """Write a batch as it is now."""
        record = msgspec.json.encode(batch).decode()
        values = (batch.id, batch.tenant, batch.created_at, batch.status, record)
        with transaction(self._database) as database:
            database.execute("INSERT OR REPLACE INTO batches VALUES (?,?,?,?,?)", values)

    def batch(self, tenant: str, batch_id: str) -> Batch | None:
        """A tenant's batch."""
        found = "SELECT record FROM batches WHERE tenant = ? AND id = ?"
        row = self._database.execute(found, (tenant, batch_id)).fetchone()
        return batch_of(row) if row else None

    def batches(self, tenant: str) -> list[Batch]:
        """All of a tenant's batches, the newest first."""
        found = "SELECT record FROM batches WHERE tenant = ? ORDER BY created_at DESC, id DESC"
        return [batch_of(row) for row in self._database.execute(found, (tenant,))]

    def unended(self, ended: Collection[str]) -> list[Batch]:
        """Everybody's batches that are in none of these states, the oldest first."""
        rows = self._database.execute("SELECT record FROM batches ORDER BY created_at, id")
        return [batch for row in rows if (batch := batch_of(row)).status not in ended]

    # -- what goes ----------------------------------------------------------------------------------------------------

    def expire(self, now: float, batches_before: float, ended: Collection[str]) -> tuple[int, int]:
        """Delete files past their time, and ended batches made before a moment; how many of each.

        The input of a batch that has not ended stays.
        """
        needed = {(batch.tenant, batch.input_file_id) for batch in self.unended(ended)}
        late = self._database.execute("SELECT tenant, id FROM files WHERE expires_at <= ?", (now,)).fetchall()
        files = sum(self.drop_file(*row) for row in late if tuple(row) not in needed)
        marks = ", ".join("?" * len(ended))
        with transaction(self._database) as database:
            old = f"DELETE FROM batches WHERE created_at <= ? AND status IN ({marks})"  # noqa: S608
            batches = database.execute(old, (batches_before, *sorted(ended))).rowcount
        return files, batches

    def tidy(self, ended: Collection[str]) -> None:
        """After a start: remove bytes without a record, and what is left of batches that have ended."""
        known = {row["id"] for row in self._database.execute("SELECT id FROM files")}
        for path in self._files.iterdir():
            if path.name not in known:
                path.unlink()
        running = {batch.id for batch in self.unended(ended)}
        for path in self._parts.iterdir():
            if path.name not in running:
                shutil.rmtree(path, ignore_errors=True)


FILE_COLUMNS = File.__struct_fields__


def new_id(prefix: str) -> str:
    """An id that nobody can guess."""
    return f"{prefix}{secrets.token_hex(12)}"


def file_of(row: Mapping[str, object] | sqlite3.Row) -> File:
    """A record of the database."""
    return msgspec.convert({name: row[name] for name in FILE_COLUMNS}, File)


def batch_of(row: sqlite3.Row) -> Batch:
    """A record of the database."""
    return msgspec.json.decode(row["record"], type=Batch)


def publish(made: Path, content: Path) -> int:
    """Give a batch's output the name of a file, durably; its size in bytes. A second time changes nothing.

    An empty output becomes no file.
    """
    if not made.stat().st_size:
        return 0
    if not content.exists():
        fresh = content.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        os.link(made, fresh)
        fresh.rename(content)
        folder = os.open(content.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return content.stat().st_size
