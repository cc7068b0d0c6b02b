"""Files and batches on this machine's disk: a database of what there is, beside it a folder of what is in them.

A file's record is made when its bytes are on the disk, and its bytes go after its record: a death leaves at most bytes
without a record, which the next start removes. One process has it open, so what it holds is nobody else's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from fairlead.errors import UserError
from fairlead.store.batch_output import BatchOutput
from fairlead.store.batches import PIECE_BYTES, Batch, Change, Counts, File, Held, InUse, Numbered, Piece
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


class SqliteBatches:
    """The database and the folders."""

    lease_s = float("inf")

    def __init__(self, folder: Path, ended: Collection[str]) -> None:
        """`ended`: the states that a batch does not leave.

        Raises UserError when another process has it open: two would ask every row twice.
        """
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
        self._ended = frozenset(ended)
        self._held: set[str] = set()
        self._outputs: dict[str, BatchOutput] = {}
        self._tidy()

    def close(self) -> None:
        """Close everything, and let another process have it."""
        for output in self._outputs.values():
            output.close()
        self._outputs.clear()
        self._database.close()
        self._lock.close()

    # -- files --------------------------------------------------------------------------------------------------------

    def receive(self, file_id: str) -> DiskIncoming:
        """Begin an upload."""
        return DiskIncoming(self, self._content(file_id))

    def read(self, file_id: str, mark: int = 0) -> Piece:
        """A piece of a file from the byte `mark`. Raises OSError."""
        with self._content(file_id).open("rb") as file:
            file.seek(mark)
            content = file.read(PIECE_BYTES)
        return Piece(content, mark + len(content) if len(content) == PIECE_BYTES else None)

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

    def add_file(self, file: File) -> None:
        """Make the record of a file whose bytes are there; a second time changes nothing."""
        values = tuple(msgspec.structs.asdict(file)[name] for name in FILE_COLUMNS)
        with transaction(self._database) as database:
            database.execute(f"INSERT OR IGNORE INTO files ({', '.join(FILE_COLUMNS)}) VALUES (?,?,?,?,?,?,?)", values)  # noqa: S608

    def drop_file(self, tenant: str, file_id: str) -> bool:
        """Delete a file; whether there was one. Raises InUse."""
        if (tenant, file_id) in self._inputs():
            raise InUse
        with transaction(self._database) as database:
            gone = database.execute("DELETE FROM files WHERE tenant = ? AND id = ?", (tenant, file_id)).rowcount
        if gone:
            self._content(file_id).unlink(missing_ok=True)
        return bool(gone)

    # -- batches ------------------------------------------------------------------------------------------------------

    def create(self, batch: Batch, max_active: int) -> Held | None:
        """Make a batch and hold it; None where its tenant has so many that have not ended. Raises FileNotFoundError."""
        if self.file(batch.tenant, batch.input_file_id) is None:
            raise FileNotFoundError(batch.input_file_id)
        if sum(each.tenant == batch.tenant for each in self._unended()) >= max_active:
            return None
        self._save(batch)
        self._held.add(batch.id)
        return Held(batch)

    def batch(self, tenant: str, batch_id: str) -> Batch | None:
        """A tenant's batch."""
        found = "SELECT record FROM batches WHERE tenant = ? AND id = ?"
        row = self._database.execute(found, (tenant, batch_id)).fetchone()
        return self._now(row) if row else None

    def batches(self, tenant: str) -> list[Batch]:
        """All of a tenant's batches, the newest first."""
        found = "SELECT record FROM batches WHERE tenant = ? ORDER BY created_at DESC, id DESC"
        return [self._now(row) for row in self._database.execute(found, (tenant,))]

    def change(self, tenant: str, batch_id: str, how: Change) -> Batch | None:
        """Change a batch as it is now."""
        before = self.batch(tenant, batch_id)
        if before is None:
            return None
        after = how(before)
        self._save(after)
        return after

    # -- work ---------------------------------------------------------------------------------------------------------

    def claim(self, most: int) -> list[Held]:
        """Hold some of the batches that have not ended, the oldest first."""
        found = [Held(batch) for batch in self._unended() if batch.id not in self._held][:most]
        self._held |= {each.batch.id for each in found}
        return found

    def keep(self, held: Sequence[Held]) -> list[Held]:
        """Bring answers to the disk. Raises OSError."""
        found = []
        for each in held:
            if (output := self._outputs.get(each.batch.id)) is not None:
                output.sync()
            if (batch := self.batch(each.batch.tenant, each.batch.id)) is not None:
                found.append(Held(batch))
        return found

    def release(self, held: Sequence[Held]) -> None:
        """Close their answers; the next claim finds them."""
        for each in held:
            self._held.discard(each.batch.id)
            self._close(each.batch.id)

    def answered(self, held: Held) -> Collection[str]:
        """The `custom_id` of every row that is settled. Raises OSError."""
        return frozenset(self._output(held.batch.id).done)

    def settle(self, held: Held, answers: Sequence[Numbered]) -> None:
        """Write answers down, but for rows that have one. Raises OSError."""
        output = self._output(held.batch.id)
        for _, answer in answers:
            output.add(answer)

    def move(self, held: Held, how: Change) -> Batch:
        """Change a batch as it is now. Raises what `how` raises."""
        after = self.change(held.batch.tenant, held.batch.id, how)
        if after is None:
            raise KeyError(held.batch.id)
        if after.status in self._ended:
            self._held.discard(after.id)
            self._close(after.id)
        return after

    def publish(self, held: Held, file: File, *, good: bool) -> bool:
        """Make the answers a file; False where there are none. Raises OSError."""
        output = self._output(held.batch.id)
        output.sync()
        size = linked(output.results if good else output.errors, self._content(file.id))
        if size:
            self.add_file(msgspec.structs.replace(file, bytes=size))
        return bool(size)

    # -- what goes ----------------------------------------------------------------------------------------------------

    def expire(self, now: float, batches_before: float) -> bool:
        """Delete files past their time but for what is read now, and ended batches made before a moment."""
        needed = self._inputs()
        late = self._database.execute("SELECT tenant, id FROM files WHERE expires_at <= ?", (now,)).fetchall()
        for row in late:
            if tuple(row) not in needed:
                self.drop_file(*row)
        marks = ", ".join("?" * len(self._ended))
        old = f"DELETE FROM batches WHERE created_at <= ? AND status IN ({marks})"  # noqa: S608
        with transaction(self._database) as database:
            database.execute(old, (batches_before, *sorted(self._ended)))
        return False

    def _tidy(self) -> None:
        """After a start: remove bytes without a record, and what is left of batches that have ended."""
        known = {row["id"] for row in self._database.execute("SELECT id FROM files")}
        for path in self._files.iterdir():
            if path.name not in known:
                path.unlink()
        running = {batch.id for batch in self._unended()}
        for path in self._parts.iterdir():
            if path.name not in running:
                shutil.rmtree(path, ignore_errors=True)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _content(self, file_id: str) -> Path:
        """Where the bytes of a file are."""
        return self._files / file_id

    def _output(self, batch_id: str) -> BatchOutput:
        if batch_id not in self._outputs:
            self._outputs[batch_id] = BatchOutput(self._parts / batch_id)
        return self._outputs[batch_id]

    def _close(self, batch_id: str) -> None:
        if (output := self._outputs.pop(batch_id, None)) is not None:
            output.close()

    def _save(self, batch: Batch) -> None:
        record = msgspec.json.encode(batch).decode()
        values = (batch.id, batch.tenant, batch.created_at, batch.status, record)
        with transaction(self._database) as database:
            database.execute("INSERT OR REPLACE INTO batches VALUES (?,?,?,?,?)", values)

    def _now(self, row: sqlite3.Row) -> Batch:
        """A record of the database, with the rows so far while it runs."""
        batch = msgspec.json.decode(row["record"], type=Batch)
        output = self._outputs.get(batch.id)
        if output is None:
            return batch
        return msgspec.structs.replace(batch, counts=Counts(batch.counts.total, output.good, output.failed))

    def _unended(self) -> list[Batch]:
        """Everybody's batches that have not ended, the oldest first."""
        rows = self._database.execute("SELECT record FROM batches ORDER BY created_at, id")
        return [batch for row in rows if (batch := self._now(row)).status not in self._ended]

    def _inputs(self) -> set[tuple[str, str]]:
        """Tenants and files that a batch reads."""
        return {(batch.tenant, batch.input_file_id) for batch in self._unended()}


