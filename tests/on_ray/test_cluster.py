"""A cluster that has no room says so, and one that runs already is joined and left."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from contract.endpoint import loopback_client
from contract.engines import VLLM_PYTHON
from contract.serving import free_port
from fairlead.engine.commands import LOOPBACK
from fairlead.engine.ray.commands import HEAD_HEALTH, Cluster, head_command
from fairlead.engine.ray.dashboard import Dashboard
from fairlead.engine.supervisor import Supervisor, WorkerSpec
from fairlead.render.serve_config import Http, serve_config

from .service import command, file, own_cluster, service

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]
TOKEN = "0123456789abcdef" * 4


def test_what_cannot_be_had_is_told_at_once(tmp_path: Path) -> None:
    """Two replicas of 2 CPUs do not fit on one node of 2 CPUs; Ray itself would wait without end."""
    file(tmp_path, {"demo": "demo:v1", "other": "demo:v2"}, own_cluster(nodes=1))
    done = command(tmp_path, "up", "--detach")
    assert done.returncode == 1
    assert "no room left for a replica of 2 CPU; the nodes have left 0 CPU" in done.stderr
    assert "ray.nodes, ray.cpus" in done.stderr


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Somebody's cluster: one node, nothing served on it."""
    folder = tmp_path_factory.mktemp("cluster")
    sessions = Path(tempfile.mkdtemp(prefix="ray-"))  # pytest's own folders are too long for a socket's path
    (folder / "token").write_text(TOKEN)
    made = Cluster(
        python=str(VLLM_PYTHON),
        folder=sessions,
        token=folder / "token",
        port=free_port(),
        dashboard=free_port(),
        client=free_port(),
        agents=(free_port(),),
        cpus=2.0,
    )
    started = head_command(made)
    worker = WorkerSpec("head", started.argv, started.env, made.dashboard_url, HEAD_HEALTH, folder / "head.log", 300.0)
    supervisor = Supervisor()
    with start_blocking_portal() as portal:
        portal.call(supervisor.start, [worker])
        try:
            yield made
        finally:
            portal.call(partial(supervisor.stop, grace_s=20))
            shutil.rmtree(sessions, ignore_errors=True)


def test_a_cluster_that_runs_is_joined_and_left(cluster: Cluster, tmp_path: Path) -> None:
    """Somebody else starts Serve's proxy: here that is an empty deployment with its port."""
    serve_port = free_port()
    empty = serve_config([], app="none", http=Http(host=LOOPBACK, port=serve_port, proxies="HeadOnly"))
    serve_url = f"http://{LOOPBACK}:{serve_port}"
    joined = f"{{address: '{cluster.dashboard_url}', serve_url: '{serve_url}', token_env: RAY_CLUSTER_TOKEN}}"
    with Dashboard(cluster.dashboard_url, TOKEN) as dashboard:
        dashboard.deploy({**empty, "applications": []})
        with (
            service(tmp_path, {"demo": "demo:v1"}, joined, {"RAY_CLUSTER_TOKEN": TOKEN}, named=False) as running,
            loopback_client() as client,
        ):
            assert [each["name"] for each in running.status()["services"]] == ["ray-serve", "gateway"]
            assert running.chat(client, "demo").status_code == 200
            assert list(dashboard.serve()["applications"]) == ["fleet"]
            strangers_are_left_alone(tmp_path / "other", joined)
            assert running.chat(client, "demo").status_code == 200
        assert dashboard.serve()["applications"] == {}
    with pytest.raises(httpx.ConnectError):
        httpx.get(running.url, trust_env=False)


def strangers_are_left_alone(folder: Path, joined: str) -> None:
    """Ray's deployment would replace what another service has there."""
    folder.mkdir()
    path = file(folder, {"demo": "demo:v1"}, joined)
    path.write_text(path.read_text().replace("name: fleet", "name: another"))
    done = command(folder, "up", "--detach", environ={"RAY_CLUSTER_TOKEN": TOKEN})
    assert done.returncode == 1
    assert "the cluster serves other applications: fleet" in done.stderr
    done = command(folder, "up", "--detach", environ={"RAY_CLUSTER_TOKEN": "wrong"})
    assert done.returncode == 1
    assert "refuses the token" in done.stderr
