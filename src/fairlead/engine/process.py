"""A worker is a process group of its own: started with a log, ended as a whole, and never left behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from fairlead.engine import reaper
from fairlead.engine.reaper import kill_group
from fairlead.errors import UserError

LOG_ROTATE_BYTES = 16 << 20
TAIL_LINES = 20
TAIL_BYTES = 16 << 10


class Reaper:
    """The other end of `reaper.py`: `watch` a group when it starts, `forget` it when it is gone."""

    def __enter__(self) -> Reaper:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is not for it
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # closes its input: it kills what is left, and ends

    def watch(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        if self._process.stdin is None:
            raise AssertionError("the reaper has no input")
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()


async def spawn(argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> asyncio.subprocess.Process:
    """Start `argv` in a session of its own, its output appended to `log`. Raises UserError when it cannot be run."""
    with _opened(log) as output:
        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f"{argv[0]} cannot be started: {error.strerror}", hint="check its path") from error


def _opened(log: Path) -> BinaryIO:
    """The log, to be appended to; a long one is set aside first."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_ROTATE_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    return log.open("ab")


async def exited_within(process: asyncio.subprocess.Process, seconds: float) -> bool:
    """Wait for the end of the process, but not longer than `seconds`."""
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def end_group(process: asyncio.subprocess.Process, *, grace_s: float) -> None:
    """SIGTERM to the whole group, time to leave, then SIGKILL to what is left; also when this wait is cancelled."""
    try:
        if process.returncode is None and kill_group(process.pid, signal.SIGTERM):
            await exited_within(process, grace_s)
    finally:
        kill_group(process.pid, signal.SIGKILL)
    await process.wait()


def log_tail(log: Path, *, start: int) -> str:
    """The last lines written to the log since it was `start` bytes long."""
    if not log.exists():
        return ""
    with log.open("rb") as opened:
        size = opened.seek(0, 2)
        opened.seek(max(start if start <= size else 0, size - TAIL_BYTES))
        lines = opened.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:])
