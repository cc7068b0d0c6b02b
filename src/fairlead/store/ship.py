"""The shipper: a small process that fills the ledger from the journal, so that the gateway's loop never waits for it.

`python -m fairlead.store.ship STATE_DIR [URL_ENV]` works until its standard input ends (its gateway is gone), then
ships what is left and exits. Where a variable with a database's URL is named, it also keeps this replica's copy of
the keys. It is kept apart because a thread would fight the gateway's loop for the interpreter.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from fairlead.errors import UserError
from fairlead.store.contract import Ledger
from fairlead.store.mirror import Mirroring
from fairlead.store.stores import Place, open_keys, open_ledger, place_of

EVERY_S = 0.25
BYTES = 256 * 1024  # a round: at most about 4,000 records a second, a few per cent of one core
NICE = 10


def main() -> int:
    """Ship until standard input ends."""
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; our end is our gateway's
    try:
        place = place_of(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
        return run(place)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def run(place: Place) -> int:
    """Mirror and ship until standard input ends."""
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(contextlib.closing(open_ledger(place)))
        mirroring = (
            stack.enter_context(contextlib.closing(Mirroring(open_keys(place), place.state))) if place.url else None
        )
        told = ""
        while not select.select([sys.stdin], [], [], EVERY_S)[0]:
            trouble = first_trouble(mirroring, ledger)
            if trouble and trouble != told:
                sys.stderr.write(f"ledger or keys are behind: {trouble}\n")
            told = trouble
        return 1 if attempt(ledger.ship) else 0


def first_trouble(mirroring: Mirroring | None, ledger: Ledger) -> str:
    """One round: the keys first, since a revocation must not wait for a long shipment. What went wrong, or ""."""
    trouble = attempt(mirroring.refresh) if mirroring is not None else ""
    return trouble or attempt(lambda: ledger.ship(BYTES))


def attempt(work: Callable[[], object]) -> str:
    """Try once; a full disk or an absent database is told and tried again, since the journal keeps everything."""
    try:
        work()
    except (OSError, sqlite3.Error, UserError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main())
