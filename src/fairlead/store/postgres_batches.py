"""Batches in PostgreSQL, shared by many gateways: each runs at one of them, under a lease by the database's clock.

A claim counts the batch's `term` up. Whatever its holder writes names the term and takes the batch's row first: what
comes from an older holder changes nothing, however late (a fencing token). A row's answer is written once, by its id;
its place in the output, its size and the counts move in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, LiteralString

import msgspec

from fairlead.store.batch_rows import result_line
from fairlead.store.batches import Batch, Change, Counts, File, Held, LeaseLost, Numbered
from fairlead.store.postgres import Database
from fairlead.store.postgres_files import FILE, NAMES, PostgresFiles, as_row, lock_tenant

if TYPE_CHECKING:
    from fairlead.store.postgres import Cursor

LEASE_S = 5.0
"""A dead gateway's batches stand still so long. Longer than a slow answer of the database, so that it changes hands
seldom: who takes a batch over asks its running rows again."""
OWN: LiteralString = "b.record, b.completed, b.failed, b.term"
CLAIM: LiteralString = f"""
    UPDATE fairlead.batches AS b SET term = term + 1, held_until = now() + make_interval(secs => %s)
    WHERE b.id IN (SELECT id FROM fairlead.batches WHERE NOT ended AND held_until < now()
                   ORDER BY created_at, id FOR UPDATE SKIP LOCKED LIMIT %s)
    RETURNING {OWN}
"""  # noqa: S608 - our names
KEEP: LiteralString = f"""
    UPDATE fairlead.batches AS b SET held_until = now() + make_interval(secs => %s)
    FROM unnest(%s::text[], %s::bigint[]) AS held (id, term) WHERE b.id = held.id AND b.term = held.term
    RETURNING {OWN}
"""  # noqa: S608 - our names
RELEASE: LiteralString = """
    UPDATE fairlead.batches AS b SET held_until = now() - interval '1 second'
    FROM unnest(%s::text[], %s::bigint[]) AS held (id, term) WHERE b.id = held.id AND b.term = held.term
"""
IDS_AT_ONCE = 20_000
ANSWERED: LiteralString = """
    SELECT number, custom_id FROM fairlead.batch_rows WHERE batch = %s AND good = %s AND number > %s
    ORDER BY number LIMIT %s
"""
SETTLE: LiteralString = """
    INSERT INTO fairlead.batch_rows (batch, custom_id, number, good, line)
    SELECT %s, * FROM unnest(%s::bytea[], %s::integer[], %s::boolean[], %s::bytea[])
    ON CONFLICT (batch, custom_id) DO NOTHING RETURNING good, octet_length(line)
"""
COUNT: LiteralString = """
    UPDATE fairlead.batches SET completed = completed + %s, failed = failed + %s,
        output_bytes = output_bytes + %s, error_bytes = error_bytes + %s WHERE id = %s
