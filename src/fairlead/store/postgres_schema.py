"""The tables in PostgreSQL as numbered migrations that run expand -> contract: the previous version always works.

Version N of this code brings a database to: all `expand` steps up to N, and all `contract` steps up to N - 1. An
`expand` step only adds, so that a replica of version N - 1 works on while the new one is rolled out, and after a
roll-back. What version N no longer needs goes into the `contract` step of migration N and is taken away when version
N + 1 arrives. A database that is newer than this code is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

if TYPE_CHECKING:
    import psycopg

    Cursor = psycopg.Cursor[tuple[object, ...]]

LOCK = 0x6661_6972  # "fair": one process migrates at a time


@dataclass(frozen=True, slots=True)
class Migration:
    """`expand` makes the shape that this version needs; `contract` removes what this version needs no longer."""

    expand: LiteralString
    contract: LiteralString = ""


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        """
        CREATE TABLE fairlead.keys (
            id text PRIMARY KEY, hash bytea NOT NULL, tenant text NOT NULL, role text NOT NULL, note text NOT NULL,
            created_at double precision NOT NULL, expires_at double precision, revoked_at double precision,
            replaces text
        );
        CREATE TABLE fairlead.key_changes (one boolean PRIMARY KEY DEFAULT true CHECK (one), number bigint NOT NULL);
        INSERT INTO fairlead.key_changes (number) VALUES (0);
        CREATE FUNCTION fairlead.count_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN UPDATE fairlead.key_changes SET number = number + 1; RETURN NULL; END $$;
        CREATE TRIGGER count_key_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON fairlead.keys
            FOR EACH STATEMENT EXECUTE FUNCTION fairlead.count_key_change();
        """
    ),
    Migration(
        """
        CREATE TABLE fairlead.usage (
            at double precision NOT NULL, request_id text NOT NULL, tenant text NOT NULL, key_id text NOT NULL,
            route text NOT NULL, model text NOT NULL, operation text NOT NULL, status integer NOT NULL,
            prompt_tokens bigint NOT NULL, cached_tokens bigint NOT NULL, completion_tokens bigint NOT NULL,
            ttft_ms double precision, duration_ms double precision NOT NULL, estimated boolean NOT NULL
        );
        CREATE TABLE fairlead.shipped (
            replica text NOT NULL, segment text NOT NULL, position bigint NOT NULL, PRIMARY KEY (replica, segment)
        );
        CREATE TABLE fairlead.damaged (replica text NOT NULL, segment text NOT NULL, line text NOT NULL);
        """
    ),
    Migration("CREATE INDEX usage_at ON fairlead.usage (at);"),
    Migration("ALTER TABLE fairlead.usage ADD COLUMN cost_nano bigint NOT NULL DEFAULT 0;"),
    # A row of a batch that is asked again after a death is charged once: `store/usage.py` says how it is known. What a
    # batch made (`batch` is set) has its bytes in its rows. Nobody sees a file that is not `ready`: it comes or goes.
    Migration(
        """
        CREATE UNIQUE INDEX usage_batch_row ON fairlead.usage (split_part(request_id, '@', 1))
            WHERE status = 200 AND position('@' IN request_id) > 0;
        CREATE TABLE fairlead.batch_files (
            id text PRIMARY KEY, tenant text NOT NULL, created_at bigint NOT NULL, expires_at bigint NOT NULL,
            bytes bigint NOT NULL, filename text NOT NULL, purpose text NOT NULL, ready boolean NOT NULL,
            batch text, good boolean
        );
        CREATE INDEX batch_files_tenant ON fairlead.batch_files (tenant, created_at) WHERE ready;
        CREATE INDEX batch_files_expire ON fairlead.batch_files (expires_at);
        CREATE TABLE fairlead.batch_chunks (
            file text NOT NULL, number integer NOT NULL, content bytea NOT NULL, PRIMARY KEY (file, number)
        );
        CREATE TABLE fairlead.batches (
            id text PRIMARY KEY, tenant text NOT NULL, created_at bigint NOT NULL, input_file text NOT NULL,
            record text NOT NULL, ended boolean NOT NULL, term bigint NOT NULL, held_until timestamptz NOT NULL,
            completed bigint NOT NULL DEFAULT 0, failed bigint NOT NULL DEFAULT 0,
            output_bytes bigint NOT NULL DEFAULT 0, error_bytes bigint NOT NULL DEFAULT 0
        );
        CREATE INDEX batches_tenant ON fairlead.batches (tenant, created_at);
        CREATE INDEX batches_open ON fairlead.batches (created_at) WHERE NOT ended;
        CREATE TABLE fairlead.batch_rows (
            batch text NOT NULL, custom_id bytea NOT NULL, number integer NOT NULL, good boolean NOT NULL,
            line bytea NOT NULL, PRIMARY KEY (batch, custom_id)
        );
        CREATE INDEX batch_rows_file ON fairlead.batch_rows (batch, good, number);
        """
    ),
)


def migrate(cursor: Cursor, migrations: Sequence[Migration]) -> None:
    """Bring the database to these migrations, within the cursor's transaction."""
    if version(cursor) >= len(migrations):
        return
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    if not exists(cursor, "SELECT to_regnamespace('fairlead')"):
        cursor.execute("CREATE SCHEMA fairlead")
    cursor.execute("CREATE TABLE IF NOT EXISTS fairlead.migrations (number integer PRIMARY KEY, at timestamptz)")
    seen = version(cursor)
    for step in steps(migrations, seen):
        cursor.execute(step)
    for number in range(seen + 1, len(migrations) + 1):
        cursor.execute("INSERT INTO fairlead.migrations VALUES (%s, now())", (number,))


def steps(migrations: Sequence[Migration], seen: int) -> Iterator[LiteralString]:
    """What is still to be done for a database at `seen`: each expansion, after the contraction two versions back."""
    for index in range(seen, len(migrations)):
        if index and migrations[index - 1].contract:
            yield migrations[index - 1].contract
        yield migrations[index].expand


def version(cursor: Cursor) -> int:
    """The newest migration of the database; 0 for an empty one."""
    if not exists(cursor, "SELECT to_regclass('fairlead.migrations')"):
        return 0
    row = cursor.execute("SELECT coalesce(max(number), 0) FROM fairlead.migrations").fetchone()
    assert row
    return int(str(row[0]))


def exists(cursor: Cursor, question: LiteralString) -> bool:
    """Whether a catalogue look-up finds something."""
    row = cursor.execute(question).fetchone()
    return row is not None and row[0] is not None
