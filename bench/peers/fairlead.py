"""Our gateway with everything on: key, role, limits, a budget, ledger, metrics, a log line a request, 8 replicas."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.peers.launch import Launch, Missing, Place
from fairlead import __version__


def launch(place: Place) -> Launch:
    """The gateway of this checkout, with a fresh state folder and a key made for this run."""
    if find_spec("fairlead.gateway.__main__") is None:
        raise Missing("this checkout has no fairlead.gateway.__main__")
    conf = place.write("gateway.json", json.dumps(configuration(place), indent=1))
    argv = (sys.executable, "-m", "fairlead.gateway", str(conf))
    return Launch(argv, __version__, headers=(f"Authorization: Bearer {make_key(place.work)}",))


def launch_leases(place: Place) -> Launch:
    """The same as one of two replicas that share its limits and its budget through a Redis."""
    redis = shutil.which("valkey-server") or shutil.which("redis-server")
    if redis is None:
        raise Missing("there is no valkey-server or redis-server")
    port, alone = place.port + 2, launch(place)
    shared = {
        "replicas": 2,
        "store": {"postgres": None, "redis": {"url_env": "BENCH_REDIS", "lease_s": 1.0, "when_gone": "share"}},
    }
    place.write("gateway.json", json.dumps(configuration(place) | shared, indent=1))
    beside = (redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    return replace(alone, env={"BENCH_REDIS": f"redis://127.0.0.1:{port}/0"}, beside=beside)


def make_key(state_dir: Path) -> str:
    """A key of role `user`, as `fairlead keys create` makes it; returns the secret."""
    from fairlead.store.keys import KeyStore

    secret, _ = KeyStore(state_dir / "keys.db").create(tenant="bench", role="user")
    return secret


def configuration(place: Place) -> dict[str, Any]:
    """A compiled `gateway.json` as `fairlead up` writes it."""
    operations = ["chat", "completions"]
    return {
        "version": 1,
        "name": "bench",
        "state_dir": str(place.work),
        "listen": {"host": "127.0.0.1", "port": place.port},
        "admin": {"host": "127.0.0.1", "port": place.port + 1},
        "limits": LIMITS,
        "drain_timeout_s": 5.0,
        "retry": {"attempts": 2, "budget": 0.1},
        "models": {"m0": _model(place, operations)},
        "routes": {"m0": {"model": "m0", "timeout_s": 600.0}},
        "roles": {"user": {"models": ["m0"], "operations": operations}},
        **CONSUMPTION,
    }


LIMITS = {
    "max_connections": 10_000,
    "max_header_bytes": 16 * 1024,
    "max_body_bytes": 4 * 1024 * 1024,
    "header_timeout_s": 10.0,
    "body_timeout_s": 30.0,
    "idle_timeout_s": 75.0,
}


ENDLESS = {"count": 1e12, "period_s": 60.0, "burst": 1e12}  # far beyond what is asked for: nothing is refused
CONSUMPTION: dict[str, Any] = {
    "rate_limits": {"tenant": {"per": ["tenant"], "requests": ENDLESS, "tokens": ENDLESS}},
    "prices": {"m0": {"prompt_nano": 150_000_000, "cached_nano": 75_000_000, "completion_nano": 600_000_000}},
    "budgets": {"tenant": {"amount_nano": 10**18, "period": "day", "per": ["tenant"]}},
    "currency": "USD",
}


def _model(place: Place, operations: list[str]) -> dict[str, Any]:
    return {
        "upstreams": [f"http://{upstream}" for upstream in place.upstreams],
        "upstream_model": "m0",
        "api_key_env": "",
        "health_path": "/health",
        "operations": operations,
    }
