"""The processes of a Ray cluster on this machine: a head, further nodes, and the keeper of what is served on it.

All listen on 127.0.0.1 alone, and every call needs the cluster's token. Facts of Ray 2.60 that this stands on:
`ray start` turns 127.0.0.1 into the machine's own address unless RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER is 0; a further node
needs it to be 1, and keeps to loopback by the name LOCALHOST, which Ray does not turn.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fairlead.engine.commands import LOOPBACK, QUIET, Command
from fairlead.engine.ray import after

HEAD_HEALTH = "/api/gcs_healthz"
NODE_HEALTH = "/api/local_raylet_healthz"
KEEPER_HEALTH = "/health"
OBJECT_STORE_BYTES = 256 << 20  # requests and answers pass through it; weights do not


@dataclass(frozen=True, slots=True)
class Joined:
    """How a process joins a cluster: an interpreter with Ray, the address, and what stands in its environment."""

    python: str
    address: str
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster to start. `agents` has the port of each node's agent, the head's first; `cpus` None: the machine's.

    `folder` is Ray's own: its sockets lie in it, so its path has to be short (Linux takes 107 characters for one).
    """

    python: str
    folder: Path
    token: Path
    port: int
    dashboard: int
    client: int
    agents: tuple[int, ...]
    cpus: float | None = None

    @property
    def dashboard_url(self) -> str:
        """Where it is asked."""
        return f"http://{LOOPBACK}:{self.dashboard}"

    @property
    def joined(self) -> Joined:
        """What a further process needs to become a part of it."""
        return Joined(self.python, f"LOCALHOST:{self.port}", {**_env(self), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"})


def head_command(cluster: Cluster) -> Command:
    """The node with the cluster's own services."""
    argv = (
        *(cluster.python, "-m", "ray.scripts.scripts", "start", "--block", "--head"),
        *("--node-ip-address", LOOPBACK, "--port", str(cluster.port), "--temp-dir", str(cluster.folder)),
        *("--dashboard-host", LOOPBACK, "--dashboard-port", str(cluster.dashboard)),
        *("--ray-client-server-port", str(cluster.client)),
        *_node_flags(cluster, cluster.agents[0]),
    )
    return Command(argv, {**_env(cluster), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"})


def node_command(cluster: Cluster, number: int) -> Command:
    """Node `number` >= 1; it waits for the head."""
    argv = (
        *(sys.executable, "-I", "-S", after.__file__, LOOPBACK, str(cluster.port)),
        *(cluster.python, "-m", "ray.scripts.scripts", "start", "--block"),
        *("--address", f"LOCALHOST:{cluster.port}"),
        *_node_flags(cluster, cluster.agents[number]),
    )
    return Command(argv, {**_env(cluster), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"})


def keeper_command(settings: Path) -> Command:
    """What deploys the models, keeps them deployed and tells how they are."""
    return Command((sys.executable, "-m", "fairlead.engine.ray", str(settings)), {})


def _node_flags(cluster: Cluster, agent: int) -> tuple[str, ...]:
    return (
        *("--disable-usage-stats", "--object-store-memory", str(OBJECT_STORE_BYTES)),
        *("--dashboard-agent-listen-port", str(agent), "--min-worker-port", "0", "--max-worker-port", "0"),
        *(("--num-cpus", f"{cluster.cpus:g}") if cluster.cpus is not None else ()),
    )


def _env(cluster: Cluster) -> Mapping[str, str]:
    return {
        **QUIET,
        "VLLM_NO_USAGE_STATS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_metrics_report_interval_ms": "1000",  # by default metrics are ten seconds old
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(cluster.token),
        "PYTHONPATH": str(Path(__file__).parent / "loopback"),
    }
