"""A command that needs a server waits until that server listens: `python -I -S after.py HOST PORT COMMAND...`.

It becomes the command, so whoever started it watches the command itself. It stands on the standard library alone.
"""

from __future__ import annotations

import os
import socket
import sys
import time

POLL_S = 0.1


def main() -> None:
    """Wait for as long as it takes: whoever started this has a deadline."""
    host, port, *command = sys.argv[1:]
    while not listens(host, int(port)):
        time.sleep(POLL_S)
    os.execvp(command[0], command)  # noqa: S606 - argv, not a shell


def listens(host: str, port: int) -> bool:
    """Whether a connection is taken."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
