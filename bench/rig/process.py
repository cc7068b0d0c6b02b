"""Every process that the benchmark starts is pinned to a core, ends with its block, and takes its children along."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

STOP_S = 10.0  # a gateway may drain before it goes


def pinned(argv: Sequence[str], core: int) -> list[str]:
    """The command line that runs `argv` on one core only."""
    return ["taskset", "-c", str(core), *argv]


@contextmanager
def running(
    argv: Sequence[str], *, core: int, log: Path, env: Mapping[str, str], cwd: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own, its output in the file `log`, until the block ends."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            pinned(argv, core),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **env},
            cwd=cwd,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _stop(process)


def in_use(port: int) -> bool:
    """Whether somebody on this machine listens on the port: he would be measured in place of what we start."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    _signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    _signal_group(process, signal.SIGKILL)  # also the children that outlived their parent
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signum)
