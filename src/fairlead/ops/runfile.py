"""`run.json`: what runs now. Written by the `up` that runs it; the lock beside it tells the truth about its life."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from fairlead.errors import EXIT_FAILED, UserError
from fairlead.ops.layout import Layout

State = Literal["starting", "ready", "stopping", "failed"]


class Service(msgspec.Struct, frozen=True):
    """One process: an engine's replica or the gateway."""

    name: str
    state: str
    url: str
    pid: int | None = None
    restarts: int = 0
    ready_s: float | None = None
    last_error: str = ""


class Run(msgspec.Struct, frozen=True):
    """A running `up`. `overlay` is what -e named, `engine` what --engine did; `error` tells why a failed one failed."""

    pid: int
    state: State
    name: str
    environment: str
    url: str
    admin_url: str
    started_at: float
    services: tuple[Service, ...] = ()
    overlay: str | None = None
    engine: Literal["ray"] | None = None
    error: str = ""
    models: tuple[str, ...] = ()


def write(layout: Layout, run: Run) -> None:
    """Replace the file in one step."""
    replace(layout.run_json, msgspec.json.format(msgspec.json.encode(run)))


def read(layout: Layout) -> Run | None:
    """The last thing that an `up` said; None when there was none."""
    try:
        return msgspec.json.decode(layout.run_json.read_bytes(), type=Run)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, never a part."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def is_running(layout: Layout) -> bool:
    """Whether an `up` of this service lives."""
    try:
        with layout.lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def held(layout: Layout) -> Iterator[None]:
    """Hold the lock of the service. Raises UserError when another `up` has it."""
    with layout.lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            run = read(layout)
            where = f" at {run.url} (pid {run.pid})" if run else ""
            raise UserError(
                f"the service runs already{where}",
                where=str(layout.file),
                hint="`fairlead status` shows it, `fairlead down` ends it",
                exit_code=EXIT_FAILED,
            ) from None
        yield
