"""The usage ledger in SQLite, filled from the journal exactly once: rows and the journal's position move together."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fairlead.store import journal
from fairlead.store.sqlite import connect, transaction
from fairlead.store.usage import COLUMNS, Usage, decode

BLOCK_BYTES = 1024 * 1024
SWEEP_AGE_S = 60.0  # a segment younger than this may be between its creation and its lock

MIGRATIONS = (
    """CREATE TABLE usage (
        at REAL NOT NULL, request_id TEXT NOT NULL, tenant TEXT NOT NULL, key_id TEXT NOT NULL, route TEXT NOT NULL,
        model TEXT NOT NULL, operation TEXT NOT NULL, status INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, ttft_ms REAL, duration_ms REAL NOT NULL,
        estimated INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX usage_at ON usage (at)",
    "CREATE TABLE shipped (segment TEXT PRIMARY KEY, offset INTEGER NOT NULL) STRICT",
    "CREATE TABLE damaged (segment TEXT NOT NULL, line TEXT NOT NULL) STRICT",
)

INSERT = f"INSERT INTO usage ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - our names
GROUPS = {"tenant": "tenant", "key": "key_id", "model": "model", "day": "date(at, 'unixepoch')"}


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over a group of requests. Times are means in milliseconds."""

    group: str
    requests: int
    errors: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    ttft_ms: float | None
    duration_ms: float


class Ledger:
    """The ledger of one service: `ship` fills it from the journal, `totals` reads it."""

    def __init__(self, path: Path, journal_folder: Path) -> None:
        self._database = connect(path, MIGRATIONS)
        self._folder = journal_folder

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def ship(self, max_bytes: int = 1 << 62) -> int:
        """Move at most about `max_bytes` of the journal into the ledger; returns how many bytes were moved.

        Several processes may ship at once: the position is read and moved within the transaction that writes the rows.
        """
        moved = 0
        while moved < max_bytes:
            step = self._ship_block(min(BLOCK_BYTES, max_bytes - moved))
            if not step:
                break
            moved += step
        return moved

    def unshipped_bytes(self) -> int:
        """How much of the journal is not in the ledger yet."""
        return journal.unshipped_bytes(self._folder, self._positions())

    def totals(self, by: str, since: float = 0.0) -> list[Total]:
        """Sums by `tenant`, `key`, `model` or `day` (UTC) over requests that ended at or after `since`."""
        column = GROUPS[by]
        rows = self._database.execute(
            f"""SELECT {column} AS grp, count(*), sum(status >= 400), sum(prompt_tokens), sum(cached_tokens),
                       sum(completion_tokens), avg(ttft_ms), avg(duration_ms)
                FROM usage WHERE at >= ? GROUP BY grp ORDER BY grp""",  # noqa: S608 - from GROUPS
            (since,),
        )
        return [Total(*row) for row in rows]

    def _positions(self) -> dict[str, int]:
        return dict(self._database.execute("SELECT segment, offset FROM shipped").fetchall())

    def _ship_block(self, limit: int) -> int:
        """Ship a block of the oldest segment that has one; returns its size in bytes."""
        positions = self._positions()
        for path in journal.segments(self._folder):
            if not journal.written(path, positions.get(path.name, 0), 1):
                self._sweep(path, positions.get(path.name, 0))
                continue
            with transaction(self._database) as database:
                start = self._positions().get(path.name, 0)  # another process may have moved it meanwhile
                lines, end = journal.read_lines(path, start, limit)
                if end == start:
                    continue
                insert(database, path.name, lines)
                database.execute("INSERT OR REPLACE INTO shipped VALUES (?, ?)", (path.name, end))
                return end - start
        return 0

    def _sweep(self, path: Path, position: int) -> None:
        """Delete a segment that is shipped whole and that nobody writes any more."""
        if journal.age_s(path, time.time()) > SWEEP_AGE_S and not journal.is_open(path):
            if journal.written(path, position, 1):  # it grew before its writer went
                return
            path.unlink(missing_ok=True)
            self._database.execute("DELETE FROM shipped WHERE segment = ?", (path.name,))


def insert(database: sqlite3.Connection, segment: str, lines: Sequence[bytes]) -> None:
    """Write records; a line that is no record (a disk that tore it) is kept aside, never dropped."""
    rows: list[Usage] = []
    for line in lines:
        try:
            rows.append(decode(line))
        except msgspec.MsgspecError:
            database.execute("INSERT INTO damaged VALUES (?, ?)", (segment, line.decode("utf-8", "replace")))
    database.executemany(INSERT, [msgspec.structs.astuple(row)[:-1] for row in rows])
