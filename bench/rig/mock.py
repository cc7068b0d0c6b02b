"""The mock upstream answers on one port per replica, and paces its tokens as it was told last."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.error import URLError

from bench.rig.build import binary
from bench.rig.http import fetch
from bench.rig.process import in_use, running
from fairlead.errors import UserError

READY_S = 5.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Mock:
    """A running mock upstream."""

    port: int
    replicas: int
    pid: int

    def pace(self, itl_us: int) -> None:
        """From now on let `itl_us` pass between two tokens of a stream (0: as fast as it goes)."""
        self._get(f"/mock/set?itl_us={itl_us}&ttft_us=0")

    def stats(self) -> dict[str, Any]:
        """Requests per replica, open connections, streams that were cut off."""
        return self._get("/mock/stats")

    def _get(self, path: str) -> dict[str, Any]:
        return dict(json.loads(fetch(f"http://127.0.0.1:{self.port}{path}")))


@contextmanager
def mock_upstream(*, port: int, replicas: int, core: int, cache: Path) -> Iterator[Mock]:
    """Run the mock on `port` and the `replicas - 1` ports after it."""
    taken = [number for number in range(port, port + replicas) if in_use(number)]
    if taken:
        raise UserError(f"ports in use: {', '.join(map(str, taken))}", hint="choose others with --port")
    argv = [str(binary("mock", cache / "rig")), "--port", str(port), "--replicas", str(replicas)]
    with running(argv, core=core, log=cache / "mock.log", env={}, cwd=cache) as process:
        mock = Mock(port, replicas, process.pid)
        _wait_ready(mock, process)
        yield mock


def _wait_ready(mock: Mock, process: Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            mock.stats()
        except (URLError, ConnectionError):
            time.sleep(POLL_S)
        else:
            return
    raise UserError(f"the mock upstream did not start on port {mock.port}", hint="see .cache/bench/mock.log")
