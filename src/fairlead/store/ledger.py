"""The usage ledger in SQLite, filled from the journal exactly once: rows and the journal's position move together."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fairlead.store import journal
from fairlead.store.contract import ChargeLine, Spent, Total
from fairlead.store.shipping import Read, parse, ship
from fairlead.store.sqlite import connect, transaction
from fairlead.store.usage import COLUMNS

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
    "ALTER TABLE usage ADD COLUMN cost_nano INTEGER NOT NULL DEFAULT 0",
    # a row of a batch that is asked again after a death is charged once: usage.row_request
    """CREATE UNIQUE INDEX usage_batch_row ON usage (substr(request_id, 1, instr(request_id, '@')))
        WHERE status = 200 AND instr(request_id, '@') > 0""",
)

MARKS = ", ".join("?" * len(COLUMNS))
INSERT = f"INSERT INTO usage ({', '.join(COLUMNS)}) VALUES ({MARKS}) ON CONFLICT DO NOTHING"  # noqa: S608 - our names
GROUP_COLUMNS = {"tenant": "tenant", "key": "key_id", "model": "model", "day": "date(at, 'unixepoch')"}
CHARGE_LINES = """
    SELECT date(at, 'unixepoch') AS day, tenant, key_id, model, operation, count(*), sum(status >= 400), sum(estimated),
           sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(cost_nano)
    FROM usage WHERE at >= ? GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"""

SPENT = """
    SELECT tenant, key_id, model, sum(cost_nano) FROM usage WHERE at >= ? AND at < ? AND cost_nano > 0
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""


class Ledger:
    """The ledger of one service: `ship` fills it from the journal, `totals` reads it."""

    def __init__(self, path: Path, journal_folder: Path) -> None:
        self._database = connect(path, MIGRATIONS)
        self._folder = journal_folder

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def ship(self, max_bytes: int = 1 << 62) -> int:
        """Move at most about `max_bytes` of the journal into the ledger; returns how many bytes were moved."""
        return ship(self._folder, self, max_bytes)

    def unshipped_bytes(self) -> int:
        """How much of the journal is not in the ledger yet."""
        return journal.unshipped_bytes(self._folder, self.positions())

    def totals(self, by: str, since: float = 0.0) -> list[Total]:
        """Sums by `tenant`, `key`, `model` or `day` (UTC) over requests that ended at or after `since`."""
        column = GROUP_COLUMNS[by]
        rows = self._database.execute(
            f"""SELECT {column} AS grp, count(*), sum(status >= 400), sum(prompt_tokens), sum(cached_tokens),
                       sum(completion_tokens), avg(ttft_ms), avg(duration_ms), sum(cost_nano)
                FROM usage WHERE at >= ? GROUP BY grp ORDER BY grp""",  # noqa: S608 - from GROUP_COLUMNS
            (since,),
        )
        return [Total(*row) for row in rows]

    def spent(self, since: float, until: float) -> list[Spent]:
        """What was spent by requests that ended at or after `since` and before `until`."""
        return [Spent(*row) for row in self._database.execute(SPENT, (since, until))]

    def charge_lines(self, since: float = 0.0) -> list[ChargeLine]:
        """The chargeback of requests that ended at or after `since`."""
        return [ChargeLine(*row) for row in self._database.execute(CHARGE_LINES, (since,))]

    # -- what `ship` asks of it -------------------------------------------------------------------------------------

    def positions(self) -> dict[str, int]:
        """Segment name -> the offset up to which it is in the ledger."""
        return dict(self._database.execute("SELECT segment, offset FROM shipped").fetchall())

    def move(self, segment: str, read: Read) -> int:
        """Write a block and move the position; returns its size in bytes."""
        with transaction(self._database) as database:
            start = self.positions().get(segment, 0)  # another process may have moved it meanwhile
            lines, end = read(start)
            if end != start:
                rows, damaged = parse(lines)
                database.executemany("INSERT INTO damaged VALUES (?, ?)", [(segment, line) for line in damaged])
                database.executemany(INSERT, [msgspec.structs.astuple(row)[: len(COLUMNS)] for row in rows])
                database.execute("INSERT OR REPLACE INTO shipped VALUES (?, ?)", (segment, end))
            return end - start

    def forget(self, segment: str) -> None:
        """The segment is gone: so may its position."""
        self._database.execute("DELETE FROM shipped WHERE segment = ?", (segment,))
