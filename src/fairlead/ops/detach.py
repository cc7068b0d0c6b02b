"""`up` in the background: the same command in a session of its own, watched until it is ready or has failed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fairlead.errors import EXIT_FAILED, UserError
from fairlead.ops import runfile
from fairlead.ops.client import running
from fairlead.ops.layout import Layout
from fairlead.ops.runfile import Run

POLL_S = 0.05


def up_detached(
    file: Path, environment: str | None, tick: Callable[[Run | None], None], engine: str | None = None
) -> Run:
    """Start `up` in the background; returns when it is ready. Raises UserError when it fails.

    `tick` is called about 20 times a second with what is known so far.
    """
    layout = Layout.beside(file)
    layout.make()
    if runfile.is_running(layout):
        other = running(layout)
        raise UserError(f"the service runs already at {other.url} (pid {other.pid})", exit_code=EXIT_FAILED)
    layout.run_json.unlink(missing_ok=True)
    command = [sys.executable, "-m", "fairlead.cli.main", "up", str(layout.file)]
    command += ["--environment", environment] if environment else []
    command += ["--engine", engine] if engine else []
    with (layout.logs / "up.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    while True:
        code = process.poll()
        run = runfile.read(layout)
        tick(run)
        if run is not None and run.state == "ready":
            return run
        if code is not None:
            told = (layout.logs / "up.log").read_text(errors="replace").strip()
            raise UserError(told or f"`up` ended with exit code {code}", exit_code=EXIT_FAILED)
        time.sleep(POLL_S)


def down(layout: Layout, tick: Callable[[], None]) -> Run:
    """End a running `up` and wait until all is down. Raises UserError when none runs, or when it does not end."""
    run = running(layout)
    os.kill(run.pid, signal.SIGTERM)
    # A running request may take as long as the drain allows; `up` itself bounds it, and ends its children by force.
    while runfile.is_running(layout):
        tick()
        time.sleep(POLL_S)
    return run
