"""An append-only file of usage records. A record is in the kernel's hands before the last byte of its answer is sent.

`kill -9` therefore loses nothing; a power cut loses at most what was written since the last fdatasync
(`SYNC_EVERY_S`, done by the flusher thread of the gateway).
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

SYNC_EVERY_S = 0.05
SEGMENT_BYTES = 64 * 1024 * 1024
SEGMENT_NAME = re.compile(r"^\d{20}\.jsonl$")  # the nanosecond of its birth: never used twice, sorts by age


class Journal:
    """The writing end. Always opens a fresh segment, so that writers share a folder and a torn line stays behind."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._dirty = False
        self._open_next()

    def append(self, line: bytes) -> None:
        """Write one record, its newline included. Raises OSError when the disk refuses it."""
        written = os.write(self._fd, line)
        if written != len(line):  # a full disk can take a part of the line
            raise OSError(f"journal took {written} of {len(line)} bytes")
        self._dirty = True
        self._size += written
        if self._size >= self._segment_bytes:
            self.sync()
            os.close(self._fd)
            self._open_next()

    def sync(self) -> None:
        """Bring all that was appended to the disk. Safe to call from another thread."""
        if self._dirty:
            self._dirty = False
            os.fdatasync(self._fd) if hasattr(os, "fdatasync") else os.fsync(self._fd)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._fd)

    def _open_next(self) -> None:
        path = self._folder / f"{time.time_ns():020d}.jsonl"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # tells readers that this segment still grows
        self._size = 0


def segments(folder: Path) -> list[Path]:
    """The journal's files, the oldest first."""
    return sorted(path for path in folder.glob("*.jsonl") if SEGMENT_NAME.match(path.name))


def age_s(path: Path, now: float) -> float:
    """Seconds since the segment was begun."""
    return now - int(path.stem) / 1e9


def is_open(path: Path) -> bool:
    """Whether a living process still writes the segment."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read_lines(path: Path, offset: int, limit_bytes: int) -> tuple[list[bytes], int]:
    """Whole lines from `offset`, at most `limit_bytes` of them, and the offset behind the last one.

    The torn last line of a segment whose writer is dead counts as a line: nobody will finish it.
    """
    finished = not is_open(path)
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(limit_bytes)
    torn = finished and len(block) < limit_bytes
    end = len(block) if torn else block.rfind(b"\n") + 1
    return block[:end].splitlines(), offset + end


def unshipped_bytes(folder: Path, positions: dict[str, int]) -> int:
    """How many bytes lie behind the given positions (segment name -> offset)."""
    return sum(max(0, path.stat().st_size - positions.get(path.name, 0)) for path in segments(folder))


def iterate(folder: Path) -> Iterator[bytes]:
    """Every whole line of the journal, in order."""
    for path in segments(folder):
        yield from read_lines(path, 0, path.stat().st_size)[0]