class DiskIncoming:
    """An upload on the disk, for its owner alone."""

    def __init__(self, store: SqliteBatches, content: Path) -> None:
        self._store, self._content, self._fresh = store, content, content.with_suffix(".new")
        self._opened: BinaryIO | None = None

    def write(self, part: bytes) -> None:
        """The next bytes. Raises OSError."""
        self._file().write(part)

    def keep(self, file: File, storage_bytes: int) -> bool:
        """Give the bytes their name, then the record, if the tenant has the storage; whether it has."""
        self._file().flush()
        os.fsync(self._file().fileno())
        if self._store.stored_bytes(file.tenant) + file.bytes > storage_bytes:
            return False
        self._fresh.rename(self._content)
        self._store.add_file(file)
        return True

    def discard(self) -> None:
        """Remove what is left."""
        if self._opened is not None:
            self._opened.close()
        self._fresh.unlink(missing_ok=True)

    def _file(self) -> BinaryIO:
        if self._opened is None:
            self._opened = os.fdopen(os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        return self._opened


FILE_COLUMNS = File.__struct_fields__


def file_of(row: Mapping[str, object] | sqlite3.Row) -> File:
    """A record of the database."""
    return msgspec.convert({name: row[name] for name in FILE_COLUMNS}, File)


def linked(made: Path, content: Path) -> int:
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
