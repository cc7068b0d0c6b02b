"""A test's engine runs under the same supervisor as a user's, in a thread with an event loop of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from contract.endpoint import Endpoint, loopback_client
from fairlead.engine.commands import HEALTH_PATH, LOOPBACK, Command
from fairlead.engine.supervisor import Supervisor, WorkerSpec


@contextmanager
def serving(command: Command, *, port: int, model: str, log: Path, start_timeout_s: float) -> Iterator[Endpoint]:
    """Run the command until the end of the block; it is healthy when the block begins."""
    url = f"http://{LOOPBACK}:{port}"
    spec = WorkerSpec(model, command.argv, command.env, url, HEALTH_PATH, log, start_timeout_s)
    supervisor = Supervisor()
    with start_blocking_portal() as portal, loopback_client() as client:
        portal.call(supervisor.start, [spec])
        try:
            yield Endpoint(client, base_url=f"{url}/v1", model=model, metrics_url=f"{url}/metrics")
            (status,) = supervisor.snapshot()
            assert status.restarts == 0, f"the engine died during the checks: {status.last_error}"
        finally:
            portal.call(partial(supervisor.stop, grace_s=20))


def free_port() -> int:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port: int = free.getsockname()[1]
        return port
