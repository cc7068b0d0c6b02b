"""No worker outlives its supervisor: this process learns each worker's group, and kills what is left when it is alone.

It reads `+GROUP` and `-GROUP` lines on its standard input. End of input means that the supervisor is gone, however it
died. It stands on the standard library alone, so that it starts in milliseconds with `python -I -S reaper.py`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable


def left_over(lines: Iterable[str]) -> set[int]:
    """The process groups that were announced and not taken back."""
    groups: set[int] = set()
    for line in lines:
        sign, group = line[:1], int(line[1:])
        if sign == "+":
            groups.add(group)
        else:
            groups.discard(group)
    return groups


def kill_group(group: int, signal_number: int) -> bool:
    """Signal a whole process group; False when none of it is left."""
    try:
        os.killpg(group, signal_number)
    except (ProcessLookupError, PermissionError):  # macOS says "permission" for a group of zombies
        return False
    return True


def main() -> None:
    """Wait for the end of the supervisor, then kill what it left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for group in left_over(sys.stdin):
        kill_group(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
