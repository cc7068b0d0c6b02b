"""Which database a service keeps its keys and its ledger in: one entry for each scheme of a URL.

`Place.url` "" is the embedded store in the service's own folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fairlead.errors import UserError
from fairlead.store.contract import Keys, Ledger
from fairlead.store.keys import KeyStore
from fairlead.store.ledger import Ledger as SqliteLedger
from fairlead.store.postgres_keys import PostgresKeys
from fairlead.store.postgres_ledger import PostgresLedger


@dataclass(frozen=True, slots=True)
class Place:
    """A service's state: its folder here, and the URL of its database (a secret: never shown)."""

    state: Path
    url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Store:
    """How to open a kind of database."""

    keys: Callable[[Place], Keys]
    ledger: Callable[[Place], Ledger]


SQLITE = Store(
    keys=lambda place: KeyStore(place.state / "keys.db"),
    ledger=lambda place: SqliteLedger(place.state / "ledger.db", place.state / "journal"),
)
POSTGRES = Store(
    keys=lambda place: PostgresKeys(place.url),
    ledger=lambda place: PostgresLedger(place.url, place.state),
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
