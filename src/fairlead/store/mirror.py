"""A replica's own copy of the keys, so that requests never wait for the database, nor end because it is away.

The shipper's process keeps the copy (0600, hashes only) and stamps it each time it has compared it with the database.
The gateway reads the copy alone, also after a restart. How old the stamp is decides what the copy is good for.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from fairlead.store.contract import Keys
from fairlead.store.keys import Freshness, Key, KeyStore

FRESH_FOR_S = 3.0  # several rounds of the shipper: older means that the database is away
MIRROR = "keys-mirror.db"
STAMP = "keys-mirror.synced"


def freshness(age_s: float, stale_for_s: float) -> Freshness:
    """`fresh`: as good as the database. `stale`: known keys work on. `expired`: nobody can be let in any more."""
    if age_s <= FRESH_FOR_S:
        return "fresh"
    return "stale" if age_s <= stale_for_s else "expired"


class Mirror:
    """The reading end: the keys as a gateway sees them, and how fresh they are."""

    def __init__(self, state: Path, *, stale_for_s: float) -> None:
        self._keys = KeyStore(state / MIRROR)
        self._stamp = state / STAMP
        self._stale_for_s = stale_for_s

    def close(self) -> None:
        """Close the copy."""
        self._keys.close()

    def version(self) -> tuple[int, Freshness]:
        """What changes when the copy or its freshness does."""
        return self._keys.version(), self.freshness()

    def all(self) -> list[Key]:
        """Every key of the copy; none once it has expired."""
        return [] if self.freshness() == "expired" else self._keys.all()

    def freshness(self) -> Freshness:
        """How good the copy is now. One that was never compared is expired."""
        try:
            age_s = time.time() - self._stamp.stat().st_mtime
        except FileNotFoundError:
            return "expired"
        return freshness(age_s, self._stale_for_s)


class Mirroring:
    """The writing end, in the shipper's process."""

    def __init__(self, source: Keys, state: Path) -> None:
        self._source = source
        self._copy = KeyStore(state / MIRROR)
        self._stamp = state / STAMP
        self._seen: int | None = None

    def close(self) -> None:
        """Close the copy and the source."""
        self._copy.close()
        self._source.close()

    def refresh(self) -> None:
        """Compare with the database, and take over what changed. Raises StoreUnavailable."""
        began = time.time()
        version = self._source.version()
        if version != self._seen:
            keys = self._source.all()  # perhaps newer than `version`: then the next round looks again
            if keys != self._copy.all():
                self._copy.replace(keys)
            self._seen = version
        stamp(self._stamp, began)


def stamp(path: Path, at: float) -> None:
    """Set a file's time, making it when it is not there."""
    path.touch(mode=0o600)
    os.utime(path, (at, at))
