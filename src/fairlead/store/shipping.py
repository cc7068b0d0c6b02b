"""From the journal to a ledger, each record exactly once: rows and the journal's position move in one transaction.

Several processes may ship at once: the position is read and moved within the transaction that writes the rows, so a
shipper that dies at any step, or loses its connection while it commits, finds out by reading the position again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from fairlead.store import journal
from fairlead.store.usage import Usage, decode

BLOCK_BYTES = 1024 * 1024
SWEEP_AGE_S = 60.0  # a segment younger than this may be between its creation and its lock
ESCAPED_NUL = b"\\u0000"
POSITIONS_FILE = "shipped.json"

Read = Callable[[int], tuple[list[bytes], int]]  # position -> lines from there, and the position behind them


class Sink(Protocol):
    """A database that records go to."""

    def positions(self) -> dict[str, int]:
        """Segment name -> the offset up to which it is in the ledger."""

    def move(self, segment: str, read: Read) -> int:
        """In one transaction: read the position, `read` from there, write, and move the position. Returns bytes."""

    def forget(self, segment: str) -> None:
        """The segment is gone from the disk: its position is needed no more."""


def ship(folder: Path, sink: Sink, max_bytes: int = 1 << 62) -> int:
    """Move at most about `max_bytes` of the journal into the sink; returns how many bytes were moved."""
    moved = 0
    while moved < max_bytes:
        step = ship_block(folder, sink, min(BLOCK_BYTES, max_bytes - moved))
        if not step:
            break
        moved += step
    return moved


def ship_block(folder: Path, sink: Sink, limit: int) -> int:
    """Ship a block of the oldest segment that has one; returns its size in bytes."""
    positions = sink.positions()
    for path in journal.segments(folder):
        position = positions.get(path.name, 0)
        if not journal.written(path, position, 1):
            sweep(path, position, sink)
            continue
        moved = sink.move(path.name, lambda start, path=path: journal.read_lines(path, start, limit))  # type: ignore[misc]
        if moved:
            return moved
    return 0


def sweep(path: Path, position: int, sink: Sink) -> None:
    """Delete a segment that is shipped whole and that nobody writes any more."""
    if journal.age_s(path, time.time()) > SWEEP_AGE_S and not journal.is_open(path):
        if journal.written(path, position, 1):  # it grew before its writer went
            return
        path.unlink(missing_ok=True)
        sink.forget(path.name)


def parse(lines: Iterable[bytes]) -> tuple[list[Usage], list[str]]:
    """Records, and the lines that are none (a disk that tore them): those are kept aside, never dropped."""
    rows: list[Usage] = []
    damaged: list[str] = []
    for line in lines:
        row = record(line)
        if row is None:
            damaged.append(line.decode("utf-8", "replace").replace("\0", "�"))
        else:
            rows.append(row)
    return rows, damaged


def record(line: bytes) -> Usage | None:
    """The record in a line; None when it is none, or none that a database can hold.

    `decode` refuses integers of more than 64 bits. PostgreSQL's text holds no NUL: one bad line must not stop all.
    """
    try:
        row = decode(line)
    except msgspec.MsgspecError:
        return None
    if ESCAPED_NUL not in line:  # as always
        return row
    return None if any("\0" in value for value in msgspec.structs.astuple(row) if isinstance(value, str)) else row


def replica_id(state: Path) -> str:
    """The name of this journal among all that fill one ledger; made once, kept beside it."""
    path = state / "replica-id"
    state.mkdir(parents=True, exist_ok=True)
    draft = state / f"replica-id.{uuid.uuid4().hex}.new"
    if not path.exists():
        draft.write_text(uuid.uuid4().hex)
        try:
            path.hardlink_to(draft)  # whole or not at all, and the first of several wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()


class Backlog:
    """What a gateway knows of its ledger without asking a database: the positions that its shipper wrote down."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "journal"
        self._path = state / POSITIONS_FILE

    def unshipped_bytes(self) -> int:
        """How much of the journal is not in the ledger yet."""
        try:
            positions = msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.MsgspecError):
            positions = {}
        return journal.unshipped_bytes(self._folder, positions)


def save_positions(state: Path, positions: Mapping[str, int]) -> None:
    """Write down how far the ledger is, for `Backlog`."""
    draft = state / f"{POSITIONS_FILE}.{uuid.uuid4().hex}.new"  # several shippers may serve one folder
    draft.write_bytes(msgspec.json.encode(positions))
    draft.replace(state / POSITIONS_FILE)
