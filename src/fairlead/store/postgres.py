"""One way to talk to PostgreSQL: short transactions, each with a deadline that holds even when the server is mute.

A connection is opened when it is needed and thrown away at its first error. Nothing outside this module sees an
exception of the driver: what can be tried again is `StoreUnavailable`. No message ever holds the URL: it has a
password in it. The driver is imported late, since only services that declare PostgreSQL have it.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, LiteralString

from fairlead.errors import UserError
from fairlead.store import postgres_schema
from fairlead.store.contract import StoreUnavailable
from fairlead.store.postgres_schema import MIGRATIONS, Migration

if TYPE_CHECKING:
    import psycopg

    Cursor = psycopg.Cursor[tuple[object, ...]]

CONNECT_TIMEOUT_S = 3
TRANSACTION_TIMEOUT_S = 10.0
MIGRATION_TIMEOUT_S = 6 * 3600.0
# Settings that hold within one transaction only, so that a pooler in transaction mode may stand between. A lock left
# behind by a connection that was cut off is free again after `idle_in_transaction_session_timeout`. What is told to be
# committed must be on the server's disk, since the journal may then be deleted.
BEGIN: LiteralString = """
    SELECT set_config('statement_timeout', '8s', true), set_config('lock_timeout', '6s', true),
           set_config('idle_in_transaction_session_timeout', '5s', true),
           CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END
"""


class Database:
    """A PostgreSQL database, at its newest migration once it was reached. For one thread at a time."""

    def __init__(
        self, url: str, *, timeout_s: float = TRANSACTION_TIMEOUT_S, migrations: tuple[Migration, ...] = MIGRATIONS
    ) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._migrations = migrations
        self._connection: psycopg.Connection | None = None

    def close(self) -> None:
        """Close the connection, if there is one; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A transaction, committed at the end of the block.

        Raises StoreUnavailable when the server does not answer in time or breaks off. It may then have committed:
        what must happen once has to be found out by reading.
        """
        import psycopg

        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._open()
            with one_transaction(self._connection, self._timeout_s) as cursor:
                yield cursor
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            raise StoreUnavailable(f"PostgreSQL does not answer: {first_line(error)}") from None
        except psycopg.Error as error:
            self.close()
            raise StoreUnavailable(f"PostgreSQL refuses: {first_line(error)}") from None

    def _open(self) -> psycopg.Connection:
        """A new connection to a database that is at the newest migration."""
        connection = connect(self._url)
        try:
            with one_transaction(connection, self._timeout_s) as cursor:
                postgres_schema.migrate(cursor, self._migrations)
        except BaseException:
            connection.close()
            raise
        return connection


def version(url: str) -> int:
    """The database's newest migration; nothing is changed. Raises StoreUnavailable."""
    database = Database(url, migrations=())
    try:
        with database.transaction() as cursor:
            return postgres_schema.version(cursor)
    finally:
        database.close()


def migrate(url: str) -> None:
    """Bring the database to the newest migration, however long that takes. Raises StoreUnavailable."""
    database = Database(url, timeout_s=MIGRATION_TIMEOUT_S, migrations=())
    try:
        with database.transaction() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute("SET LOCAL lock_timeout = 0")  # another migration may hold it for as long
            postgres_schema.migrate(cursor, MIGRATIONS)
    finally:
        database.close()


def connect(url: str) -> psycopg.Connection:
    """A connection without prepared statements. Raises UserError for what is no URL, or when the driver is absent."""
    try:
        import psycopg
    except ImportError:
        raise UserError("PostgreSQL needs psycopg", hint="pip install 'fairlead[postgres]'") from None
    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its message holds the URL
        raise UserError("the database's URL cannot be read", hint="postgresql://user:password@host:5432/name") from None
    return psycopg.connect(
        url,
        autocommit=True,  # transactions are begun where they are needed
        prepare_threshold=None,
        application_name="fairlead",
        connect_timeout=CONNECT_TIMEOUT_S,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=8000,
    )


@contextmanager
def one_transaction(connection: psycopg.Connection, timeout_s: float) -> Iterator[Cursor]:
    """A transaction on this connection, which is cut off when it takes longer."""
    with cut_off_after(connection.fileno(), timeout_s), connection.transaction(), connection.cursor() as cursor:
        cursor.execute(BEGIN)
        yield cursor


@contextmanager
def cut_off_after(descriptor: int, timeout_s: float) -> Iterator[None]:
    """Shut a socket down when the block lasts longer: a frozen server accepts bytes for ever and never answers."""
    own = socket.socket(fileno=os.dup(descriptor))  # the number may be another file's by then
    timer = threading.Timer(timeout_s, shut_down, [own])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        own.close()


def shut_down(connection: socket.socket) -> None:
    """End both directions, for all who hold the socket."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def first_line(error: Exception) -> str:
    """The driver's words, without the context lines that servers add."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
