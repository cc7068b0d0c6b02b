"""The shipper: a small process that fills the ledger from the journal, so that the gateway's loop never waits for it.

`python -m fairlead.store.ship STATE_DIR` works until its standard input ends (its gateway is gone), then ships what
is left and exits. It is kept apart because a thread would fight the gateway's loop for the interpreter.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sqlite3
import sys
from pathlib import Path

from fairlead.store.ledger import Ledger

EVERY_S = 0.5
BYTES = 512 * 1024  # a round: at most about 4,000 records a second, a few per cent of one core
NICE = 10


def main() -> int:
    """Ship until standard input ends."""
    state = Path(sys.argv[1])
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; our end is our gateway's
    ledger = Ledger(state / "ledger.db", state / "journal")
    with contextlib.closing(ledger):
        while not select.select([sys.stdin], [], [], EVERY_S)[0]:
            attempt(ledger, BYTES)
        return 0 if attempt(ledger, None) else 1


def attempt(ledger: Ledger, max_bytes: int | None) -> bool:
    """Ship once; a full disk or a locked database is told and tried again, since the journal keeps everything."""
    try:
        ledger.ship(max_bytes) if max_bytes is not None else ledger.ship()
    except (OSError, sqlite3.Error) as error:
        sys.stderr.write(f"ledger is behind: {error}\n")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
