"""Our gateway with everything on, its limits and its budget shared through a Redis beside it."""

from __future__ import annotations

import json
import shlex
import shutil
import sys

from bench.peers import fairlead
from bench.peers.launch import Launch, Missing, Place

REDIS_CORE = 0  # the rig's: a shared Redis is on another machine


def launch(place: Place) -> Launch:
    """Redis in the background and the gateway in front; both end with the process group."""
    plain = fairlead.launch(place)
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise Missing("there is no redis-server: tools/test_servers.sh installs it")
    socket = place.work / "redis.sock"
    redis = {"url_env": "BENCH_REDIS", "lease_s": 1.0, "when_gone": "share"}
    shared = {"store": {"postgres": None, "redis": redis}, "replicas": 2}
    conf = place.write("gateway.json", json.dumps(fairlead.configuration(place) | shared, indent=1))
    redis_argv = (program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no")
    gateway_argv = (sys.executable, "-m", "fairlead.gateway", str(conf))
    both = f"taskset -c {REDIS_CORE} {shlex.join(redis_argv)} & exec {shlex.join(gateway_argv)}"
    return Launch(("sh", "-c", both), plain.version, plain.headers, {"BENCH_REDIS": f"unix://{socket}"})
