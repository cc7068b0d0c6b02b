"""The official clients' batch examples run as they are: three generations for Python; Node streams the file."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest

from clients.conftest import node_with_client, python_with
from gateway.conftest import House
from gateway.upstream import eventually

HERE = Path(__file__).parent
PYTHON_CLIENTS = ("1.109.1", "2.54.0", "3.52.0")
pytestmark = pytest.mark.slow  # each client is installed once
IDS = sorted(f"request-{number}" for number in range(20))


def environ(house: House) -> dict[str, str]:
    key = house.gateway.new_key(tenant=f"tenant-{uuid.uuid4()}")
    with house.gateway.client(key) as client:
        assert eventually(lambda: client.get("/v1/models").status_code == 200)
    return {**os.environ, "BASE_URL": house.gateway.url, "API_KEY": key, "MODEL": "m0"}


def told(argv: list[str], environ: dict[str, str]) -> dict[str, object]:
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("version", PYTHON_CLIENTS)
def test_openai_for_python(desk: House, version: str) -> None:
    found = told([str(python_with(version)), str(HERE / "openai_batch.py")], environ(desk))
    assert found == {"version": version, "status": "completed", "ids": IDS}


def test_openai_for_node(desk: House) -> None:
    node, folder = node_with_client()
    found = told([node, str(HERE / "openai_batch.mjs")], {**environ(desk), "CLIENT_FOLDER": str(folder)})
    assert found == {"version": "node", "status": "completed", "ids": IDS}
