"""Migrations expand first and contract a version later: the version before works on the migrated database."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.store import postgres, postgres_schema
from fairlead.store.contract import StoreUnavailable
from fairlead.store.journal import Journal
from fairlead.store.postgres import Database
from fairlead.store.postgres_keys import PostgresKeys
from fairlead.store.postgres_ledger import PostgresLedger
from fairlead.store.postgres_schema import MIGRATIONS, Migration

from . import previous_version as previous
from .records import fill, ledger_numbers

NEWEST = len(MIGRATIONS)
LATER = (
    Migration("ALTER TABLE fairlead.usage ADD COLUMN later text", "ALTER TABLE fairlead.usage DROP COLUMN later"),
    Migration("CREATE TABLE fairlead.later (number integer)"),
)
# what a replica of the version before would trip over, if an expansion did it
TAKES_AWAY = re.compile(r"\b(DROP|RENAME|SET NOT NULL|ALTER COLUMN|TRUNCATE|DELETE)\b(?! ON)(?! OR)", re.IGNORECASE)


def migrated(url: str, migrations: tuple[Migration, ...]) -> int:
    """Bring the database to these, and say where it is."""
    with closing(Database(url, migrations=migrations)) as database, database.transaction() as cursor:
        return postgres_schema.version(cursor)


def test_the_previous_version_works_on_the_migrated_database(database_url: str, tmp_path: Path) -> None:
    assert migrated(database_url, MIGRATIONS[:-1]) == NEWEST - 1
    postgres.migrate(database_url)
    assert postgres.version(database_url) == NEWEST
    with psycopg.connect(database_url) as connection:
        previous.make_key(connection, "a")
        before = previous.key_changes(connection)
        previous.revoke(connection, "a")
        assert previous.key_changes(connection) > before
        previous.ship(connection, "req-0")
        assert [row[:2] for row in previous.totals(connection)] == [("t", 1)]
        assert len(previous.read_keys(connection)) == 1
    with closing(PostgresKeys(database_url)) as keys, closing(PostgresLedger(database_url, tmp_path)) as ledger:
        assert [key.state(10.0) for key in keys.all()] == ["revoked"], "each reads what the other wrote"
        assert [total.completion_tokens for total in ledger.totals("tenant")] == [7]


def test_this_version_works_on_a_database_of_the_next_one_and_does_not_turn_it_back(
    database_url: str, tmp_path: Path
) -> None:
    assert migrated(database_url, (*MIGRATIONS, LATER[0])) == NEWEST + 1
    with closing(PostgresKeys(database_url)) as keys, closing(PostgresLedger(database_url, tmp_path)) as ledger:
        keys.create(tenant="t", role="r")
        with closing(Journal(tmp_path / "journal")) as journal:
            fill(journal, range(3))
        ledger.ship()
    assert ledger_numbers(database_url) == [0, 1, 2]
    assert postgres.version(database_url) == NEWEST + 1


def test_what_a_version_no_longer_needs_goes_when_the_next_one_comes(database_url: str) -> None:
    migrated(database_url, (*MIGRATIONS, LATER[0]))
    assert has_column(database_url, "later")
    migrated(database_url, (*MIGRATIONS, *LATER))
    assert not has_column(database_url, "later")


def has_column(url: str, name: str) -> bool:
    with psycopg.connect(url) as connection:
        wanted = "SELECT 1 FROM information_schema.columns WHERE table_schema = 'fairlead' AND column_name = %s"
        return connection.execute(wanted, (name,)).fetchone() is not None


def test_many_replicas_start_at_once_on_an_empty_database(database_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda _: migrated(database_url, MIGRATIONS), range(6))) == {NEWEST}
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT number FROM fairlead.migrations ORDER BY number").fetchall()
    assert [row[0] for row in rows] == list(range(1, NEWEST + 1))


def test_a_migration_that_fails_changes_nothing(database_url: str) -> None:
    migrated(database_url, MIGRATIONS)
    broken = Migration("CREATE TABLE fairlead.half (number integer); SELECT 1/0;")
    with pytest.raises(StoreUnavailable, match="division by zero"):
        migrated(database_url, (*MIGRATIONS, broken))
    assert postgres.version(database_url) == NEWEST
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('fairlead.half')").fetchone() == (None,)


def test_an_expansion_takes_nothing_away() -> None:
    for number, migration in enumerate(MIGRATIONS, 1):
        text = re.sub(r"CREATE TRIGGER[^;]*;", "", migration.expand)
        assert not TAKES_AWAY.search(text), f"migration {number}: belongs into its contract step"


def fairlead(folder: Path, url: str, *words: str) -> tuple[int, str]:
    """A command's exit code and what it prints."""
    done = CliRunner().invoke(app, [*words, "--file", str(folder / "fairlead.yaml")], env={"DATABASE_URL": url})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def test_the_commands_say_where_the_database_is_and_bring_it_on(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "fairlead.yaml").write_text(
        "apiVersion: fairlead/v1\nname: demo\nmodels: {demo: {source: demo:v1}}\n"
        "store: {postgres: {url_env: DATABASE_URL}}\n"
    )
    empty = {"kind": "postgresql", "database": 0, "code": NEWEST, "pending": True}
    code, told = fairlead(tmp_path, database_url, "store", "status", "--json")
    assert (code, json.loads(told)) == (1, empty)
    for _ in range(2):
        code, told = fairlead(tmp_path, database_url, "store", "migrate", "--json")
        assert (code, json.loads(told)) == (0, {**empty, "database": NEWEST, "pending": False})
    assert fairlead(tmp_path, database_url, "store", "status")[0] == 0
    _, made = fairlead(tmp_path, database_url, "keys", "create", "--tenant", "a", "--role", "user", "--json")
    with closing(PostgresKeys(database_url)) as keys:
        assert [key.id for key in keys.all()] == [json.loads(made)["id"]]
    assert json.loads(fairlead(tmp_path, database_url, "usage", "--json")[1]) == []
