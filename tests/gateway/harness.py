"""The gateway as its users have it: a process of its own, spoken to over sockets only."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from fairlead.store.contract import Keys
from fairlead.store.keys import KeyStore

from .upstream import Upstream, eventually

OPERATIONS = ["chat", "completions", "embeddings", "responses"]
HASTY = "hasty"  # a route to m0 with a short deadline
LIMITS: dict[str, Any] = {
    "max_connections": 10_000,
    "max_header_bytes": 16_384,
    "max_body_bytes": 4_194_304,
    "header_timeout_s": 10.0,
    "body_timeout_s": 30.0,
    "idle_timeout_s": 75.0,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def compiled(state_dir: Path, models: dict[str, Sequence[Upstream]], **limits: float) -> dict[str, Any]:
    """A gateway.json: each model with its replicas, and the roles `user` (all), `chatter` and `nobody`."""
    tables = {
        name: {
            "upstreams": [one.url for one in replicas],
            "upstream_model": name,
            "api_key_env": "",
            "health_path": "/health",
            "operations": OPERATIONS,
        }
        for name, replicas in models.items()
    }
    return {
        "version": 1,
        "name": "test",
        "state_dir": str(state_dir),
        "listen": {"host": "127.0.0.1", "port": free_port()},
        "admin": {"host": "127.0.0.1", "port": free_port()},
        "limits": {**LIMITS, **limits},
        "drain_timeout_s": 10.0,
        "retry": {"attempts": 2, "budget": 0.1},
        "models": tables,
        "routes": {name: {"model": name, "timeout_s": 60.0} for name in models}
        | {HASTY: {"model": "m0", "timeout_s": 0.6}},
        "roles": {
            "user": {"models": [*models, HASTY], "operations": OPERATIONS},
            "chatter": {"models": ["m0"], "operations": ["chat"]},
            "nobody": {"models": [], "operations": []},
        },
    }


class Gateway:
    """A running gateway and the folder that it keeps its state in."""

    def __init__(
        self,
        config: dict[str, Any],
        folder: Path,
        *,
        environ: Mapping[str, str] | None = None,
        keys: Keys | None = None,
        number: int = 0,
    ) -> None:
        """`environ` is added to ours; `keys` are made where the gateway finds them: beside it, or in a database."""
        self.config = config
        self.environ = {**os.environ, **(environ or {})}
        self.number = number
        self.folder = folder
        self.state_dir = Path(config["state_dir"])
        self.path = folder / "gateway.json"
        self.log_path = folder / f"gateway{number or ''}.log"
        self.port: int = config["listen"]["port"]
        self.process: subprocess.Popen[bytes] | None = None
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self.keys: Keys = keys or KeyStore(self.state_dir / "keys.db")
        self.key = self.new_key()
        self.write(config)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.config['admin']['port'] + self.number}"

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def new_key(self, tenant: str = "t", role: str = "user") -> str:
        secret, _ = self.keys.create(tenant=tenant, role=role)
        return secret

    def write(self, config: dict[str, Any]) -> None:
        """Replace gateway.json in one step, as the compiler does."""
        self.config = config
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(config))
        fresh.replace(self.path)

    def begin(self) -> None:
        """Start it, and wait for nothing."""
        with self.log_path.open("ab") as log:
            argv = [sys.executable, "-m", "fairlead.gateway", str(self.path), str(self.number)]
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=self.folder, env=self.environ)

    def start(self) -> None:
        self.begin()
        if not eventually(self.is_ready, within_s=20.0):
            self.stop()
            raise AssertionError(f"the gateway is not ready:\n{self.log_path.read_text()[-4000:]}")

    def is_ready(self) -> bool:
        assert self.process
        assert self.process.poll() is None, f"the gateway died:\n{self.log_path.read_text()[-4000:]}"
        asking = http.client.HTTPConnection("127.0.0.1", self.config["admin"]["port"] + self.number, timeout=2.0)
        try:
            asking.request("GET", "/readyz")
            return asking.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asking.close()

    def stop(self) -> int:
        """Drain and end it; the exit code."""
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def kill(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def reload(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGHUP)

    def client(self, key: str | None = None) -> httpx.Client:
        bearer = {"Authorization": f"Bearer {self.key if key is None else key}"}
        return httpx.Client(base_url=self.url, headers=bearer, timeout=20.0, verify=False)  # loads no certificates

    def chat(self, *, key: str | None = None, **fields: Any) -> httpx.Response:
        with self.client(key) as client:
            return client.post("/v1/chat/completions", json=question(**fields))

    def admin(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.admin_url}{path}", timeout=5.0, verify=False)

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """(sample name, sorted labels) -> value."""
        families = text_string_to_metric_families(self.admin("/metrics").text)
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}

    def ledger(self) -> list[dict[str, Any]]:
        """All rows of the usage table, oldest first; empty while there is no table."""
        path = self.state_dir / "ledger.db"
        if not path.exists():
            return []
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        database.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in database.execute("SELECT * FROM usage ORDER BY at")]
        except sqlite3.OperationalError:
            return []
        finally:
            database.close()

    def ledger_row(self, request_id: str, *, within_s: float = 5.0) -> dict[str, Any]:
        """The one row of a request; fails when it does not come, or comes twice."""
        found: list[dict[str, Any]] = []

        def arrived() -> bool:
            found[:] = [row for row in self.ledger() if row["request_id"] == request_id]
            return bool(found)

        assert eventually(arrived, within_s=within_s, every_s=0.05), f"no ledger row for {request_id}"
        assert len(found) == 1, found
        return found[0]

    def ledger_rows(self, count: int, *, within_s: float = 10.0) -> list[dict[str, Any]]:
        """All rows, once there are so many of status 200."""
        assert eventually(lambda: sum(row["status"] == 200 for row in self.ledger()) >= count, within_s=within_s)
        return [row for row in self.ledger() if row["status"] == 200]

    def log_lines(self) -> list[str]:
        return self.log_path.read_text().splitlines()

    def rss_mib(self) -> float:
        return float(psutil.Process(self.pid).memory_info().rss) / 2**20


def question(prompt: str = "hello", *, model: str = "m0", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}


@contextmanager
def running(config: dict[str, Any], folder: Path) -> Iterator[Gateway]:
    """A gateway from start to end."""
    gateway = Gateway(config, folder)
    try:
        gateway.start()
        yield gateway
    finally:
        if gateway.process:
            with suppress(ProcessLookupError):
                gateway.stop()
        gateway.keys.close()
    assert "Traceback" not in gateway.log_path.read_text(), gateway.log_path.read_text()[-4000:]
