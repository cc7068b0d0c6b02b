"""Every panel that a laptop can feed shows data: a real Prometheus scrapes a real service."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from fairlead.render.monitoring.boards import engine_board, service_board
from fairlead.render.monitoring.promql import Scope
from servers.place import free_port, kill_all, wait_until

from ..oracles import program

FILE = """
apiVersion: fairlead/v1
name: watched
models:
  m0: {{source: demo:v1}}
access:
  roles:
    user: {{models: ["*"]}}
limits:
  small: {{tenants: [small], requests: 1/day}}
prices:
  m0: {{prompt: 0.15 USD, completion: 0.60 USD}}
budgets:
  day: {{amount: 5 USD/day, per: tenant}}
gateway: {{port: {port}, admin_port: {admin}}}
"""
NOT_ON_A_LAPTOP = {"Prefix cache hits": "the embedded engine does not tell what its prefix cache found"}
WITHIN_S = 90.0


class Service:
    """A service on this machine, and callers of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "fairlead.yaml").write_text(FILE.format(port=free_port(), admin=free_port()))
        self.run = self("up", "--detach")
        self.keys = {tenant: self("keys", "create", "--tenant", tenant, "--role", "user") for tenant in ("t", "small")}

    def __call__(self, *words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "fairlead.cli.main", *words, "--json"],
            cwd=self.folder, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    @property
    def targets(self) -> Mapping[str, list[str]]:
        """Scrape job -> its addresses."""
        running = json.loads((self.folder / ".fairlead" / "run.json").read_text())
        engines = [each["url"] for each in running["services"] if each["name"].startswith("m0")]
        return {"gateway": [address(running["admin_url"])], "engines": [address(url) for url in engines]}

    def ask(self, tenant: str, *, stream: bool = False) -> int:
        """The status of an answer."""
        url = json.loads((self.folder / ".fairlead" / "run.json").read_text())["url"]
        secret = self.keys[tenant]["key"] if tenant else "wrong"
        asked = {"model": "m0", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, "stream": stream}
        answer = httpx.post(
            f"{url}/v1/chat/completions", json=asked, headers={"authorization": f"Bearer {secret}"}, timeout=30
        )
        return answer.status_code


def address(url: str) -> str:
    return url.partition("://")[2].rstrip("/")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    try:
        yield made
    finally:
        made("down")


@pytest.fixture
def prometheus(service: Service, tmp_path: Path) -> Iterator[str]:
    jobs = [{"job_name": name, "static_configs": [{"targets": found}]} for name, found in service.targets.items()]
    config = tmp_path / "prometheus.yaml"
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    port = free_port()
    argv = [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    argv.append(f"--web.listen-address=127.0.0.1:{port}")
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=tmp_path, env={**os.environ, "TZ": "UTC"})
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_ready(url), within_s=60, what=(tmp_path / "prometheus.log").read_text()[-1000:])
        yield url
    finally:
        kill_all(process.pid)
        process.wait(10)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def has_data(url: str, query: str) -> bool:
    """Whether a query gives at least one number."""
    answer = httpx.get(f"{url}/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", f"{query}: {answer}"
    return any(not math.isnan(float(sample["value"][1])) for sample in answer["data"]["result"])


def test_every_panel_that_a_laptop_can_feed_shows_data(service: Service, prometheus: str) -> None:
    scope = Scope()
    panels = [*service_board(scope).panels, *engine_board(scope, lambda signal: signal).panels]
    wanted = {
        (panel.title, query)
        for panel in panels
        if panel.title not in NOT_ON_A_LAPTOP
        for query in panel.queries.values()
    }
    assert service.ask("") == 401
    deadline = monotonic() + WITHIN_S
    while wanted and monotonic() < deadline:
        assert {service.ask("t"), service.ask("t", stream=True)} == {200}
        service.ask("small")
        wanted = {(title, query) for title, query in wanted if not has_data(prometheus, query)}
    assert not wanted
