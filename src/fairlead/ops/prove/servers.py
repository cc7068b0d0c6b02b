"""Real PostgreSQL and Redis for the stage: programs of this machine, on loopback, in a folder of their own.

What a file declares runs on a database of its own: a proof never touches the one that the file's variables name. A
program that is not here is a reason to skip what needs it.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

from fairlead.errors import UserError
from fairlead.ops.machine import free_ports
from fairlead.spec.types import Spec
from fairlead.store.contract import StoreUnavailable
from fairlead.store.postgres import version

POSTGRES_FOLDERS = "/usr/lib/postgresql/*/bin"
READY_TIMEOUT_S = 20.0
READY_POLL_S = 0.05
END_TIMEOUT_S = 10.0
POSTGRES_SETTINGS = (
    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"),
    *("-c", "max_connections=30", "-c", "log_min_messages=fatal"),
)


@dataclass
class Server:
    """One server: alive, or ended and started again on the same port and data."""

    url: str
    port: int
    argv: tuple[str, ...]
    log: Path
    user: str | None = None
    process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start and wait until it answers. Raises UserError."""
        self.process = spawn(self)
        for _ in range(int(READY_TIMEOUT_S / READY_POLL_S)):
            if self.process.poll() is not None:
                break
            if await asyncio.to_thread(answers, self):
                return
            await asyncio.sleep(READY_POLL_S)
        raise UserError(f"{Path(self.argv[0]).name} does not start: {self.log.read_text()[-300:]}")

    async def end(self, number: int = signal.SIGINT) -> None:
        """End it: by SIGINT both disconnect everybody at once."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(number)
        try:
            await asyncio.to_thread(self.process.wait, END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()


@dataclass
class Servers:
    """What runs for the stage. `missing`: why what is declared does not run, by `postgres` and `redis`."""

    postgres: Server | None = None
    redis: Server | None = None
    missing: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)  # the variables that the file names, with our URLs

    def staged(self, spec: Spec) -> Spec:
        """The spec without what does not run here."""
        if spec.store is None:
            return spec
        kept = spec.store.model_copy(update=dict.fromkeys(self.missing))
        return spec.model_copy(update={"store": kept if kept.postgres or kept.redis else None})


@asynccontextmanager
async def open_servers(spec: Spec) -> AsyncIterator[Servers]:
    """Start what the spec declares; all of it ends with the block."""
    servers, store = Servers(), spec.store
    with TemporaryDirectory(prefix="fairlead-prove-stores-") as folder:
        try:
            if store is not None and store.postgres is not None:
                servers.postgres = await started(servers.missing, "postgres", postgres, Path(folder))
                if servers.postgres:
                    servers.environ[store.postgres.url_env] = servers.postgres.url
            if store is not None and store.redis is not None:
                servers.redis = await started(servers.missing, "redis", redis, Path(folder))
                if servers.redis:
                    servers.environ[store.redis.url_env] = servers.redis.url
            yield servers
        finally:
            for server in (servers.postgres, servers.redis):
                if server is not None:
                    await server.end()


async def started(missing: dict[str, str], name: str, make: Callable[[Path], Server], folder: Path) -> Server | None:
    """The server, or None with the reason in `missing`."""
    try:
        server = await asyncio.to_thread(make, folder)
        await server.start()
    except UserError as error:
        missing[name] = str(error)
        return None
    return server


def redis(folder: Path) -> Server:
    """A Redis or Valkey that keeps nothing on the disk. Raises UserError where there is none."""
    program = found(("valkey-server", "redis-server"))
    (port,) = free_ports(1)
    argv = (
        program,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
    )
    return Server(f"redis://127.0.0.1:{port}/0", port, argv, folder / "redis.log")


def postgres(folder: Path) -> Server:
    """An empty PostgreSQL. Raises UserError where there is none, or nobody to run it as."""
    program, initdb = found(("postgres",), POSTGRES_FOLDERS), found(("initdb",), POSTGRES_FOLDERS)
    user, data = unprivileged(), folder / "postgres"
    data.mkdir()
    if user is not None:
        folder.chmod(0o711)
        shutil.chown(data, user, group_of(user))
    (port,) = free_ports(1)
    made = run((initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"), user)
    if made.returncode:
        raise UserError(f"initdb fails: {made.stderr.decode('utf-8', 'replace')[-200:]}")
    argv = (program, "-D", str(data), "-p", str(port), *POSTGRES_SETTINGS)
    return Server(f"postgresql://postgres@127.0.0.1:{port}/postgres", port, argv, folder / "postgres.log", user)


def found(names: Sequence[str], folders: str = "") -> str:
    """The path of the first of these programs. Raises UserError that says what to install."""
    path = os.pathsep.join((os.defpath, "/usr/sbin", "/usr/local/bin", *sorted(glob(folders), reverse=True)))
    for name in names:
        program = shutil.which(name) or shutil.which(name, path=path)
        if program is not None:
            return program
    raise UserError(f"{names[-1]} is not on this machine")


def unprivileged() -> str | None:
    """PostgreSQL refuses to run as root: then somebody else runs it. None: we are somebody else already."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    user = next((name for name in ("postgres", "nobody") if name in known), None)
    if user is None:
        raise UserError("PostgreSQL does not run as root, and there is no user postgres or nobody")
    return user


def group_of(user: str | None) -> int:
    """The user's group."""
    return pwd.getpwnam(user or "nobody").pw_gid


def run(argv: Sequence[str], user: str | None) -> subprocess.CompletedProcess[bytes]:
    """Run to the end as somebody."""
    as_user: Mapping[str, object] = {"user": user, "group": group_of(user), "extra_groups": []} if user else {}
    return subprocess.run(argv, check=False, capture_output=True, cwd="/", **as_user)  # type: ignore[call-overload,no-any-return]


def spawn(server: Server) -> subprocess.Popen[bytes]:
    """The server's process."""
    as_user = {"user": server.user, "group": group_of(server.user), "extra_groups": []} if server.user else {}
    with server.log.open("ab") as log:
        return subprocess.Popen(server.argv, stdout=log, stderr=log, cwd="/", **as_user)  # type: ignore[call-overload,no-any-return]


def answers(server: Server) -> bool:
    """Whether the server takes work: a PostgreSQL that still recovers takes connections only to refuse them."""
    if not server.url.startswith("postgresql:"):
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=1.0):
            return True
        return False
    try:
        version(server.url)
    except StoreUnavailable:
        return False
    return True
