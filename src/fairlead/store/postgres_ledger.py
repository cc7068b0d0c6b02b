"""The usage ledger in PostgreSQL, filled by the journals of many replicas; each record once, whatever dies.

The rows and the position in the replica's journal are written in one transaction that holds the position's row. A
shipper that lost its connection while it committed reads the position and so learns whether the rows are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import msgspec

from fairlead.store import journal
from fairlead.store.contract import ChargeLine, Spent, Total
from fairlead.store.postgres import Database
from fairlead.store.shipping import Read, parse, replica_id, save_positions, ship
from fairlead.store.usage import COLUMNS, ROW_MARK, Usage

if TYPE_CHECKING:
    from fairlead.store.postgres import Cursor

DAY: LiteralString = "to_char(to_timestamp(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
GROUP_COLUMNS: Mapping[str, LiteralString] = {"tenant": "tenant", "key": "key_id", "model": "model", "day": DAY}
SUMS: LiteralString = "sum(prompt_tokens)::bigint, sum(cached_tokens)::bigint, sum(completion_tokens)::bigint"
SPENT: LiteralString = """
    SELECT tenant, key_id, model, sum(cost_nano)::bigint
    FROM fairlead.usage WHERE at >= %s AND at < %s AND cost_nano > 0
    GROUP BY 1, 2, 3 ORDER BY tenant COLLATE "C", key_id COLLATE "C", model COLLATE "C"
"""
CHARGE_LINES: LiteralString = f"""
    SELECT {DAY} AS day, tenant, key_id, model, operation, count(*), count(*) FILTER (WHERE status >= 400),
           count(*) FILTER (WHERE estimated), {SUMS}, sum(cost_nano)::bigint
    FROM fairlead.usage WHERE at >= %s GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, tenant COLLATE "C", key_id COLLATE "C", model COLLATE "C", operation COLLATE "C"
"""  # noqa: S608 - our names
MARKS = ", ".join(["%s"] * len(COLUMNS))
INSERT = f"INSERT INTO fairlead.usage ({', '.join(COLUMNS)}) VALUES ({MARKS}) ON CONFLICT DO NOTHING"  # noqa: S608
COPY = f"COPY fairlead.usage ({', '.join(COLUMNS)}) FROM STDIN"


class PostgresLedger:
    """One ledger of all replicas, seen from the replica whose state is in this folder."""

    def __init__(self, url: str, state: Path, *, timeout_s: float = 10.0) -> None:
        self._database = Database(url, timeout_s=timeout_s)
        self._state = state
        self._folder = state / "journal"
        self._replica = replica_id(state)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def ship(self, max_bytes: int = 1 << 62) -> int:
        """Move at most about `max_bytes` of the journal into the ledger; returns how many bytes were moved."""
        moved = ship(self._folder, self, max_bytes)
        if moved:
            save_positions(self._state, self.positions())
        return moved

    def unshipped_bytes(self) -> int:
        """How much of the journal is not in the ledger yet."""
        return journal.unshipped_bytes(self._folder, self.positions())

    def totals(self, by: str, since: float = 0.0) -> list[Total]:
        """Sums by `tenant`, `key`, `model` or `day` (UTC) over requests that ended at or after `since`."""
        column = GROUP_COLUMNS[by]
        query: LiteralString = f"""
            SELECT {column} COLLATE "C" AS grp, count(*), count(*) FILTER (WHERE status >= 400), {SUMS},
                   avg(ttft_ms), avg(duration_ms), sum(cost_nano)::bigint
            FROM fairlead.usage WHERE at >= %s GROUP BY grp ORDER BY grp"""  # noqa: S608 - our names
        return [Total(*row) for row in self._rows(query, since)]

    def charge_lines(self, since: float = 0.0) -> list[ChargeLine]:
        """The chargeback of requests that ended at or after `since`."""
        return [ChargeLine(*row) for row in self._rows(CHARGE_LINES, since)]

    def spent(self, since: float, until: float) -> list[Spent]:
        """What was spent by requests that ended at or after `since` and before `until`."""
        return [Spent(*row) for row in self._rows(SPENT, since, until)]

    def _rows(self, query: LiteralString, *times: float) -> list[Any]:
        with self._database.transaction() as cursor:
            return cursor.execute(query, times).fetchall()

    # -- what `ship` asks of it -------------------------------------------------------------------------------------

    def positions(self) -> dict[str, int]:
        """Segment name -> the offset up to which it is in the ledger."""
        with self._database.transaction() as cursor:
            rows: list[Any] = cursor.execute(
                "SELECT segment, position FROM fairlead.shipped WHERE replica = %s", (self._replica,)
            ).fetchall()
        return dict(rows)

    def move(self, segment: str, read: Read) -> int:
        """Write a block and move the position; returns its size in bytes."""
        place = (self._replica, segment)
        with self._database.transaction() as cursor:
            cursor.execute("INSERT INTO fairlead.shipped VALUES (%s, %s, 0) ON CONFLICT DO NOTHING", place)
            row: Any = cursor.execute(
                "SELECT position FROM fairlead.shipped WHERE replica = %s AND segment = %s FOR UPDATE", place
            ).fetchone()
            if row is None:  # swept by another shipper meanwhile: there is nothing left of it
                return 0
            start = row[0]
            lines, end = read(start)
            if end == start:
                return 0
            rows, damaged = parse(lines)
            cursor.executemany("INSERT INTO fairlead.damaged VALUES (%s, %s, %s)", [(*place, line) for line in damaged])
            write(cursor, rows)
            cursor.execute(
                "UPDATE fairlead.shipped SET position = %s WHERE replica = %s AND segment = %s", (end, *place)
            )
        return int(end - start)

    def forget(self, segment: str) -> None:
        """The segment is gone from the disk: so may its position."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM fairlead.shipped WHERE replica = %s AND segment = %s", (self._replica, segment))


def write(cursor: Cursor, rows: Iterable[Usage]) -> None:
    """Records into the table; those of a batch's row but once, which COPY cannot tell."""
    plain, of_rows = list[Usage](), list[Usage]()
    for usage in rows:
        (of_rows if ROW_MARK in usage.request_id else plain).append(usage)
    with cursor.copy(COPY) as copy:
        for usage in plain:
            copy.write_row(values(usage))
    cursor.executemany(INSERT, [values(usage) for usage in of_rows])


def values(usage: Usage) -> tuple[object, ...]:
    """In the order of COLUMNS."""
    return msgspec.structs.astuple(usage)[: len(COLUMNS)]
