"""What batches have answered so far: two append-only files that survive any death, and hold each row once.

A line is written whole and at once, before its row counts as done. A death in the middle of a line leaves a torn end,
which is cut off at the next start, and its row is asked again. `sync` brings what was written to the disk: a process
that is killed loses nothing without it, a machine without power at most what came since.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from fairlead.store.batch_rows import Answer, result_id, result_line

RESULTS, ERRORS = "results.jsonl", "errors.jsonl"


class BatchOutput:
    """The results and the errors of one batch, in a folder. `done` holds the `custom_id` of every row in either."""

    def __init__(self, folder: Path, seen: Callable[[bytes], None] = lambda line: None) -> None:
        """Open, mend torn ends, and read what is there; `seen` is told every line of both files."""
        folder.mkdir(parents=True, exist_ok=True)
        self.done: set[str] = set()
        self.good = 0
        self.failed = 0
        self.results, self.errors = folder / RESULTS, folder / ERRORS
        self._files: tuple[int, ...] = ()
        for path in (self.results, self.errors):
            self._files += (os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600),)
            ids = mend(path, self.done, seen)
            self.done |= ids
            if path is self.results:
                self.good = len(ids)
            else:
                self.failed = len(ids)
        self._dirty = False

    def add(self, answer: Answer) -> bool:
        """Write an answer, unless its row has one already; whether it was written. Raises OSError."""
        if answer.custom_id in self.done:
            return False
        write_all(self._files[0 if answer.good else 1], result_line(answer))
        self.done.add(answer.custom_id)
        if answer.good:
            self.good += 1
        else:
            self.failed += 1
        self._dirty = True
        return True

    def sync(self) -> None:
        """Bring what was written to the disk. Raises OSError."""
        if self._dirty:
            self._dirty = False
            for file in self._files:
                os.fsync(file)

    def close(self) -> None:
        """Sync and close; a second call changes nothing."""
        self.sync()
        for file in self._files:
            os.close(file)
        self._files = ()


def mend(path: Path, known: set[str], seen: Callable[[bytes], None]) -> set[str]:
    """Cut a file off at its first line that is torn or a row's second; the ids of the lines before it."""
    ids: set[str] = set()
    whole = 0
    with path.open("rb") as file:
        for line in file:
            try:
                custom_id = result_id(line) if line.endswith(b"\n") else ""
            except ValueError:
                break
            if not custom_id or custom_id in ids or custom_id in known:
                break
            ids.add(custom_id)
            whole += len(line)
            seen(line)
    if whole < path.stat().st_size:
        os.truncate(path, whole)
    return ids


def write_all(file: int, content: bytes) -> None:
    """Write every byte; on an error nothing of it stays. Raises OSError."""
    start = os.lseek(file, 0, os.SEEK_END)
    left = memoryview(content)
    try:
        while left:
            left = left[os.write(file, left) :]
    except OSError:
        os.ftruncate(file, start)
        raise
