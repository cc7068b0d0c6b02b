"""A real Redis (or Valkey) on loopback, in a folder of its own, that a test may kill, freeze and start again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .place import absent, free_port, freeze, kill_all, thaw, wait_until

PROGRAMS = ("valkey-server", "redis-server")


class RedisServer:
    """One server, alive or dead. It keeps an append-only file when `durable`, else a restart forgets everything."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.port = free_port()
        self._folder = folder
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """On the same port and folder as before."""
        argv = [redis_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        argv += ["--save", "", "--appendonly", "yes" if self._durable else "no", "--appendfsync", "always"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        wait_until(self.is_up, what=f"Redis: {(self._folder / 'log').read_text()[-1000:]}")

    def is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def kill(self) -> None:
        """`kill -9`."""
        assert self._process
        kill_all(self._process.pid)
        self._process.wait(10)

    def freeze(self) -> None:
        assert self._process
        freeze(self._process.pid)

    def thaw(self) -> None:
        assert self._process
        thaw(self._process.pid)


def redis_program() -> str:
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        absent("redis-server is not installed: `bash tools/test_servers.sh` installs it from Debian packages")
    return found


@contextmanager
def redis_server(*, durable: bool = True) -> Iterator[RedisServer]:
    """A started server; it and its data are gone afterwards."""
    redis_program()
    folder = Path(tempfile.mkdtemp(prefix="fairlead-redis-"))
    server = RedisServer(folder, durable=durable)
    try:
        server.start()
        yield server
    finally:
        if server._process is not None:
            server.thaw()
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)
