"""`fairlead up` with replicas: two gateways on one port, one Redis, one PostgreSQL; each may die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import psycopg
import pytest

from gateway.harness import free_port, question
from gateway.upstream import Upstream, eventually
from servers.postgres import Postgres
from servers.redis import RedisServer

FILE = """
apiVersion: fairlead/v1
name: pair-{port}
models:
  m0: {{engine: remote, urls: ["{url}"]}}
limits:
  each: {{per: tenant, requests: 100/min}}
store:
  postgres: {{url_env: THE_URL}}
  redis: {{url_env: THE_REDIS}}
gateway: {{port: {port}, replicas: 2, admin_port: {admin}}}
"""


class Service:
    """A service that runs, and the words to it."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.environ = {**os.environ, **environ}

    def __call__(self, *words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "fairlead.cli.main", *words, "--json"],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def gateways(self) -> dict[str, int]:
        services = json.loads((self.folder / ".fairlead" / "run.json").read_text())["services"]
        return {each["name"]: each["pid"] for each in services if each["state"] == "ready"}


@contextmanager
def up(folder: Path, engine: Upstream, url: str, redis: str) -> Iterator[tuple[Service, Any]]:
    (folder / "fairlead.yaml").write_text(FILE.format(url=engine.url, port=free_port(), admin=free_pair()))
    service = Service(folder, {"THE_URL": url, "THE_REDIS": redis})
    ready = service("up", "--detach")
    try:
        yield service, ready
    finally:
        service("down")


def free_pair() -> int:
    """The first of two neighbouring free ports."""
    while True:
        first = free_port()
        with suppress(OSError):
            import socket

            with socket.socket() as second:
                second.bind(("127.0.0.1", first + 1))
                return first


def answered(ready: Any, times: int) -> list[int]:
    """Each on a connection of its own, so that the kernel spreads them."""
    headers = {"Authorization": f"Bearer {ready['key']}"}
    url = f"{ready['url']}/v1/chat/completions"
    return [httpx.post(url, json=question(), headers=headers, timeout=20).status_code for _ in range(times)]


def served(ready: Any) -> list[float]:
    """Requests that each gateway has answered."""
    first = int(ready["admin_url"].rpartition(":")[2])
    return [httpx.get(f"http://127.0.0.1:{first + number}/status").json()["requests"] for number in range(2)]


@pytest.mark.timeout(120)
def test_two_gateways_share_a_port_a_limit_and_a_ledger(
    engine: Upstream, own_postgres: Postgres, shared_redis: RedisServer, tmp_path: Path
) -> None:
    url = own_postgres.new_database()
    with up(tmp_path, engine, url, shared_redis.url) as (service, ready):
        assert set(service.gateways()) == {"gateway", "gateway.1"}
        began = monotonic()
        assert answered(ready, 60) == [200] * 60
        assert all(served(ready)), "both have served"

        before = service.gateways()["gateway.1"]
        os.kill(before, signal.SIGKILL)
        assert eventually(lambda: service.gateways().get("gateway.1", before) != before, within_s=20.0)
        codes = answered(ready, 60)
        left = 100 - 60 + 100 / 60 * (monotonic() - began)  # 100 a minute: what flowed in again meanwhile
        assert min(60, left) - 12 <= codes.count(200) <= left + 12, "no second allowance"
        assert codes.count(429) == 60 - codes.count(200)

        total = 60 + codes.count(200)
        assert eventually(lambda: in_ledger(url) == total, within_s=10.0)
        (used,) = service("usage")
        assert used["requests"] == total


def in_ledger(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM fairlead.usage WHERE status = 200").fetchone()
    assert row
    return int(row[0])
