"""Which database a service keeps its keys, ledger and batches in: one entry for each scheme of a URL.

`Place.url` "" is the embedded store in the service's own folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fairlead.errors import UserError
from fairlead.store import keys, ledger, postgres
from fairlead.store.batches import BatchStore
from fairlead.store.contract import Keys, Ledger
from fairlead.store.keys import KeyStore
from fairlead.store.postgres_batches import PostgresBatches
from fairlead.store.postgres_keys import PostgresKeys
from fairlead.store.postgres_ledger import PostgresLedger
from fairlead.store.postgres_schema import MIGRATIONS
from fairlead.store.sqlite_batches import SqliteBatches

BATCHES = "batches"  # the folder of files and batches, where they are in a folder


@dataclass(frozen=True, slots=True)
class Place:
    """A service's state: its folder here, and the URL of its database (a secret: never shown)."""

    state: Path
    url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Version:
    """The number of the newest migration in a database, and of the newest that this code knows."""

    kind: str
    database: int
    code: int

    @property
    def pending(self) -> bool:
        """Whether the database has to be migrated. One that is newer than the code works with it."""
        return self.database < self.code


@dataclass(frozen=True, slots=True)
class Store:
    """How to open a kind of database, how far its tables are, and how to bring them to this version."""

    keys: Callable[[Place], Keys]
    ledger: Callable[[Place], Ledger]
    batches: Callable[[Place, Collection[str]], BatchStore]
    version: Callable[[Place], Version]
    migrate: Callable[[Place], None]


def sqlite_version(place: Place) -> Version:
    """Opening the files has migrated them: nobody else may be at another version."""
    sqlite_migrate(place)
    newest = len(keys.MIGRATIONS) + len(ledger.MIGRATIONS)
    return Version("sqlite", newest, newest)


def sqlite_migrate(place: Place) -> None:
    """Open both files once."""
    for opened in (SQLITE.keys(place), SQLITE.ledger(place)):
        opened.close()


SQLITE = Store(
    keys=lambda place: KeyStore(place.state / "keys.db"),
    ledger=lambda place: ledger.Ledger(place.state / "ledger.db", place.state / "journal"),
    batches=lambda place, ended: SqliteBatches(place.state / BATCHES, ended),
    version=sqlite_version,
    migrate=sqlite_migrate,
)
POSTGRES = Store(
    keys=lambda place: PostgresKeys(place.url),
    ledger=lambda place: PostgresLedger(place.url, place.state),
    batches=lambda place, ended: PostgresBatches(place.url, ended),
    version=lambda place: Version("postgresql", postgres.version(place.url), len(MIGRATIONS)),
    migrate=lambda place: postgres.migrate(place.url),
)
STORES: Mapping[str, Store] = {"postgresql": POSTGRES, "postgres": POSTGRES}


def store_of(place: Place) -> Store:
    """The kind of database behind a place. Raises UserError for a URL that names none."""
    if not place.url:
        return SQLITE
    store = STORES.get(place.url.partition("://")[0]) if "://" in place.url else None
    if store is None:
        raise UserError("the store's URL names no database that is known", hint="postgresql://user:password@host/name")
    return store


def open_keys(place: Place) -> Keys:
    """The keys of a service."""
    return store_of(place).keys(place)


def open_ledger(place: Place) -> Ledger:
    """The ledger of a service."""
    return store_of(place).ledger(place)


def open_batches(place: Place, ended: Collection[str]) -> BatchStore:
    """The files and batches of a service; `ended`: the states that a batch does not leave. Raises UserError."""
    return store_of(place).batches(place, ended)


def store_version(place: Place) -> Version:
    """How far the tables are. Raises StoreUnavailable."""
    return store_of(place).version(place)


def migrate_store(place: Place) -> Version:
    """Bring the tables to this version. Raises StoreUnavailable."""
    store_of(place).migrate(place)
    return store_version(place)


def place_of(state: Path, url_env: str, environ: Mapping[str, str] = os.environ) -> Place:
    """The place of a service whose database's URL is in the variable `url_env`; "" is the embedded store.

    Raises UserError when the variable is not set.
    """
    if not url_env:
        return Place(state)
    url = environ.get(url_env, "")
    if not url:
        raise UserError(
            f"environment variable not set: {url_env}", hint="it holds the URL of the database: store.postgres.url_env"
        )
    return Place(state, url)
