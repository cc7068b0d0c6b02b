"""A real PostgreSQL on loopback, in a folder of its own, that a test may kill, freeze and start again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from .place import absent, free_port, freeze, kill_all, program, thaw, wait_until

DEBIAN = "/usr/lib/postgresql/*/bin"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # the machine does not lose power in a test; kill -9 loses nothing of the page cache
    "max_connections": "40",
    "shared_buffers": "16MB",
    "log_min_messages": "fatal",
}


class Postgres:
    """One server and its data, alive or dead."""

    def __init__(self, folder: Path, user: str | None) -> None:
        self.port = free_port()
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._databases += 1
        name = f"t{self._databases}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def start(self) -> None:
        """On the same port and data as before."""
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        argv = [program("postgres", DEBIAN), "-D", str(self._folder / "data"), "-p", str(self.port), *settings]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, cwd="/", **as_user(self._user))
        wait_until(self.is_up, what=f"PostgreSQL: {(self._folder / 'log').read_text()[-1000:]}")

    def is_up(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """At once and cleanly: every client is disconnected."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)

    def kill(self) -> None:
        """`kill -9` for the server and all its backends."""
        assert self._process
        kill_all(self._process.pid)
        self._process.wait(10)

    def freeze(self) -> None:
        assert self._process
        freeze(self._process.pid)

    def thaw(self) -> None:
        assert self._process
        thaw(self._process.pid)


def server_user() -> str | None:
    """PostgreSQL refuses to run as root: then an unprivileged user runs it."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    user = next((name for name in ("postgres", "nobody") if name in known), None)
    if user is None:
        absent("PostgreSQL does not run as root, and there is no user postgres or nobody")
    return user


def as_user(user: str | None) -> dict[str, Any]:
    """How Popen changes to that user."""
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A started server; it and its data are gone afterwards."""
    initdb, user = program("initdb", DEBIAN), server_user()
    folder = Path(tempfile.mkdtemp(prefix="fairlead-postgres-"))  # pytest's own folders are closed to other users
    server = Postgres(folder, user)
    try:
        if user is not None:
            shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
        argv = [initdb, "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        subprocess.run(argv, check=True, capture_output=True, cwd="/", **as_user(user))
        server.start()
        yield server
    finally:
        if server._process is not None:
            server.kill()  # nobody needs its data any more
        shutil.rmtree(folder, ignore_errors=True)
