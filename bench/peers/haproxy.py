"""HAProxy with one thread and `http-no-delay`: without it, it holds streamed tokens back by tens of milliseconds."""

from __future__ import annotations

import os
from pathlib import Path

from bench.peers.install import debian_peer, first_line, libraries
from bench.peers.launch import Launch, Place

PACKAGES = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")


def launch(place: Place) -> Launch:
    """HAProxy from PATH, or Debian's, unpacked into the cache."""
    folder = place.cache / "haproxy"
    program = debian_peer(PACKAGES, "haproxy", folder)
    conf = place.write("haproxy.cfg", configuration(place))
    env = {"LD_LIBRARY_PATH": libraries(folder)} if Path(program).is_relative_to(folder) else {}
    version = first_line([str(program), "-v"], environment={**os.environ, **env}).split(" ")[2]
    return Launch((str(program), "-f", str(conf), "-db"), version, env=env)


def configuration(place: Place) -> str:
    """8 replicas by least connections, kept-alive connections, a log line."""
    servers = "\n".join(f"  server r{index} {upstream}" for index, upstream in enumerate(place.upstreams))
    return f"""global
  nbthread 1
  maxconn 4000
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend gateway
  bind 127.0.0.1:{place.port}
  default_backend replicas
backend replicas
  balance leastconn
{servers}
"""
