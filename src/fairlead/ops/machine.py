"""What a start takes from this machine: an interpreter, and ports that are free."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from fairlead.engine.commands import LOOPBACK


def interpreter(declared: str | None, base: Path) -> str:
    """The Python to run: ours, one on the PATH, or a path relative to the spec's file."""
    if declared is None:
        return sys.executable
    return str(base / Path(declared).expanduser()) if "/" in declared else declared


def free_ports(count: int) -> Iterator[int]:
    """Ports that nobody listened on a moment ago; all are held until the last is found."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind((LOOPBACK, 0))
        return iter([listener.getsockname()[1] for listener in sockets])