"""


class PostgresBatches(PostgresFiles):
    """The files and batches of one service, seen from one gateway."""

    lease_s = LEASE_S

    def __init__(self, url: str, ended: Collection[str], *, timeout_s: float = 10.0) -> None:
        """`ended`: the states that a batch does not leave."""
        super().__init__(Database(url, timeout_s=timeout_s))
        self._ended = frozenset(ended)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    # -- batches ------------------------------------------------------------------------------------------------------

    def create(self, batch: Batch, max_active: int) -> Held | None:
        """Make a batch and hold it; None where its tenant has so many that have not ended. Raises FileNotFoundError."""
        active = "SELECT count(*) FROM fairlead.batches WHERE NOT ended AND tenant = %s"
        with self._database.transaction() as cursor:
            lock_tenant(cursor, batch.tenant)
            if cursor.execute(f"{FILE} AND id = %s", (batch.tenant, batch.input_file_id)).fetchone() is None:
                raise FileNotFoundError(batch.input_file_id)
            row: Any = cursor.execute(active, (batch.tenant,)).fetchone()
            if row[0] >= max_active:
                return None
            cursor.execute(
                "INSERT INTO fairlead.batches (id, tenant, created_at, input_file, record, ended, term, held_until)"
                " VALUES (%s, %s, %s, %s, %s, false, 1, now() + make_interval(secs => %s))",
                (batch.id, batch.tenant, batch.created_at, batch.input_file_id, written(batch), self.lease_s),
            )
        return Held(batch, 1)

    def batch(self, tenant: str, batch_id: str) -> Batch | None:
        """A tenant's batch."""
        with self._database.transaction() as cursor:
            row = cursor.execute(
                f"SELECT {OWN} FROM fairlead.batches b WHERE tenant = %s AND id = %s",  # noqa: S608 - our names
                (tenant, batch_id),
            ).fetchone()
        return held_of(row).batch if row else None

    def batches(self, tenant: str) -> list[Batch]:
        """All of a tenant's batches, the newest first."""
        with self._database.transaction() as cursor:
            rows = cursor.execute(
                f"SELECT {OWN} FROM fairlead.batches b WHERE tenant = %s"  # noqa: S608 - our names
                ' ORDER BY created_at DESC, id COLLATE "C" DESC',
                (tenant,),
            ).fetchall()
        return [held_of(row).batch for row in rows]

    def change(self, tenant: str, batch_id: str, how: Change) -> Batch | None:
        """Change a batch as it is now, whoever holds it."""
        with self._database.transaction() as cursor:
            row = cursor.execute(
                f"SELECT {OWN} FROM fairlead.batches b WHERE tenant = %s AND id = %s FOR UPDATE",  # noqa: S608
                (tenant, batch_id),
            ).fetchone()
            return self._save(cursor, how(held_of(row).batch)) if row else None

    # -- work ---------------------------------------------------------------------------------------------------------

    def claim(self, most: int) -> list[Held]:
        """Hold some of the batches that have not ended and that nobody holds."""
        with self._database.transaction() as cursor:
            return [held_of(row) for row in cursor.execute(CLAIM, (self.lease_s, most)).fetchall()]

    def keep(self, held: Sequence[Held]) -> list[Held]:
        """Hold on to these; those that are held still, as they are now."""
        if not held:
            return []
        with self._database.transaction() as cursor:
            return [held_of(row) for row in cursor.execute(KEEP, (self.lease_s, *named(held))).fetchall()]

    def release(self, held: Sequence[Held]) -> None:
        """Let others have these now."""
        with self._database.transaction() as cursor:
            cursor.execute(RELEASE, named(held))

    def answered(self, held: Held) -> Collection[str]:
        """The `custom_id` of every row that is settled; read in short transactions."""
        found = set[str]()
        for good in (True, False):
            above: int | None = 0
            while above is not None:
                with self._database.transaction() as cursor:
                    place = (held.batch.id, good, above, IDS_AT_ONCE)
                    rows: list[Any] = cursor.execute(ANSWERED, place, binary=True).fetchall()
                found |= {custom_id.decode() for _, custom_id in rows}
                above = rows[-1][0] if len(rows) == IDS_AT_ONCE else None
        return found

    def settle(self, held: Held, answers: Sequence[Numbered]) -> None:
        """Write answers down, but for rows that have one. Raises LeaseLost."""
        ids = [answer.custom_id.encode() for _, answer in answers]
        numbers, good = [number for number, _ in answers], [answer.good for _, answer in answers]
        lines = [result_line(answer) for _, answer in answers]
        with self._database.transaction() as cursor:
            self._fence(cursor, held)
            rows: list[Any] = cursor.execute(SETTLE, (held.batch.id, ids, numbers, good, lines)).fetchall()
            of_good, of_others = ([size for is_good, size in rows if is_good is kind] for kind in (True, False))
            sums = (len(of_good), len(of_others), sum(of_good), sum(of_others))
            cursor.execute(COUNT, (*sums, held.batch.id))

    def move(self, held: Held, how: Change) -> Batch:
        """Change a batch as it is now, as its holder. Raises LeaseLost, and what `how` raises."""
        with self._database.transaction() as cursor:
            return self._save(cursor, how(self._fence(cursor, held)))

    def publish(self, held: Held, file: File, *, good: bool) -> bool:
        """Make the answers a file: they stay where they are, and are read as one. False where there are none."""
        sizes = "SELECT output_bytes, error_bytes FROM fairlead.batches WHERE id = %s"
        with self._database.transaction() as cursor:
            self._fence(cursor, held)
            row: Any = cursor.execute(sizes, (held.batch.id,)).fetchone()
            size = row[0 if good else 1]
            if size:
                made = as_row(msgspec.structs.replace(file, bytes=size))
                cursor.execute(
                    f"INSERT INTO fairlead.batch_files ({NAMES}, ready, batch, good)"  # noqa: S608 - our names
                    " VALUES (%s, %s, %s, %s, %s, %s, %s, true, %s, %s) ON CONFLICT (id) DO NOTHING",
                    (*made, held.batch.id, good),
                )
        return bool(size)

    # -- what goes ----------------------------------------------------------------------------------------------------

    def expire(self, now: float, batches_before: float) -> bool:
        """Delete files past their time, and ended batches made before a moment; whether there is more."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM fairlead.batches WHERE ended AND created_at <= %s", (int(batches_before),))
        return self.purge(now)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _fence(self, cursor: Cursor, held: Held) -> Batch:
        """The batch as it is, which nobody claims until the transaction ends. Raises LeaseLost."""
        row = cursor.execute(
            f"SELECT {OWN} FROM fairlead.batches b WHERE id = %s AND term = %s FOR UPDATE",  # noqa: S608 - our names
            (held.batch.id, held.term),
        ).fetchone()
        if row is None:
            raise LeaseLost(held.batch.id)
        return held_of(row).batch

    def _save(self, cursor: Cursor, batch: Batch) -> Batch:
        values = (written(batch), batch.status in self._ended, batch.id)
        cursor.execute("UPDATE fairlead.batches SET record = %s, ended = %s WHERE id = %s", values)
        return batch


def named(held: Sequence[Held]) -> tuple[list[str], list[int]]:
    """Ids and terms, as the statements have them."""
    return [each.batch.id for each in held], [each.term for each in held]


def written(batch: Batch) -> str:
    """A batch as its record."""
    return msgspec.json.encode(batch).decode()


def held_of(row: Any) -> Held:
    """A record of the database, with the rows so far."""
    record, completed, failed, term = row
    batch = msgspec.json.decode(record, type=Batch)
    counts = Counts(batch.counts.total, completed, failed)
    return Held(msgspec.structs.replace(batch, counts=counts), term)
