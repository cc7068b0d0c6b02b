"""An append-only file of usage records. A record is in the kernel's hands before the last byte of its answer is sent.

Segments are mapped into memory: appending is a copy into the page cache, without a system call, and `kill -9` loses
nothing. A power cut loses at most what was appended since the last fdatasync (`SYNC_EVERY_S`, done by a thread of the
gateway). The space of a segment is reserved when it is made, so that a full disk is an error then and never a crash.
What has not been written yet reads as zero bytes. Benchmark: bench/microseconds.py, `journal`.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import time
from pathlib import Path

SYNC_EVERY_S = 0.05
SEGMENT_BYTES = 4 * 1024 * 1024
SEGMENT_NAME = re.compile(r"^\d{20}\.jsonl$")  # the nanosecond of its birth: never used twice, sorts by age
UNWRITTEN = b"\0"


class Journal:
    """The writing end. Always opens a fresh segment, so that writers share a folder and a torn line stays behind."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._dirty = False
        self._at = 0
        self._open_next()

    def append(self, line: bytes) -> None:
        """Write one record, its newline included. Raises OSError when the disk is full."""
        end = self._at + len(line)
        if end > self._segment_bytes:
            self._next_segment()
            end = len(line)
        self._map[self._at : end] = line
        self._at = end
        self._dirty = True

    def check(self) -> None:
        """Raises OSError when a new segment cannot be had: the disk is full, or the folder is gone."""
        self._next_segment()

    def sync(self) -> None:
        """Bring all that was appended to the disk. Safe to call from another thread."""
        if self._dirty:
            self._dirty = False
            sync_file(self._fd)

    def close(self) -> None:
        """Sync, give back the space that was not used, and close."""
        os.ftruncate(self._fd, self._at)
        sync_file(self._fd)
        self._map.close()
        os.close(self._fd)

    def _next_segment(self) -> None:
        old, used = (self._map, self._fd), self._at
        self._open_next()  # raises before anything of the old segment is given up
        os.ftruncate(old[1], used)
        sync_file(old[1])
        old[0].close()
        os.close(old[1])

    def _open_next(self) -> None:
        path = self._folder / f"{time.time_ns():020d}.jsonl"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # tells readers that this segment still grows
            reserve(descriptor, self._segment_bytes)
            self._map = mmap.mmap(descriptor, self._segment_bytes)
        except OSError:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        self._fd, self._at = descriptor, 0


def reserve(descriptor: int, size: int) -> None:
    """Make a file `size` bytes long whose blocks are really there. Raises OSError when they are not to be had."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # macOS
        os.pwrite(descriptor, bytes(size), 0)


def sync_file(descriptor: int) -> None:
    """Bring a file's bytes to the disk, those written through a map too."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


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
    block = written(path, offset, limit_bytes)
    torn = finished and len(block) < limit_bytes
    end = len(block) if torn else block.rfind(b"\n") + 1
    return block[:end].splitlines(), offset + end


def written(path: Path, offset: int, limit_bytes: int) -> bytes:
    """The bytes from `offset` to where nothing has been written yet."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(limit_bytes).partition(UNWRITTEN)[0]


def unshipped_bytes(folder: Path, positions: dict[str, int]) -> int:
    """How many bytes lie behind the given positions (segment name -> offset)."""
    return sum(max(0, written_size(path) - positions.get(path.name, 0)) for path in segments(folder))


def written_size(path: Path) -> int:
    """How many bytes of a segment are written. A full one is not read: months of them may wait for a database."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size:
            file.seek(size - 1)
            if file.read(1) != UNWRITTEN:
                return size
        file.seek(0)
        return len(file.read(size).partition(UNWRITTEN)[0])
