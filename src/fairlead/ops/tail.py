"""The end of log files, and what is added to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

BLOCK = 64 * 1024
POLL_S = 0.2


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file, read from its end."""
    if count <= 0:
        return []
    with path.open("rb") as file:
        at = file.seek(0, 2)
        tail = b""
        while at and tail.count(b"\n") <= count:
            step = min(BLOCK, at)
            at = file.seek(at - step)
            tail = file.read(step) + tail
    return tail.decode("utf-8", "replace").splitlines()[-count:]


def follow(paths: Sequence[Path], sleep: Callable[[float], None]) -> Iterator[tuple[str, str]]:
    """Lines as they are written, with the name of their file; for ever."""
    ends = {path: path.stat().st_size for path in paths}
    while True:
        for path in paths:
            with path.open("rb") as file:
                file.seek(ends[path])
                block = file.read()
            whole = block.rfind(b"\n") + 1
            ends[path] += whole
            for line in block[:whole].decode("utf-8", "replace").splitlines():
                yield path.stem, line
        sleep(POLL_S)
